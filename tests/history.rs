//! Histories at random: nothing stale after an acknowledgement (G3), one load at a time (G2); and
//! nothing that was stale for longer than said, whatever befalls the connections that tell of changes.
//!
//! `cargo xtask check-history` runs them with seeds of its own for as long as one likes.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::env;
use std::str::FromStr;
use std::time::{Duration, Instant};

use cache_runtime::Cache;
use cache_runtime::test_util::{MemoryStore, Store, cache};
use support::RedisServer;
use support::history::{Config, History, Link, NEAR_LAG, Summary, Trouble};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

const OPERATIONS: usize = 100_000;

/// All processes on the embedded store, in paused time.
fn on_memory(config: Config, prepare: impl Fn(&Cache)) -> Summary {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let store = Store::Memory(MemoryStore::new(64 << 20));
        let history = History::new(config);
        let open = |_| {
            let cache = cache(&store, "history");
            prepare(&cache);
            cache
        };
        history.run_here(open).await;
        history.end()
    })
}

/// Each process on a thread and a runtime of its own, all on one Redis.
async fn on_redis(config: Config, prepare: impl Fn(&Cache) + Send + Sync + 'static) -> Summary {
    let server = RedisServer::start().await;
    let urls = vec![server.url(); config.processes];
    on_threads(config, urls, prepare).await
}

/// The same, with the connections in [`Trouble`] on which changes are told.
async fn in_trouble(config: Config, prepare: impl Fn(&Cache) + Send + Sync + 'static) -> Summary {
    let server = RedisServer::start().await;
    let processes = 0..config.processes;
    let ways: Vec<_> = processes
        .map(|process| Trouble::start(server.port(), config.seed, process))
        .collect();
    let urls = ways.iter().map(Trouble::url).collect();
    let summary = on_threads(config, urls, prepare).await;
    for (process, way) in ways.iter().enumerate() {
        println!("process {process}: {way}");
    }
    summary
}

/// Each process finds its Redis elsewhere.
async fn on_threads(
    config: Config,
    urls: Vec<String>,
    prepare: impl Fn(&Cache) + Send + Sync + 'static,
) -> Summary {
    let run = spawn_blocking(move || {
        let history = History::new(config);
        history.run_on_threads(async |process| {
            let url = urls.get(process).expect("a way for each");
            let builder = Cache::builder().url(url).namespace("history");
            let builder = builder.near_lag(NEAR_LAG);
            let cache = builder.build().await.expect("a configuration");
            prepare(&cache);
            cache
        });
        history.end()
    });
    run.await.expect("the run")
}

/// Fails if a promise was not kept, or if nothing was put to the test.
fn report(summary: &Summary) {
    print!("{summary}");
    summary.expect_kept();
    assert!(summary.loads > 0, "nothing was loaded");
    assert!(summary.compared > summary.operations / 2, "little was read");
}

/// Whether everything that can happen has happened.
fn report_everything(summary: &Summary) {
    report(summary);
    assert!(summary.floored > 0, "no read came after an invalidation");
    assert!(summary.dropped > 0, "nothing was dropped");
}

mod one_process {
    use super::*;

    fn alone(config: Config) -> Config {
        Config {
            processes: 1,
            clients: 12,
            ..config
        }
    }

    #[test]
    fn keeps_its_promises_on_the_embedded_store() {
        let config = alone(Config::everything(0x0e, OPERATIONS, Link::NONE));
        report_everything(&on_memory(config, |_| ()));
    }

    #[tokio::test]
    async fn keeps_its_promises_on_redis() {
        let config = alone(Config::everything(0x0e, OPERATIONS / 4, Link::NETWORK));
        report_everything(&on_redis(config, |_| ()).await);
    }

    #[test]
    fn loads_once_unless_something_happens() {
        let config = alone(Config::reads(0x0e, OPERATIONS / 4, Link::NONE));
        let summary = on_memory(config, |_| ());
        report(&summary);
        assert_eq!(summary.overlapping, 0, "{summary}");
    }
}

mod fleet {
    use super::*;

    #[test]
    fn keeps_its_promises_on_the_embedded_store() {
        let config = Config::everything(0xf1, OPERATIONS, Link::NONE);
        report_everything(&on_memory(config, |_| ()));
    }

    #[tokio::test]
    async fn keeps_its_promises_on_redis() {
        let config = Config {
            clients: 12,
            ..Config::everything(0xf1, OPERATIONS, Link::NETWORK)
        };
        let summary = on_redis(config, |_| ()).await;
        report_everything(&summary);
        assert!(summary.outcomes.contains_key("near hit"), "{summary}");
    }

    #[tokio::test]
    async fn keeps_its_promises_whatever_befalls_the_connections_that_tell() {
        let config = Config::copies(0xf1, OPERATIONS / 5, Link::NETWORK);
        let summary = in_trouble(config, |_| ()).await;
        report_everything(&summary);
        assert!(summary.outdated > 0, "nothing came too late");
    }

    #[test]
    fn loads_once_unless_something_happens() {
        let config = Config::reads(0xf1, OPERATIONS / 2, Link::NONE);
        let summary = on_memory(config, |_| ());
        report(&summary);
        assert_eq!(summary.overlapping, 0, "{summary}");
    }

    #[tokio::test]
    async fn loads_once_unless_something_happens_on_redis() {
        let config = Config::reads(0xf1, OPERATIONS / 4, Link::NETWORK);
        report(&on_redis(config, |_| ()).await);
    }
}

/// The checker is worth something only if it finds what it is to find: each rule of the protocol,
/// switched off, has to break a promise before its eyes.
#[expect(
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]
mod rules_switched_off {
    use cache_runtime::test_util::{Rule, break_rule};

    use super::*;

    /// Searches until a history shows that the rule is missed.
    fn is_missed(rule: Rule, promise: &str) {
        const SEEDS: u64 = 50;
        for seed in 0..SEEDS {
            let config = Config::everything(seed, OPERATIONS / 10, Link::NONE);
            let summary = on_memory(config, |cache| break_rule(cache, rule));
            if summary.to_string().contains(promise) {
                println!("{rule:?}, found with seed {seed}:\n{summary}");
                return;
            }
        }
        panic!("{SEEDS} histories without {rule:?} keep {promise}");
    }

    #[test]
    fn the_fence_is_missed() {
        is_missed(Rule::Fence, "G3:");
    }

    #[test]
    fn the_join_rule_is_missed() {
        is_missed(Rule::Join, "G3:");
    }

    #[test]
    fn the_intent_is_missed() {
        is_missed(Rule::Intent, "G3:");
    }

    #[test]
    fn the_generations_are_missed() {
        is_missed(Rule::Generations, "G3:");
    }

    /// There are copies only of what is on a Redis.
    #[tokio::test]
    async fn the_end_of_copies_is_missed() {
        const SEEDS: u64 = 20;
        for seed in 0..SEEDS {
            let config = Config::everything(seed, OPERATIONS / 4, Link::NETWORK);
            let summary = on_redis(config, |cache| break_rule(cache, Rule::Near)).await;
            if summary.to_string().contains("G3:") {
                println!("found with seed {seed}:\n{summary}");
                return;
            }
        }
        panic!("{SEEDS} histories with old copies keep G3");
    }

    /// Searches among histories in which changes are told too late, or not at all.
    async fn is_missed_in_trouble(rule: Rule) {
        const SEEDS: u64 = 20;
        for seed in 0..SEEDS {
            let config = Config::copies(seed, OPERATIONS / 5, Link::NETWORK);
            let summary = in_trouble(config, move |cache| break_rule(cache, rule)).await;
            if summary.to_string().contains("G3: a copy") {
                println!("{rule:?}, found with seed {seed}:\n{summary}");
                return;
            }
        }
        panic!("{SEEDS} histories without {rule:?} keep G3");
    }

    #[tokio::test]
    async fn the_bound_of_copies_is_missed() {
        is_missed_in_trouble(Rule::Proof).await;
    }

    #[tokio::test]
    async fn the_end_of_copies_with_their_connection_is_missed() {
        is_missed_in_trouble(Rule::Loss).await;
    }
}

/// The body of `cargo xtask check-history`: random seeds until the time is up.
#[tokio::test]
#[ignore = "cargo xtask check-history"]
async fn random_seeds() {
    let minutes: u64 = variable("HISTORY_MINUTES").unwrap_or(1);
    let first: u64 = variable("HISTORY_SEED").unwrap_or(0);
    let store: String = variable("HISTORY_STORE").unwrap_or_default();
    let start = Instant::now();
    for seed in first.. {
        if store != "redis" {
            println!("--- seed {seed}, on the embedded store");
            let everything = Config::everything(seed, OPERATIONS / 4, Link::NONE);
            let reads = Config::reads(seed, OPERATIONS / 10, Link::NONE);
            for config in [everything, reads] {
                let run = spawn_blocking(|| on_memory(config, |_| ()));
                report(&run.await.expect("the run"));
            }
        }
        if store != "memory" {
            println!("--- seed {seed}, on Redis");
            let config = Config::everything(seed, OPERATIONS / 10, Link::NETWORK);
            report(&on_redis(config, |_| ()).await);
            println!("--- seed {seed}, with trouble for what tells of changes");
            let config = Config::copies(seed, OPERATIONS / 4, Link::NETWORK);
            report(&in_trouble(config, |_| ()).await);
        }
        if start.elapsed() >= Duration::from_secs(60 * minutes) {
            return;
        }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}
