//! One process of a fleet, for the tests of leases across processes.
//!
//! `worker <url> <key> <callers> <origin ms> <function>` connects to Redis, prints `ready`, and waits
//! for a line on its input. Then that many callers call an annotated function (`value`, `short_lease`,
//! `stale` or `batch`) at once. Printed is, a line each, with times in microseconds since the Unix epoch:
//!
//! - `calling`: each call has been polled once.
//! - `load <n> <time>`: the origin starts, for the nth time in the whole fleet; `loaded <n> <time>`:
//!   it ends. Loads are counted in Redis, by a connection of the origin's own.
//! - `answer <n> <from> <to>`: a call has returned the value of the nth load; `failed 0 <from> <to>`.
//!   A batch has returned that many values, and counts a load of each id for itself.
//! - `done`: every call has returned. It then lives on until it is killed, for loads in the
//!   background.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "whoever started it learns what was missing"
)]

use std::collections::HashMap;
use std::env;
use std::future::pending;
use std::io::stdin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache_runtime::{Cache, Policy, cached};
use redis::aio::MultiplexedConnection;
use redis::{Client, cmd, pipe};
use tokio::task::{JoinSet, spawn_blocking, yield_now};
use tokio::time::sleep;

/// A loaded machine is no reason to go to the origin.
const POLICY: Policy = Policy::DEFAULT.timeout(Duration::from_secs(10));

const SHORT: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Origin {
    connection: MultiplexedConnection,
    key: String,
    takes: Duration,
}

impl Origin {
    async fn load(&self) -> Result<u64, Failed> {
        let mut connection = self.connection.clone();
        let counter = format!("loads:{}", self.key);
        let counted = cmd("INCR").arg(counter).query_async(&mut connection).await;
        let number: u64 = counted.map_err(|_| Failed)?;
        println!("load {number} {}", now());
        sleep(self.takes).await;
        println!("loaded {number} {}", now());
        Ok(number)
    }
}

#[derive(Debug, Clone)]
struct Failed;

/// Batches are made of these.
const IDS: u64 = 100;
const BATCH: u64 = 10;

/// Ids one after another, from anywhere.
fn ids(caller: usize) -> Vec<u64> {
    let first = (u64::from(std::process::id()) * 7 + caller as u64 * 3) % IDS;
    (first..first + BATCH).map(|id| id % IDS).collect()
}

#[cached(ttl = 600, key = "batch:{id}", skip(origin), policy = POLICY, each(id in ids))]
async fn batch(origin: &Origin, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
    let mut loads = pipe();
    for id in ids {
        loads.incr(format!("loads:{}:{id}", origin.key), 1);
    }
    let mut connection = origin.connection.clone();
    let counted = loads.query_async(&mut connection).await;
    let counted: Vec<u64> = counted.map_err(|_| Failed)?;
    sleep(origin.takes).await;
    Ok(ids.iter().copied().zip(counted).collect())
}

#[cached(ttl = 600, key = "value:{key}", skip(origin), policy = POLICY)]
async fn value(origin: &Arc<Origin>, key: &str) -> Result<u64, Failed> {
    origin.load().await
}

#[cached(ttl = 600, key = "short:{key}", skip(origin), policy = POLICY.lease(SHORT))]
async fn short_lease(origin: &Arc<Origin>, key: &str) -> Result<u64, Failed> {
    origin.load().await
}

#[cached(
    ttl = "200ms",
    stale_while_revalidate = 600,
    key = "stale:{key}",
    skip(origin),
    policy = POLICY
)]
async fn stale(origin: &Arc<Origin>, key: &str) -> Result<u64, Failed> {
    origin.load().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url: String = argument(1, "url");
    let key: String = argument(2, "key");
    let callers: usize = argument(3, "callers");
    let takes = Duration::from_millis(argument(4, "origin ms"));
    let function: String = argument(5, "function");

    let builder = Cache::builder().url(&url).namespace("fleet");
    let cache = builder.build().await.expect("a configuration");
    cache.ping().await.expect("a Redis");
    let client = Client::open(url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let origin = Arc::new(Origin {
        connection: connection.expect("a connection"),
        key,
        takes,
    });

    println!("ready");
    spawn_blocking(|| stdin().read_line(&mut String::new()))
        .await
        .expect("a thread")
        .expect("a line");

    let mut calls = JoinSet::new();
    for caller in 0..callers {
        let (origin, function) = (origin.clone(), function.clone());
        calls.spawn(cache.scope(async move {
            let from = now();
            let returned = match function.as_str() {
                "value" => value(&origin, &origin.key).await,
                "short_lease" => short_lease(&origin, &origin.key).await,
                "stale" => stale(&origin, &origin.key).await,
                "batch" => {
                    let found = batch(&origin, &ids(caller)).await;
                    found.map(|found| found.len() as u64)
                }
                unknown => panic!("there is no function {unknown}"),
            };
            let to = now();
            match returned {
                Ok(number) => println!("answer {number} {from} {to}"),
                Err(Failed) => println!("failed 0 {from} {to}"),
            }
        }));
    }
    // Those spawned before run before this one goes on.
    yield_now().await;
    println!("calling");
    calls.join_all().await;
    println!("done");
    pending().await
}

fn argument<T: FromStr>(at: usize, name: &str) -> T {
    let text = env::args().nth(at);
    let value = text.and_then(|text| text.parse().ok());
    value.unwrap_or_else(|| panic!("argument {at}, {name}"))
}

fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock that is set").as_micros()
}
