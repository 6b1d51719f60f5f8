//! Annotated functions on a real Redis: what a call costs there, and what its caller sees of the
//! server's troubles (nothing).

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use cache_runtime::{
    Cache, CacheError, NotStored, Outcome, Policy, StoreErrorKind, cached, invalidates, outcome,
    refresh, updates,
};
use support::{Mode, Proxy, RedisServer, briefly, eventually};
use tokio::runtime::Handle;

/// The origin: each user's name is versioned.
static VERSION: AtomicU64 = AtomicU64::new(0);

#[cached(ttl = 300, key = "name:{id}")]
async fn name(id: u64) -> Result<String, CacheError> {
    Ok(format!("name {id}"))
}

/// Of a row whose current version is passed in; the entry must never outlive it.
#[cached(ttl = 300, key = "row:{id}", skip(version))]
async fn row(id: u64, version: u64) -> u64 {
    version
}

#[updates(row(id))]
async fn set_row(id: u64, version: u64) -> u64 {
    version
}

#[invalidates(row(id))]
async fn touch_row(id: u64) -> u64 {
    VERSION.fetch_add(1, SeqCst)
}

async fn cache_at(url: &str) -> Cache {
    let cache = Cache::builder().url(url).namespace("shop").build().await;
    cache.expect("a valid configuration")
}

fn counts<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected
        .map(|(name, count)| (name.to_owned(), count))
        .into()
}

/// The commands sent by clients among those that the server has run; it also counts what scripts
/// run inside.
fn sent(counts: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let inside = ["getrange", "pexpire", "pttl", "set", "setrange", "time"];
    let mut sent = counts.clone();
    sent.retain(|command, _| !inside.contains(&command.as_str()));
    sent
}

#[tokio::test]
async fn a_hit_is_one_command_a_cold_load_three_and_nothing_is_asked_besides() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    cache
        .scope(async {
            // The server gets to know the scripts.
            row(9, 1).await;
            set_row(9, 1).await;

            let mut commands = server.commands().await;
            assert_eq!(outcome(row(1, 1)).await, (1, Outcome::Loaded));
            // The look-up, the lease and the fill.
            let counted = sent(&commands.counts().await);
            assert_eq!(counted, counts([("get", 1), ("evalsha", 2)]));

            commands.reset().await;
            for _ in 0..100 {
                assert_eq!(outcome(row(1, 2)).await, (1, Outcome::Hit));
            }
            assert_eq!(commands.counts().await, counts([("get", 100)]));

            commands.reset().await;
            set_row(1, 3).await;
            // The intent and the commit.
            assert_eq!(sent(&commands.counts().await), counts([("evalsha", 2)]));
            assert_eq!(outcome(row(1, 4)).await, (3, Outcome::Hit));

            commands.reset().await;
            row_entry(1)
                .invalidate()
                .await
                .expect("the server confirms");
            touch_row(1).await;
            assert_eq!(commands.counts().await, counts([("del", 2)]));
            assert_eq!(outcome(row(1, 5)).await, (5, Outcome::Loaded));
        })
        .await;
}

#[tokio::test]
async fn an_old_value_is_served_by_one_command_and_replaced_by_three() {
    #[cached(ttl = "1ms", key = "brief:{id}", stale_while_revalidate = "1h")]
    async fn brief(id: u64) -> u64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        id
    }

    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    cache
        .scope(async {
            brief(1).await;
            let refreshed = async |times: u64| {
                eventually("the refresh has been stored", async || {
                    let stats = cache.stats();
                    let row = stats.function("brief").expect("it was called");
                    (row.stored == times).then_some(())
                })
                .await;
            };
            eventually("the value is old", async || {
                (outcome(brief(1)).await.1 == Outcome::Stale).then_some(())
            })
            .await;
            refreshed(2).await;
            tokio::time::sleep(Duration::from_millis(10)).await;

            let mut commands = server.commands().await;
            for _ in 0..50 {
                assert_eq!(outcome(brief(1)).await, (1, Outcome::Stale));
            }
            refreshed(3).await;
            let counted = sent(&commands.counts().await);
            assert_eq!(counted, counts([("get", 50), ("evalsha", 2)]));
        })
        .await;
}

#[tokio::test]
async fn entries_have_a_ttl_and_readable_keys_and_are_shared_by_processes() {
    let server = RedisServer::start().await;
    let one = cache_at(&server.url()).await;
    let other = cache_at(&server.url()).await;
    one.scope(name(42)).await.expect("loaded");
    let (value, how) = other.scope(outcome(name(42))).await;
    assert_eq!(value.expect("a hit").as_str(), "name 42");
    assert_eq!(how, Outcome::Hit);
    let left: i64 = server.run(&["PTTL", "shop:name:42"]).await;
    assert!((1..=300_000).contains(&left), "{left} ms");
    other
        .scope(async { name_entry(42).invalidate().await })
        .await
        .expect("the server confirms");
    assert_eq!(one.scope(outcome(name(42))).await.1, Outcome::Loaded);
}

#[tokio::test]
async fn a_server_that_is_down_at_start_is_found_when_it_comes() {
    let mut server = RedisServer::stopped(&[]);
    let cache = cache_at(&server.url()).await;
    cache
        .scope(async {
            for id in 0..20 {
                let (value, how) = outcome(name(id)).await;
                assert_eq!(value.expect("the origin's result"), format!("name {id}"));
                let unavailable = NotStored::Store(StoreErrorKind::Unavailable);
                assert_eq!(how, Outcome::NotStored(unavailable));
            }
            server.restart().await;
            eventually("a hit", async || {
                (outcome(name(1)).await.1 == Outcome::Hit).then_some(())
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn a_killed_server_is_not_noticed_and_used_again_when_back() {
    let mut server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    cache
        .scope(async {
            name(1).await.expect("loaded");
            server.kill();
            for _ in 0..200 {
                assert_eq!(name(1).await.expect("the origin's result"), "name 1");
            }
            server.restart().await;
            eventually("a hit", async || {
                (outcome(name(1)).await.1 == Outcome::Hit).then_some(())
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn an_invalidation_that_is_not_confirmed_hides_the_entry_until_it_is() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    let elsewhere = cache_at(&server.url()).await;
    cache
        .scope(async {
            row(1, 1).await;
            row(2, 1).await;
            server.pause();
            // The function's result is unchanged, and this process never sees the old row again.
            touch_row(1).await;
            let direct = row_entry(2).invalidate().await;
            assert!(matches!(direct, Err(CacheError::Store(_))), "{direct:?}");
            assert_eq!(cache.stats().unconfirmed, 2);
            for id in [1, 2] {
                let hidden = (2, Outcome::NotStored(NotStored::Unconfirmed));
                assert_eq!(outcome(row(id, 2)).await, hidden);
            }
            server.resume();
            eventually("confirmation", async || {
                (cache.stats().unconfirmed == 0).then_some(())
            })
            .await;
        })
        .await;
    for id in [1, 2] {
        assert_eq!(
            elsewhere.scope(row(id, 3)).await,
            3,
            "deleted for everybody"
        );
    }
}

#[tokio::test]
async fn callers_share_a_load_also_while_an_invalidation_is_unconfirmed() {
    static LOADS: AtomicU64 = AtomicU64::new(0);

    #[cached(ttl = 300, key = "slow:{id}")]
    async fn slow(id: u64) -> u64 {
        LOADS.fetch_add(1, SeqCst);
        // Until every caller has come.
        tokio::time::sleep(Duration::from_millis(500)).await;
        id
    }

    let server = RedisServer::stopped(&[]);
    let cache = cache_at(&server.url()).await;
    let refused = cache
        .scope(async { slow_entry(1).invalidate().await })
        .await;
    refused.expect_err("the server is down");
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        callers.spawn(cache.scope(slow(1)));
    }
    assert_eq!(callers.join_all().await, [1; 100]);
    assert_eq!(LOADS.load(SeqCst), 1);
}

#[tokio::test]
async fn a_shutdown_waits_for_unconfirmed_invalidations() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    let elsewhere = cache_at(&server.url()).await;
    cache.scope(row(1, 1)).await;
    server.pause();
    cache.scope(touch_row(1)).await;
    let late = cache.shutdown(Duration::from_millis(10)).await;
    late.expect_err("the server is paused");

    let cache = cache_at(&server.url()).await;
    cache.scope(touch_row(1)).await;
    server.resume();
    cache
        .shutdown(Duration::from_secs(30))
        .await
        .expect("confirmed");
    assert_eq!(elsewhere.scope(row(1, 2)).await, 2);
}

/// Nobody could confirm them any more.
#[tokio::test]
async fn a_shutdown_ends_the_repetition_of_invalidations() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let server = RedisServer::stopped(&[]);
    let cache = cache_at(&server.url()).await;
    let entry = cache.entry::<u8>("k");
    entry.invalidate().await.expect_err("the server is down");
    let late = cache.shutdown(Duration::from_millis(10)).await;
    late.expect_err("the server is down");
    entry
        .invalidate()
        .await
        .expect_err("the cache is shut down");
    eventually("nothing is left running", async || {
        (tasks() == 0).then_some(())
    })
    .await;
    let late = cache.shutdown(Duration::from_secs(30)).await;
    late.expect_err("it is unconfirmed for good");
}

#[tokio::test]
async fn whatever_else_is_under_the_key_is_loaded_over() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    let key = "shop:name:1";
    let mut wrong: Vec<Vec<&str>> = vec![
        vec!["SET", key, ""],
        vec!["SET", key, "garbage"],
        vec![
            "SET",
            key,
            "CRE\u{7f}garbage of a future format that is longer than any header is",
        ],
        vec!["LPUSH", key, "a list"],
        vec!["SADD", key, "a set"],
    ];
    cache
        .scope(async {
            // Another key's entry under ours.
            name(2).await.expect("loaded");
            wrong.push(vec!["COPY", "shop:name:2", key]);
            for command in wrong {
                server.run::<redis::Value>(&["DEL", key]).await;
                server.run::<redis::Value>(&command).await;
                let (value, how) = outcome(name(1)).await;
                assert_eq!(value.expect("the origin's result"), "name 1", "{command:?}");
                assert_eq!(how, Outcome::Loaded, "{command:?}");
                assert_eq!(outcome(name(1)).await.1, Outcome::Hit, "{command:?}");
            }
        })
        .await;
}

#[tokio::test]
async fn a_full_server_serves_and_invalidates_but_takes_nothing() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    cache
        .scope(async {
            row(1, 1).await;
            let full: [&[&str]; 2] = [
                &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
                &["CONFIG", "SET", "maxmemory", "1"],
            ];
            for command in full {
                server.run::<redis::Value>(command).await;
            }
            assert_eq!(outcome(row(1, 2)).await, (1, Outcome::Hit));
            row_entry(1).invalidate().await.expect("works when full");
            let refused = Outcome::NotStored(NotStored::Store(StoreErrorKind::OutOfMemory));
            assert_eq!(outcome(row(1, 2)).await, (2, refused));
            // A write-through that is refused leaves no old value behind.
            server
                .run::<redis::Value>(&["CONFIG", "SET", "maxmemory", "0"])
                .await;
            row(1, 3).await;
            server
                .run::<redis::Value>(&["CONFIG", "SET", "maxmemory", "1"])
                .await;
            assert_eq!(set_row(1, 4).await, 4);
            eventually("the deletion", async || {
                (cache.stats().unconfirmed == 0).then_some(())
            })
            .await;
            assert_eq!(row(1, 4).await, 4);
        })
        .await;
}

#[tokio::test]
async fn garbage_from_the_network_and_silence_are_not_noticed() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port());
    let cache = cache_at(&proxy.url()).await;
    cache
        .scope(async {
            name(1).await.expect("loaded");
            for mode in [
                Mode::Garble(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
                Mode::Hang,
                Mode::Refuse,
            ] {
                proxy.set(mode);
                for id in 0..20 {
                    assert_eq!(
                        name(id).await.expect("the origin's result"),
                        format!("name {id}")
                    );
                }
                proxy.set(Mode::Forward);
                eventually("a hit", async || {
                    (outcome(name(1)).await.1 == Outcome::Hit).then_some(())
                })
                .await;
            }
        })
        .await;
}

#[tokio::test]
async fn clearing_by_pattern_stays_within_the_namespace() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    server.run::<()>(&["SET", "else:name:1", "not ours"]).await;
    cache
        .scope(async {
            for id in 0..100 {
                name(id).await.expect("loaded");
            }
            row(1, 1).await;
            assert_eq!(cache.clear("name:*").await.expect("cleared"), 100);
            assert_eq!(outcome(name(1)).await.1, Outcome::Loaded);
            assert_eq!(outcome(row(1, 2)).await, (1, Outcome::Hit));
        })
        .await;
    assert_eq!(
        server.run::<String>(&["GET", "else:name:1"]).await,
        "not ours"
    );
}

#[updates(row(a), row(b), row(c), row(d))]
async fn set_many(a: u64, b: u64, c: u64, d: u64) -> u64 {
    a + b + c + d
}

#[updates(row(a), row(b), only_ok)]
async fn set_if_ok(server: &RedisServer, a: u64, b: u64) -> Result<u64, CacheError> {
    server.pause();
    WRITTEN.store(true, SeqCst);
    Ok(a + b)
}

static WRITTEN: AtomicBool = AtomicBool::new(false);

#[tokio::test]
async fn all_that_a_write_does_to_a_server_that_hangs_costs_one_budget() {
    const BUDGET: Duration = Duration::from_secs(2);

    let server = RedisServer::start().await;
    let cache = Cache::builder()
        .url(server.url())
        .policy(Policy::DEFAULT.timeout(BUDGET))
        .build()
        .await
        .expect("a valid configuration");
    cache
        .scope(async {
            row(1, 1).await;
            server.pause();
            let start = std::time::Instant::now();
            assert_eq!(set_many(1, 2, 3, 4).await, 10);
            let took = start.elapsed();
            server.resume();
            // One budget and not four, with one more for a loaded machine.
            assert!(took < 2 * BUDGET, "{took:?}");
            assert_eq!(cache.stats().unconfirmed, 4);
        })
        .await;
}

#[tokio::test]
async fn a_write_that_succeeded_outdates_all_its_entries_although_its_caller_goes_away() {
    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    cache
        .scope(async {
            row(1, 1).await;
            row(2, 1).await;
            tokio::select! {
                written = set_if_ok(&server, 1, 2) => panic!("confirmed by nobody: {written:?}"),
                () = async {
                    eventually("the write", async || WRITTEN.load(SeqCst).then_some(())).await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                } => {}
            }
            server.resume();
            eventually("confirmation", async || {
                (cache.stats().unconfirmed == 0).then_some(())
            })
            .await;
            assert_eq!((row(1, 2).await, row(2, 2).await), (2, 2));
        })
        .await;
}

#[tokio::test]
async fn a_deletion_overtakes_no_fill_while_the_connection_is_being_made() {
    const PATIENT: Policy = Policy::DEFAULT.timeout(Duration::from_secs(20));

    static ROWS: AtomicU64 = AtomicU64::new(0);

    #[cached(ttl = 300, key = "patient:{id}", policy = PATIENT)]
    async fn patient(id: u64) -> (u64, u64) {
        (id, ROWS.load(SeqCst))
    }
    #[invalidates(patient(id))]
    async fn cut_off(id: u64) {
        ROWS.store(1, SeqCst);
        std::future::pending::<()>().await;
        let _ = id;
    }

    let server = RedisServer::start().await;
    server.pause();
    let cache = cache_at(&server.url()).await;
    let fills: Vec<_> = (0..50)
        .map(|id| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.scope(refresh(patient(id))).await })
        })
        .collect();
    // Long enough for the fills to set out, and shorter than an attempt to connect.
    tokio::time::sleep(Duration::from_millis(200)).await;
    cache
        .scope(async {
            for id in 0..50 {
                assert!(briefly(0, cut_off(id)).await.is_none());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.resume();
            for fill in fills {
                fill.await.expect("loaded");
            }
            eventually("confirmation", async || {
                (cache.stats().unconfirmed == 0).then_some(())
            })
            .await;
            for id in 0..50 {
                let left = patient_entry(id).peek().await.expect("the server answers");
                // A load that got its lease after the deletion has read what was written before.
                assert_ne!(left, Some((id, 0)), "filled after the deletion");
                assert_eq!(patient(id).await, (id, 1));
            }
        })
        .await;
}

#[tokio::test]
async fn a_write_that_came_to_nothing_holds_its_entry_off() {
    const LAGGING: Policy = Policy::DEFAULT.hold_off(Duration::from_secs(60));

    #[cached(ttl = 300, key = "lagging:{id}", policy = LAGGING)]
    async fn lagging(id: u64) -> u64 {
        id
    }

    /// The entry goes while the body runs.
    #[updates(lagging(id))]
    async fn set(id: u64) -> u64 {
        let deleted = lagging_entry(id).invalidate().await;
        deleted.expect("the server confirms");
        id
    }

    let server = RedisServer::start().await;
    let cache = cache_at(&server.url()).await;
    cache
        .scope(async {
            for id in 0..20 {
                set(id).await;
                let settled = async || (Cache::current().stats().unconfirmed == 0).then_some(());
                eventually("nothing is left to be deleted", settled).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                let (_, how) = outcome(lagging(id)).await;
                assert_eq!(how, Outcome::NotStored(NotStored::Leased), "{id}");
            }
        })
        .await;
}
