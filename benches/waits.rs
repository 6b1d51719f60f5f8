//! What waiting for another process costs: `cargo bench -p cache-benches --bench waits`.
//!
//! Two caches that share nothing but a Redis stand for two processes: one loads, a caller of the
//! other waits for it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_benches::RedisServer;
use cache_runtime::{Cache, Outcome, cached, outcome};
use redis::aio::MultiplexedConnection;
use tokio::sync::oneshot;

const ROUNDS: u64 = 300;
const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(4);

#[cached(ttl = 3600, key = "slow:{round}", skip(takes, cache), cache = cache)]
async fn slow(cache: &Cache, round: u64, takes: Duration) -> u64 {
    tokio::time::sleep(takes).await;
    round
}

fn main() -> Result<(), Box<dyn Error>> {
    let server = RedisServer::start()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let url = server.url();
        let open = async || Cache::builder().url(&url).build().await;
        let [one, other] = [open().await?, open().await?].map(Arc::new);

        let mut delays = Vec::new();
        for round in 0..ROUNDS {
            delays.extend(delay(&one, &other, round, SHORT).await?);
        }
        delays.sort();
        let at = |part: f64| {
            let place = (delays.len() as f64 * part) as usize;
            delays.get(place).copied().unwrap_or_default()
        };
        println!(
            "From the answer of the one that loads to the answer of one that waits, {} loads of \
             {SHORT:?}: p50 {:?}, p99 {:?}",
            delays.len(),
            at(0.5),
            at(0.99)
        );

        let client = redis::Client::open(url.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let before = commands(&mut connection).await?;
        delay(&one, &other, ROUNDS, LONG).await?;
        // Without the question itself.
        let sent = commands(&mut connection).await?.saturating_sub(before + 1);
        println!(
            "Commands in a load of {LONG:?}, renewals and those inside scripts included: {sent}, \
             {:.1} a second",
            sent as f64 / LONG.as_secs_f64()
        );
        Ok(())
    })
}

/// How much later than the caller that loads the one that waits has its answer; none if it came too
/// late to wait.
async fn delay(
    one: &Arc<Cache>,
    other: &Arc<Cache>,
    round: u64,
    takes: Duration,
) -> Result<Option<Duration>, Box<dyn Error>> {
    let (loaded, answered) = oneshot::channel();
    let loads = tokio::spawn({
        let one = one.clone();
        async move {
            slow(&one, round, takes).await;
            let _ = loaded.send(Instant::now());
        }
    });
    tokio::time::sleep(SHORT / 3).await;
    let (_, how) = outcome(slow(other, round, takes)).await;
    let now = Instant::now();
    loads.await?;
    let answered = answered.await?;
    Ok((how == Outcome::Joined).then(|| now.saturating_duration_since(answered)))
}

async fn commands(connection: &mut MultiplexedConnection) -> Result<u64, Box<dyn Error>> {
    let mut command = redis::cmd("INFO");
    let info: String = command.arg("stats").query_async(connection).await?;
    let field = |line: &str| {
        line.strip_prefix("total_commands_processed:")?
            .trim()
            .parse()
            .ok()
    };
    info.lines()
        .find_map(field)
        .ok_or_else(|| "no count of commands".into())
}
