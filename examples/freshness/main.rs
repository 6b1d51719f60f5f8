//! How old a value may be, and who waits for a new one: stale spans, early refresh, `expire()`.
//!
//! ```sh
//! cargo run --example freshness
//! CACHE_URL=redis://127.0.0.1 cargo run --example freshness
//! ```
//!
//! Read `pages.rs` first: that is what an application writes. The value of each call is the number
//! of the load it comes from; a load takes 200 ms.

#![expect(
    unreachable_pub,
    reason = "`pub` reads better than `pub(crate)` in an example"
)]

mod origin;
mod pages;
mod table;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cache_runtime::{Cache, Entry, outcome};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use origin::{Down, Origin};
use pages::{forecast, forecast_entry, news, news_entry, price, price_entry, rate, rate_entry};
use table::Table;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Longer than the `ttl` of what is called.
const A_WHILE: Duration = Duration::from_millis(350);

#[tokio::main]
async fn main() -> ExitCode {
    match tell().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn tell() -> Result {
    // What an earlier run may have left in Redis.
    for entry in [news_entry(), rate_entry(), price_entry(), forecast_entry()] {
        entry.invalidate().await?;
    }
    revalidated().await?;
    failing().await?;
    impatient().await?;
    early().await?;
    // Loads in the background end before the process does.
    Ok(Cache::current().shutdown(Duration::from_secs(5)).await?)
}

/// `stale_while_revalidate`: whoever comes after the `ttl` gets the old value at once, and one load
/// in the background replaces it. `expire()` ends the `ttl` by hand.
async fn revalidated() -> Result {
    let origin = Origin::default();
    let table = Table::new(&origin);
    table.headline("stale_while_revalidate: nobody waits but the first");
    table.call("news()", news(&origin)).await?;
    table.call("news()", news(&origin)).await?;
    sleep(A_WHILE).await;

    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let origin = origin.clone();
        callers.spawn(async move {
            let (value, how) = outcome(news(&origin)).await;
            value.map(|value| (value, how))
        });
    }
    let calls: std::result::Result<Vec<_>, _> = callers.join_all().await.into_iter().collect();
    table.calls("news() by 50 at once", &calls?, start);
    newer(&news_entry(), 1).await?;
    let value = table.call("news()", news(&origin)).await?;

    news_entry().expire().await?;
    table.event("news_entry().expire()");
    table.call("news()", news(&origin)).await?;
    newer(&news_entry(), value).await?;
    table.call("news()", news(&origin)).await?;
    Ok(())
}

/// `stale_if_error`: whoever comes after the `ttl` waits for a load, and gets the old value if it
/// fails. Then nobody tries for `Policy::retry`, a second.
async fn failing() -> Result {
    let origin = Origin::default();
    let table = Table::new(&origin);
    table.headline("stale_if_error: an old value instead of an error");
    table.call("rate()", rate(&origin)).await?;
    sleep(A_WHILE).await;
    origin.fails(true);
    table.event("the origin fails from now on");
    table.call("rate()", rate(&origin)).await?;
    table.call("rate()", rate(&origin)).await?;
    table.event("nobody asks the origin for a second");
    sleep(Duration::from_millis(1050)).await;
    table.call("rate()", rate(&origin)).await?;
    origin.fails(false);
    table.event("the origin is back");
    sleep(Duration::from_millis(1050)).await;
    table.call("rate()", rate(&origin)).await?;
    Ok(())
}

/// `Policy::soft_timeout`: whoever could have an old value stops waiting for the load, which goes on
/// in the background.
async fn impatient() -> Result {
    let origin = Origin::default();
    let table = Table::new(&origin);
    table.headline("soft_timeout: 50 ms of patience, with an old value at hand");
    table.call("price()", price(&origin)).await?;
    sleep(A_WHILE).await;
    let value = table.call("price()", price(&origin)).await?;
    newer(&price_entry(), value).await?;
    table.call("price()", price(&origin)).await?;
    Ok(())
}

/// `Policy::early_refresh`: a value that is asked for often is replaced before its `ttl` is over.
async fn early() -> Result {
    let origin = Origin::default();
    let table = Table::new(&origin);
    table.headline("early_refresh: a ttl of a second, asked for every 5 ms");
    table.call("forecast()", forecast(&origin)).await?;
    let start = Instant::now();
    let mut calls = Vec::new();
    while start.elapsed() < Duration::from_millis(2500) {
        sleep(Duration::from_millis(5)).await;
        let (value, how) = outcome(forecast(&origin)).await;
        calls.push((value?, how));
    }
    table.calls("forecast() for 2.5 s", &calls, start);
    Ok(())
}

/// Waits until the load in the background has stored a newer value than this.
async fn newer(entry: &Entry<std::result::Result<u64, Down>>, old: u64) -> Result {
    let there = async {
        while entry.peek().await?.is_none_or(|value| value <= old) {
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    timeout(Duration::from_secs(10), there).await?
}
