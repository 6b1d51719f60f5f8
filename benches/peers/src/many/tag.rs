//! What the invalidation of a tag costs that one entry has, or very many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cache_benches::RedisServer;
use cache_runtime::{Cache, Outcome, Policy, cached, outcomes, warm_up};

use super::Plan;
use crate::info::Info;
use crate::origin::Failure;

/// How often the tag is invalidated.
const TIMES: usize = 5;

/// How many ids are loaded by one call.
const BATCH: usize = 1_000;

/// A tag and so many entries that have it.
#[derive(Debug)]
pub struct Tagged {
    pub entries: u64,
    /// How long each invalidation took until it was acknowledged, in nanoseconds. All entries are current at
    /// the first, a hundred of them at others.
    pub took: Vec<f64>,
    /// What Redis has carried out for one.
    pub commands: f64,
    /// Entries of a sample that were still served afterwards, of how many.
    pub served: (usize, usize),
}

struct Rows(Cache);

impl Rows {
    #[cached(
        ttl = 36_000,
        key = "tagged:{tag}:{id}",
        tags("tag:{tag}"),
        skip(self),
        cache = self.0,
        each(id in ids)
    )]
    async fn rows(&self, tag: u64, ids: &[u64]) -> HashMap<u64, u64> {
        ids.iter().map(|id| (*id, *id)).collect()
    }
}

pub async fn measure(plan: Plan, server: &RedisServer) -> Result<Vec<Tagged>, Failure> {
    // However busy the machine is.
    let policy = Policy::DEFAULT.timeout(Duration::from_secs(30));
    let builder = Cache::builder().url(server.url()).namespace("tags");
    let cache = builder.policy(policy).build().await.map_err(Failure::of)?;
    let info = Info::open(&server.url()).await?;
    let rows = Rows(cache);
    let mut tags = Vec::new();
    for entries in [1, plan.tagged] {
        eprintln!("A tag with {entries} entries");
        let mut tagged = Tagged {
            entries,
            took: Vec::new(),
            commands: 0.0,
            served: (0, 0),
        };
        let warm = warm_up(0..entries).in_batches(BATCH, |ids| {
            let rows = &rows;
            async move { rows.rows(entries, &ids).await }
        });
        let warm = warm.await.map_err(Failure::of)?;
        if warm.loaded as u64 != entries {
            return Err(Failure(format!("not every entry is there: {warm}")));
        }
        for time in 0..TIMES {
            // All entries have the tag as it is; later on only those that are read again.
            let sample: Vec<u64> = (0..entries.min(100)).collect();
            rows.rows(entries, &sample).await;
            info.reset().await?;
            let start = Instant::now();
            let tag = format!("tag:{entries}");
            rows.0.invalidate_tag(&tag).await.map_err(Failure::of)?;
            tagged.took.push(start.elapsed().as_nanos() as f64);
            if time == 0 {
                tagged.commands = info.commands().await?;
                let (_, how) = outcomes(rows.rows(entries, &sample)).await;
                tagged.served = (how.count(Outcome::Hit), how.len());
            }
        }
        tags.push(tagged);
    }
    Ok(tags)
}
