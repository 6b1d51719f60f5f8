//! Redis goes away, in three ways.

use std::sync::Arc;
use std::time::Duration;

use cache_benches::RedisServer;
use serde::{Deserialize, Serialize};

use super::calls::{self, Call, End};
use super::subject::{Job, Subject};
use super::{PATIENCE, Plan};
use crate::contenders::Contender;
use crate::origin::{self, Failure};
use crate::report::median;
use crate::worker::{self, Steady, now};

/// How long all goes well before it does not.
const BEFORE: Duration = Duration::from_secs(1);

/// What callers saw of an outage.
#[derive(Debug, Default)]
pub struct Outage {
    /// Of the calls that began in it: how many ended how, in the order of [`End`].
    pub ends: Vec<(End, usize)>,
    /// How long they took, in microseconds.
    pub median: f64,
    pub longest: f64,
    /// What the first error said.
    pub message: Option<String>,
    /// From the end of the outage until every caller has had a hit, in microseconds; none if that
    /// was not seen.
    pub recovered: Option<u64>,
}

/// The first call where there is no Redis.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Absence {
    pub end: End,
    pub message: String,
    pub microseconds: u64,
}

/// Redis is killed and comes back empty.
pub async fn kill(subject: Subject, plan: Plan) -> Result<Outage, Failure> {
    let mut server = RedisServer::start().map_err(Failure::of)?;
    let worker = watch(subject, &server).await?;
    tokio::time::sleep(BEFORE).await;
    let down = now();
    server.kill();
    tokio::time::sleep(plan.outage).await;
    server.restart().map_err(Failure::of)?;
    let up = now();
    tokio::time::sleep(plan.after).await;
    Ok(Outage::of(&ended(worker).await?, down, up))
}

/// Redis stands still with its connections open, and goes on where it was.
pub async fn pause(subject: Subject, plan: Plan) -> Result<Outage, Failure> {
    let server = RedisServer::start().map_err(Failure::of)?;
    let worker = watch(subject, &server).await?;
    tokio::time::sleep(BEFORE).await;
    let down = now();
    server.pause().map_err(Failure::of)?;
    tokio::time::sleep(plan.outage).await;
    server.resume().map_err(Failure::of)?;
    let up = now();
    tokio::time::sleep(plan.after).await;
    Ok(Outage::of(&ended(worker).await?, down, up))
}

/// There is no Redis when the process starts.
pub async fn absent(subject: Subject) -> Result<Absence, Failure> {
    let server = RedisServer::absent().map_err(Failure::of)?;
    let worker = worker::start("first", &[&subject.word(), &server.url()])?;
    let answer = worker::answer(worker).await;
    answer.ok_or_else(|| Failure(format!("{subject}: the first call was not answered")))
}

/// Opens the contender and calls once.
pub async fn play_first(subject: Subject, url: &str) -> Absence {
    origin::takes(calls::LOAD);
    let start = now();
    let first = tokio::time::timeout(PATIENCE + PATIENCE, subject.with(url, First)).await;
    let (end, message) = match first {
        Ok(Ok(first)) => first,
        Ok(Err(failure)) => (End::Failed, failure.0),
        Err(_) => (End::Unanswered, String::new()),
    };
    Absence {
        end,
        message,
        microseconds: now().saturating_sub(start),
    }
}

struct First;

impl Job for First {
    type Output = (End, String);

    async fn run<C: Contender>(self, contender: C) -> Self::Output {
        calls::one(Arc::new(contender), 1).await
    }
}

/// A worker that calls all the time.
async fn watch(subject: Subject, server: &RedisServer) -> Result<Steady, Failure> {
    let mut worker = Steady::start("calls", &[&subject.word(), &server.url()])?;
    let ready = worker.ready().await;
    ready.map_err(|failure| Failure(format!("{subject}: {failure}")))?;
    Ok(worker)
}

/// Ends the calls, and reads what became of them.
async fn ended(worker: Steady) -> Result<Vec<Call>, Failure> {
    let text = worker.end().await?;
    let calls = text
        .lines()
        .map(|line| serde_json::from_str(line).map_err(Failure::of));
    calls.collect()
}

impl Outage {
    /// What calls say of an outage from `down` to `up`.
    fn of(calls: &[Call], down: u64, up: u64) -> Self {
        let during: Vec<_> = calls
            .iter()
            .filter(|call| (down..up).contains(&call.start))
            .collect();
        let ends = [
            End::Hit,
            End::Loaded,
            End::Failed,
            End::Panicked,
            End::Unanswered,
        ];
        let ends = ends.map(|end| (end, during.iter().filter(|call| call.end == end).count()));
        let took = during.iter().map(|call| call.took as f64);
        Self {
            ends: ends.into_iter().filter(|(_, calls)| *calls > 0).collect(),
            median: median(took.clone()),
            longest: took.fold(0.0, f64::max),
            message: during
                .iter()
                .find(|call| call.end == End::Failed)
                .map(|call| call.message.clone()),
            recovered: recovered(calls, up),
        }
    }
}

/// How long after `up` the last of all callers had its first hit.
fn recovered(calls: &[Call], up: u64) -> Option<u64> {
    let callers = calls.iter().map(|call| call.caller).max()?;
    let first_hits = (0..=callers).map(|caller| {
        let ends = calls
            .iter()
            .filter(|call| call.caller == caller && call.end == End::Hit && call.start >= up)
            .map(|call| call.start + call.took - up);
        ends.min()
    });
    first_hits.collect::<Option<Vec<_>>>()?.into_iter().max()
}
