//! Many ids at once: batches beside single calls, and tags that many entries have.
//!
//! * `batches`: a thousand ids by one call and by a thousand.
//! * `tag`: what the invalidation of a tag costs that one entry has, or very many.

mod batches;
mod report;
mod tag;

use std::time::Duration;

use cache_benches::RedisServer;

use crate::origin::Failure;
use batches::Batches;
use tag::Tagged;

pub use report::{method, section};

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub rounds: usize,
    /// How long each has its turn.
    pub length: Duration,
    /// The most entries that a tag has.
    pub tagged: u64,
}

/// What was seen.
pub struct Seen {
    pub batches: Batches,
    pub tags: Vec<Tagged>,
}

/// Measures everything.
pub async fn measure(plan: Plan) -> Result<Seen, Failure> {
    let server = RedisServer::start().map_err(Failure::of)?;
    let batches = batches::measure(plan, &server).await?;
    let server = RedisServer::start().map_err(Failure::of)?;
    let tags = tag::measure(plan, &server).await?;
    Ok(Seen { batches, tags })
}
