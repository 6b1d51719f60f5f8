//! Readers who copy what others write at the same moment. When all is quiet, who still serves what
//! was there before?
//!
//! The reply to a read is on its way when another client writes, and the server tells of the write.
//! Whoever keeps the reply after that keeps it for good: nobody tells of that write again.

mod annotated;
mod by_client;
mod by_crate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cache_benches::RedisServer;

use super::Plan;
use crate::origin::Failure;

/// Entries.
pub const KEYS: u64 = 3000;

/// Callers in the process whose copies are looked at.
pub const READERS: usize = 8;

/// Until everything that was told has been heard: several times the bound on what goes unnoticed.
pub const QUIET: Duration = Duration::from_secs(3);

/// A cache with copies in the process, and somebody elsewhere who writes.
trait Copying: Send + Sync + 'static {
    /// The number under a key, from a copy if there is one.
    fn read(&self, id: u64) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// Writes on another connection, as another process does, and waits for the reply.
    fn write(&self, id: u64, number: u64) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Of so many reads, how many copies have served.
    fn served(&self, reads: u64) -> impl Future<Output = Result<u64, Failure>> + Send;
}

/// What became of it.
pub struct Race {
    pub name: &'static str,
    pub reads: u64,
    /// Those of the reads that copies served.
    pub served: u64,
    /// Keys that copies serve in the end.
    pub copies: u64,
    /// Those of them under which an older number is served.
    pub stale: u64,
}

pub async fn observe(plan: Plan) -> Result<Vec<Race>, Failure> {
    let mut races = Vec::new();
    {
        let server = RedisServer::start().map_err(Failure::of)?;
        let annotated = annotated::Annotated::open(&server.url()).await?;
        races.push(run(plan, "`#[cached]`, `near`", annotated).await?);
    }
    {
        let server = RedisServer::start().map_err(Failure::of)?;
        let by_client = by_client::ByClient::open(&server.url()).await?;
        races.push(run(plan, "redis-rs, `cache-aio`", by_client).await?);
    }
    {
        let server = RedisServer::start().map_err(Failure::of)?;
        let by_crate = by_crate::ByCrate::open(&server.url()).await?;
        races.push(run(plan, "`cached`, `redis_async_cache`", by_crate).await?);
    }
    Ok(races)
}

async fn run<C: Copying>(plan: Plan, name: &'static str, copying: C) -> Result<Race, Failure> {
    eprintln!("Race of reads with writes: {name}");
    let copying = Arc::new(copying);
    for id in 0..KEYS {
        copying.write(id, 0).await?;
        copying.read(id).await?;
        copying.read(id).await?;
    }
    let turn = Arc::new(Turn::default());
    let readers: Vec<_> = (0..READERS)
        .map(|_| tokio::spawn(keep_reading(Arc::clone(&copying), Arc::clone(&turn))))
        .collect();
    for id in 0..KEYS {
        turn.id.store(id, Relaxed);
        for number in 1..=plan.writes {
            copying.write(id, number).await?;
        }
    }
    turn.has_ended.store(true, Relaxed);
    let mut reads = 2 * KEYS;
    for reader in readers {
        reads += reader.await.map_err(Failure::of)??;
    }
    let served = copying.served(reads).await?;
    tokio::time::sleep(QUIET).await;
    // What has no copy gets one, so that everybody answers from copies.
    for id in 0..KEYS {
        copying.read(id).await?;
    }
    let before = copying.served(reads + KEYS).await?;
    let mut stale = 0;
    for id in 0..KEYS {
        stale += u64::from(copying.read(id).await? != plan.writes);
    }
    let after = copying.served(reads + 2 * KEYS).await?;
    Ok(Race {
        name,
        reads,
        served,
        copies: after.saturating_sub(before),
        stale,
    })
}

/// Which key everybody is at.
#[derive(Default)]
struct Turn {
    id: AtomicU64,
    has_ended: AtomicBool,
}

async fn keep_reading<C: Copying>(copying: Arc<C>, turn: Arc<Turn>) -> Result<u64, Failure> {
    let mut reads = 0;
    while !turn.has_ended.load(Relaxed) {
        copying.read(turn.id.load(Relaxed)).await?;
        reads += 1;
        // Reads that never wait would leave nobody else a turn.
        tokio::task::yield_now().await;
    }
    Ok(reads)
}
