//! A process that reads its copies without a rest, for the tests of processes that are paused.
//!
//! `reader <url> <rows> <lag ms> [<rule>]` calls an annotated function with `near` for each of the
//! rows, again and again until it is killed, without the `rule` (`Proof`) if there is one. The origin
//! of a row is the version under `origin:<row>` in the same Redis. Printed is, a line each:
//!
//! - `copied <row> <version>`: a copy serves this version, for the first time.
//! - `served <row> <version> <nanoseconds>`: from now on another version is served. The last call
//!   that returned this one began at this time of the clock that all processes share.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "whoever started it learns what was missing"
)]

use std::env;
use std::str::FromStr;
use std::time::Duration;

use cache_runtime::test_util::{Rule, break_rule};
use cache_runtime::{Cache, Outcome, cached, outcome};
use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};
use support::shared_now;
use tokio::task::yield_now;

/// After so many calls others may have the thread.
const TURN: usize = 64;

#[cached(ttl = 300, key = "row:{row}", skip(origin), near)]
async fn version(origin: &MultiplexedConnection, row: usize) -> u64 {
    let mut connection = origin.clone();
    let key = format!("origin:{row}");
    let read = cmd("GET").arg(key).query_async(&mut connection).await;
    read.expect("a row")
}

/// What is served of a row.
#[derive(Debug, Clone, Copy, Default)]
struct Served {
    version: u64,
    /// When the last call began that returned it.
    at: Duration,
    /// Whether by a copy.
    is_copied: bool,
}

// The copies are read on this thread, and what changes them is heard on the other one.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let url: String = argument(1, "url");
    let rows: usize = argument(2, "rows");
    let lag = Duration::from_millis(argument(3, "lag ms"));

    let builder = Cache::builder().url(&url).namespace("pauses").near_lag(lag);
    let cache = builder.build().await.expect("a configuration");
    match env::args().nth(4).as_deref() {
        None => {}
        Some("Proof") => break_rule(&cache, Rule::Proof),
        Some(unknown) => panic!("there is no rule {unknown} here"),
    }
    let client = Client::open(url).expect("a URL");
    let origin = client.get_multiplexed_async_connection().await;
    cache
        .scope(read(&origin.expect("a connection"), rows))
        .await;
}

async fn read(origin: &MultiplexedConnection, rows: usize) {
    let mut served = vec![Served::default(); rows];
    for call in 0.. {
        for (row, served) in served.iter_mut().enumerate() {
            let at = shared_now();
            let (version, how) = outcome(version(origin, row)).await;
            if version != served.version {
                println!("served {row} {} {}", served.version, served.at.as_nanos());
                *served = Served::default();
            }
            if how == Outcome::Near && !served.is_copied {
                println!("copied {row} {version}");
                served.is_copied = true;
            }
            (served.version, served.at) = (version, at);
        }
        if call % TURN == 0 {
            yield_now().await;
        }
    }
}

fn argument<T: FromStr>(at: usize, name: &str) -> T {
    let text = env::args().nth(at);
    let value = text.and_then(|text| text.parse().ok());
    value.unwrap_or_else(|| panic!("argument {at}, {name}"))
}
