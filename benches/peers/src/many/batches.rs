//! A thousand ids by one call and by a thousand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_benches::RedisServer;
use cache_runtime::{Cache, cached};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use super::Plan;
use crate::contenders::format::Format;
use crate::contenders::{annotated, by_hand};
use crate::lots::Lots;
use crate::origin::{self, Failure};
use crate::page::Page;

/// How many ids each has.
pub const IDS: u64 = 1_000;

/// Pages, under the same keys by one and by many.
struct Pages(Cache);

impl Pages {
    #[cached(ttl = 3600, key = "many:{id}", skip(self), cache = self.0)]
    async fn page(&self, id: u64) -> Result<Page, Failure> {
        origin::load(id).await
    }

    #[cached(ttl = 3600, key = "many:{id}", skip(self), cache = self.0, each(id in ids))]
    async fn pages(&self, ids: &[u64]) -> Result<HashMap<u64, Page>, Failure> {
        let mut pages = HashMap::new();
        for id in ids {
            pages.insert(*id, origin::load(*id).await?);
        }
        Ok(pages)
    }
}

/// Who reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `MGET` by redis-rs, and decoding.
    ByHand,
    /// One call of the function of many ids.
    Batch,
    /// A call for each id, all at once, each in a task of its own.
    AtOnce,
    /// A call for each id, one after another.
    InTurn,
}

impl Reader {
    pub const ALL: [Self; 4] = [Self::ByHand, Self::Batch, Self::AtOnce, Self::InTurn];
}

/// All rounds.
#[derive(Debug, Default)]
pub struct Batches {
    /// Ids in a second that are cached, for each of [`Reader::ALL`].
    pub hits: Vec<Vec<f64>>,
    /// And that have to be loaded; nobody does that by hand.
    pub loads: Vec<Vec<f64>>,
}

pub async fn measure(plan: Plan, server: &RedisServer) -> Result<Batches, Failure> {
    let pages = Arc::new(Pages(annotated::open(&server.url()).await?));
    let by_hand = by_hand(&server.url()).await?;
    let mut batches = Batches {
        hits: vec![Vec::new(); Reader::ALL.len()],
        loads: vec![Vec::new(); Reader::ALL.len()],
    };
    let cached: Vec<u64> = (0..IDS).collect();
    pages.pages(&cached).await?;
    let (mut cold, mut lots) = (IDS, Lots::default());
    for round in 0..plan.rounds {
        eprintln!("Many ids: round {} of {}", round + 1, plan.rounds);
        for (at, reader) in lots.draw(Reader::ALL.into_iter().enumerate()) {
            let rate = turn(plan.length, async || {
                read(&pages, &by_hand, reader, &cached).await
            });
            push(&mut batches.hits, at, rate.await?);
            if reader == Reader::ByHand {
                continue;
            }
            let rate = turn(plan.length, async || {
                let ids: Vec<u64> = (cold..cold + IDS).collect();
                cold += IDS;
                read(&pages, &by_hand, reader, &ids).await
            });
            push(&mut batches.loads, at, rate.await?);
        }
    }
    Ok(batches)
}

fn push(rounds: &mut [Vec<f64>], at: usize, rate: f64) {
    if let Some(rounds) = rounds.get_mut(at) {
        rounds.push(rate);
    }
}

/// Ids in a second.
async fn turn(
    length: Duration,
    mut read: impl AsyncFnMut() -> Result<usize, Failure>,
) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut ids = 0;
    while start.elapsed() < length {
        match read().await? {
            found if found == IDS as usize => ids += found,
            found => return Err(Failure(format!("{found} of {IDS} ids were found"))),
        }
    }
    Ok(ids as f64 / start.elapsed().as_secs_f64())
}

async fn by_hand(url: &str) -> Result<MultiplexedConnection, Failure> {
    let mut connection = by_hand::connect(url).await?;
    for id in 0..IDS {
        let bytes = Format::MessagePack.encode(&origin::load(id).await?)?;
        let stored: Result<(), _> = connection.set_ex(key(id), bytes, 3600).await;
        stored.map_err(Failure::of)?;
    }
    Ok(connection)
}

fn key(id: u64) -> String {
    format!("by-hand:many:{id}")
}

/// How many pages were found.
async fn read(
    pages: &Arc<Pages>,
    by_hand: &MultiplexedConnection,
    reader: Reader,
    ids: &[u64],
) -> Result<usize, Failure> {
    match reader {
        Reader::ByHand => {
            let keys: Vec<_> = ids.iter().copied().map(key).collect();
            let found: Vec<Option<Vec<u8>>> =
                by_hand.clone().mget(keys).await.map_err(Failure::of)?;
            let mut pages = HashMap::new();
            for (id, bytes) in ids.iter().zip(found) {
                if let Some(bytes) = bytes {
                    pages.insert(*id, Format::MessagePack.decode(&bytes)?);
                }
            }
            Ok(pages.len())
        }
        Reader::Batch => Ok(pages.pages(ids).await?.len()),
        Reader::AtOnce => {
            let mut calls = JoinSet::new();
            for id in ids.iter().copied() {
                let pages = pages.clone();
                calls.spawn(async move { pages.page(id).await });
            }
            let found = calls.join_all().await;
            Ok(found.iter().filter(|page| page.is_ok()).count())
        }
        Reader::InTurn => {
            let mut found = 0;
            for id in ids {
                pages.page(*id).await?;
                found += 1;
            }
            Ok(found)
        }
    }
}
