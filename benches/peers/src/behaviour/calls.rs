//! Callers that go on calling, whatever happens, and a record of each call.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::PATIENCE;
use super::subject::{Job, Subject};
use crate::contenders::Contender;
use crate::origin::{self, Failure};
use crate::worker::{self, now};

/// Callers, each of a page of its own.
const CALLERS: u64 = 8;

/// Between two calls.
const PAUSE: Duration = Duration::from_millis(2);

/// What a load takes here.
pub const LOAD: Duration = Duration::from_millis(5);

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Hit,
    /// The function's own result.
    Loaded,
    Failed,
    Panicked,
    /// It took longer than anybody waits, or had not ended when the scenario had.
    Unanswered,
}

/// One call: microseconds of the clock that processes share.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    pub caller: u64,
    pub start: u64,
    pub took: u64,
    pub end: End,
    /// What the error said.
    pub message: String,
}

/// Warms up, and calls until it is told to end; then prints all calls.
pub async fn play(subject: Subject, url: &str) -> Result<(), Failure> {
    origin::takes(LOAD);
    subject.with(url, Play).await?
}

struct Play;

impl Job for Play {
    type Output = Result<(), Failure>;

    async fn run<C: Contender>(self, contender: C) -> Self::Output {
        let contender = Arc::new(contender);
        for caller in 0..CALLERS {
            contender.get(caller).await?;
        }
        let (end, ended) = watch::channel(false);
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| tokio::spawn(keep_calling(Arc::clone(&contender), caller, ended.clone())))
            .collect();
        worker::ready_until_the_end().await?;
        end.send_replace(true);
        for caller in callers {
            for call in caller.await.map_err(Failure::of)? {
                println!("{}", serde_json::to_string(&call).map_err(Failure::of)?);
            }
        }
        Ok(())
    }
}

async fn keep_calling<C: Contender>(
    contender: Arc<C>,
    caller: u64,
    mut ended: watch::Receiver<bool>,
) -> Vec<Call> {
    let mut calls = Vec::new();
    while !*ended.borrow() {
        let start = now();
        let (end, message) = tokio::select! {
            outcome = one(Arc::clone(&contender), caller) => outcome,
            _ = ended.wait_for(|ended| *ended) => (End::Unanswered, String::new()),
        };
        calls.push(Call {
            caller,
            start,
            took: now().saturating_sub(start),
            end,
            message,
        });
        tokio::time::sleep(PAUSE).await;
    }
    calls
}

/// One call in a task of its own, so that a panic is told from the rest.
pub async fn one<C: Contender>(contender: Arc<C>, id: u64) -> (End, String) {
    let call = tokio::spawn(async move {
        let call = origin::watched(async { contender.get(id).await.map(drop) });
        tokio::time::timeout(PATIENCE, call).await
    });
    match call.await {
        Err(_) => (End::Panicked, String::new()),
        Ok(Err(_)) => (End::Unanswered, String::new()),
        Ok(Ok((Err(failure), _))) => (End::Failed, failure.0),
        Ok(Ok((Ok(()), true))) => (End::Loaded, String::new()),
        Ok(Ok((Ok(()), false))) => (End::Hit, String::new()),
    }
}
