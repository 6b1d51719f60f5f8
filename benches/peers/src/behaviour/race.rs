//! A load has read the database; then it changes, and the page is removed from the cache; then the
//! load ends. What do later callers get?

use std::sync::Arc;
use std::time::Duration;

use cache_benches::RedisServer;

use super::PATIENCE;
use super::subject::{Job, Subject};
use crate::contenders::Contender;
use crate::origin::{self, Failure};
use crate::worker;

const LOAD: Duration = Duration::from_millis(300);
const WARM: u64 = 1;
const RACED: u64 = 2;

pub async fn observe(subject: Subject) -> Result<String, Failure> {
    let server = RedisServer::start().map_err(Failure::of)?;
    let worker = worker::start("race", &[&subject.word(), &server.url()])?;
    let answer = worker::answer(worker).await;
    Ok(answer.unwrap_or_else(|| "no answer".to_owned()))
}

pub async fn play(subject: Subject, url: &str) -> Result<String, Failure> {
    subject.with(url, Play).await?
}

struct Play;

impl Job for Play {
    type Output = Result<String, Failure>;

    async fn run<C: Contender>(self, contender: C) -> Self::Output {
        let contender = Arc::new(contender);
        contender.get(WARM).await?;
        // Whoever cannot remove a page that lies there has no race to lose.
        contender.remove(WARM).await?;
        let loads = origin::loads();
        contender.get(WARM).await?;
        if origin::loads() == loads {
            return Ok("- (did not remove it)".to_owned());
        }
        origin::takes(LOAD);
        let slow = tokio::spawn({
            let contender = Arc::clone(&contender);
            async move { contender.get(RACED).await.map(drop) }
        });
        tokio::time::sleep(LOAD / 3).await;
        origin::change();
        let removal = tokio::time::timeout(PATIENCE, contender.remove(RACED));
        removal.await.map_err(Failure::of)??;
        slow.await.map_err(Failure::of)??;
        let later = tokio::time::timeout(PATIENCE, contender.get(RACED));
        let later = later.await.map_err(Failure::of)??;
        Ok(match later.as_ref().version == origin::version() {
            true => "fresh".to_owned(),
            false => "**stale**".to_owned(),
        })
    }
}
