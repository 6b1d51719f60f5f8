//! A hundred callers in each process ask for what nobody has asked for yet.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_benches::RedisServer;
use serde::{Deserialize, Serialize};

use super::PATIENCE;
use super::subject::{Job, Subject};
use crate::contenders::Contender;
use crate::origin::{self, Failure};
use crate::worker::{self, now};

const CALLERS: usize = 100;
const LOAD: Duration = Duration::from_millis(50);

/// Until all processes are there and connected.
const LEAD: Duration = Duration::from_secs(2);

const WARM: u64 = 1;
const COLD: u64 = 2;

/// What it took to answer them all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stampede {
    pub loads: u64,
    pub failed: u64,
    /// The slowest caller's wait.
    pub milliseconds: f64,
}

pub async fn observe(subject: Subject, processes: usize) -> Result<Stampede, Failure> {
    let server = RedisServer::start().map_err(Failure::of)?;
    let start = (now() + LEAD.as_micros() as u64).to_string();
    let arguments = [subject.word(), server.url(), start];
    let arguments = arguments.each_ref().map(String::as_str);
    let workers: Result<Vec<_>, _> = (0..processes)
        .map(|_| worker::start("stampede", &arguments))
        .collect();
    let mut all = Stampede::default();
    for worker in workers? {
        let one: Option<Stampede> = worker::answer(worker).await;
        let one = one.unwrap_or(Stampede {
            failed: CALLERS as u64,
            ..Stampede::default()
        });
        all.loads += one.loads;
        all.failed += one.failed;
        all.milliseconds = all.milliseconds.max(one.milliseconds);
    }
    Ok(all)
}

pub async fn play(subject: Subject, url: &str, start: &str) -> Result<Stampede, Failure> {
    let start = start.parse().map_err(Failure::of)?;
    subject.with(url, Play { start }).await?
}

struct Play {
    start: u64,
}

impl Job for Play {
    type Output = Result<Stampede, Failure>;

    async fn run<C: Contender>(self, contender: C) -> Self::Output {
        let contender = Arc::new(contender);
        // Whoever connects at the first call has done so.
        contender.get(WARM).await?;
        let before = origin::loads();
        origin::takes(LOAD);
        tokio::time::sleep(Duration::from_micros(self.start.saturating_sub(now()))).await;
        let begun = Instant::now();
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let contender = Arc::clone(&contender);
                tokio::spawn(async move {
                    let got = tokio::time::timeout(PATIENCE, contender.get(COLD)).await;
                    matches!(got, Ok(Ok(_)))
                })
            })
            .collect();
        let mut failed = 0;
        for caller in callers {
            failed += u64::from(!caller.await.unwrap_or(false));
        }
        Ok(Stampede {
            loads: origin::loads() - before,
            failed,
            milliseconds: begun.elapsed().as_secs_f64() * 1e3,
        })
    }
}
