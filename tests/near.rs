//! The near cache: hits without a word to the server, and nothing old longer than said.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use cache_runtime::{
    Bypass, Cache, NotStored, Outcome, cached, invalidates, outcome, refresh, uncached, updates,
};
use support::history::TRACKING;
use support::{Mode, Proxy, RedisServer, eventually, within};

/// Longer than a test takes: what is not told is not noticed.
const LONG: Duration = Duration::from_secs(60);

const LAG: Duration = Duration::from_millis(200);

/// A row that the origin reads.
#[derive(Debug, Default)]
struct Row {
    version: AtomicU64,
    runs: AtomicU64,
}

impl Row {
    fn read(&self) -> u64 {
        self.runs.fetch_add(1, SeqCst);
        self.version.load(SeqCst)
    }

    fn write(&self, version: u64) {
        self.version.store(version, SeqCst);
    }
}

#[cached(ttl = 300, key = "row:{id}", skip(row), near)]
async fn row(row: &Row, id: u64) -> u64 {
    row.read()
}

#[cached(ttl = 300, key = "brief:{id}", skip(row), near = "50ms")]
async fn brief(row: &Row, id: u64) -> u64 {
    row.read()
}

#[cached(ttl = 300, key = "shared:{id}", near)]
async fn shared(id: u64) -> Result<Arc<str>, String> {
    Ok(Arc::from(format!("value of {id}")))
}

#[cached(ttl = 300, skip(row), near)]
async fn by_default(row: &Row, id: u64, name: &str) -> Option<String> {
    Some(format!("{name} {id} {}", row.read()))
}

#[cached(
    ttl = 300,
    key = "tagged:{id}",
    tags("of:{owner}", "all"),
    skip(row, owner),
    near
)]
async fn tagged(row: &Row, id: u64, owner: u64) -> u64 {
    row.read()
}

/// Keys with numbers and other things in their places, and values that are shared.
mod keys {
    use super::*;

    #[cached(ttl = 300, key = "number:{id}", near)]
    pub async fn signed(id: i64) -> Arc<String> {
        Arc::new(format!("signed {id}"))
    }

    /// Shares entries with `signed`.
    #[cached(ttl = 300, key = "number:{number}", near)]
    pub async fn unsigned(number: u64) -> Arc<String> {
        Arc::new(format!("unsigned {number}"))
    }

    /// Shares entries with both.
    #[cached(ttl = 300, key = "number:{text}", near)]
    pub async fn text(text: &str) -> Result<Arc<String>, String> {
        Ok(Arc::new(format!("text {text}")))
    }

    #[cached(ttl = 300, key = "{shelf.0}/{{x}}:{book}", near = "1h")]
    pub async fn two(shelf: (u8,), book: &usize) -> Result<Arc<String>, String> {
        Ok(Arc::new(format!("two {} {book}", shelf.0)))
    }

    #[cached(ttl = 300, key = "three:{a}:{b}:{c}", near)]
    pub async fn three(a: u64, b: u64, c: u64) -> Arc<String> {
        Arc::new(format!("three {a} {b} {c}"))
    }

    #[cached(ttl = 300, key = "large:{id}", near)]
    pub async fn large(id: u128) -> Option<Arc<String>> {
        Some(Arc::new(format!("large {id}")))
    }

    #[cached(ttl = 300, key = "padded:{id:05}", near)]
    pub async fn padded(id: u64) -> Arc<String> {
        Arc::new(format!("padded {id}"))
    }

    #[cached(ttl = 300, key = "7:{id}0", near)]
    pub async fn before_a_digit(id: u64) -> Arc<String> {
        Arc::new(format!("before {id}"))
    }

    #[cached(ttl = 300, key = "{name}", near)]
    pub async fn bare(name: &str) -> Arc<String> {
        Arc::new(format!("bare {name}"))
    }

    #[cached(ttl = 300, key = "all numbers", near)]
    pub async fn none() -> Arc<String> {
        Arc::new("none".to_owned())
    }
}

#[invalidates(row(id))]
async fn delete(of: &Row, id: u64, version: u64) {
    of.write(version);
}

#[updates(row(id))]
async fn set(of: &Row, id: u64, version: u64) -> u64 {
    of.write(version);
    version
}

#[invalidates(tag("of:{owner}"))]
async fn forget_owner(of: &Row, owner: u64, version: u64) {
    of.write(version);
}

async fn cache(url: &str, lag: Duration) -> Cache {
    let cache = Cache::builder().url(url).namespace("shop").near_lag(lag);
    cache.build().await.expect("a cache")
}

/// Calls until a copy serves, which shows that the server tells of changes by then.
async fn nearby(row_of: &Row, id: u64) {
    eventually("a copy serves", async || {
        (outcome(row(row_of, id)).await.1 == Outcome::Near).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_copy_serves_without_a_command() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let cache = cache(&server.url(), LONG).await;
    cache
        .scope(async {
            assert_eq!(outcome(row(&of, 1)).await, (0, Outcome::Loaded));
            nearby(&of, 1).await;
            let mut commands = server.commands().await;
            for _ in 0..100 {
                assert_eq!(row(&of, 1).await, 0);
            }
            assert_eq!(outcome(row(&of, 1)).await, (0, Outcome::Near));
            let mut counts = commands.counts().await;
            counts.remove("ping");
            assert_eq!(counts, BTreeMap::new(), "but for the signs of life");
            assert_eq!(of.runs.load(SeqCst), 1);
            let stats = Cache::current().stats();
            let function = stats.function("row").expect("a row");
            assert!(function.near >= 101, "{stats}");
            assert_eq!(function.calls, function.near + function.hits + 1);
            assert_eq!(stats.copies, 1);
            assert!(stats.copied_bytes > 0);
        })
        .await;
}

#[tokio::test]
async fn values_of_every_shape() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let cache = cache(&server.url(), LONG).await;
    cache
        .scope(async {
            eventually("copies serve", async || {
                let (value, how) = outcome(shared(7)).await;
                assert_eq!(value.as_deref(), Ok("value of 7"));
                (how == Outcome::Near).then_some(())
            })
            .await;
            let first = shared(7).await.expect("a value");
            let again = shared(7).await.expect("a value");
            assert!(Arc::ptr_eq(&first, &again), "one copy for all");
            eventually("copies serve", async || {
                let (value, how) = outcome(by_default(&of, 7, "a:b")).await;
                assert_eq!(value.as_deref(), Some("a:b 7 0"));
                (how == Outcome::Near).then_some(())
            })
            .await;
            // Another argument is another entry.
            assert_eq!(shared(8).await.as_deref(), Ok("value of 8"));
            assert_eq!(by_default(&of, 7, "b").await.as_deref(), Some("b 7 0"));
        })
        .await;
}

#[tokio::test]
async fn copies_are_told_apart_by_whatever_is_in_their_keys() {
    let server = RedisServer::start().await;
    let cache = cache(&server.url(), LONG).await;
    macro_rules! kept {
        ($call:expr, $value:expr, $key:expr) => {
            eventually("a copy serves", async || {
                let (value, how) = outcome($call).await;
                assert_eq!(format!("{value:?}"), $value, "{how}");
                (how == Outcome::Near).then_some(())
            })
            .await;
            let key = concat!("shop:", $key);
            let deleted: u64 = server.run(&["DEL", key]).await;
            assert_eq!(deleted, 1, "there is {key}");
            eventually("the change is told", async || {
                (outcome($call).await.1 != Outcome::Near).then_some(())
            })
            .await;
            eventually("a copy serves again", async || {
                (outcome($call).await.1 == Outcome::Near).then_some(())
            })
            .await;
        };
    }
    let all = async {
        use keys::*;
        kept!(signed(-1), r#""signed -1""#, "number:-1");
        kept!(signed(7), r#""signed 7""#, "number:7");
        let most = u64::MAX;
        kept!(
            unsigned(most),
            r#""unsigned 18446744073709551615""#,
            "number:18446744073709551615"
        );
        assert_eq!(signed(-1).await.as_str(), "signed -1");
        assert_eq!(
            outcome(unsigned(7)).await,
            (signed(7).await, Outcome::Near),
            "one entry"
        );
        let by_text = text("7").await.expect("a value");
        assert_eq!(by_text.as_str(), "signed 7", "one entry");
        kept!(text("007"), r#"Ok("text 007")"#, "number:007");
        kept!(two((3,), &4), r#"Ok("two 3 4")"#, "3/{x}:4");
        kept!(two((4,), &3), r#"Ok("two 4 3")"#, "4/{x}:3");
        kept!(three(1, 2, 3), r#""three 1 2 3""#, "three:1:2:3");
        kept!(
            large(1 << 64),
            r#"Some("large 18446744073709551616")"#,
            "large:18446744073709551616"
        );
        kept!(large(1), r#"Some("large 1")"#, "large:1");
        kept!(padded(7), r#""padded 7""#, "padded:00007");
        kept!(padded(1_234_567), r#""padded 1234567""#, "padded:1234567");
        kept!(before_a_digit(1), r#""before 1""#, "7:10");
        kept!(none(), r#""none""#, "all numbers");
        // A copy for numbers and one for text, of one entry.
        eventually("a copy serves", async || {
            (outcome(text("7")).await.1 == Outcome::Near).then_some(())
        })
        .await;
        signed_entry(7).invalidate().await.expect("Redis answers");
        assert_eq!(outcome(text("7")).await.1, Outcome::Loaded);
        assert_eq!(signed(7).await.as_str(), "text 7");
    };
    cache.scope(all).await;
}

#[tokio::test]
async fn functions_that_come_later_cost_no_copies() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let cache = cache(&server.url(), LONG).await;
    let all = async {
        nearby(&of, 1).await;
        eventually("copies of another function serve", async || {
            assert_eq!(outcome(row(&of, 1)).await, (0, Outcome::Near));
            (outcome(tagged(&of, 1, 7)).await.1 == Outcome::Near).then_some(())
        })
        .await;
        // All keys begin like those of this function, and the server tells of no key twice.
        eventually("copies of a function without a literal serve", async || {
            (outcome(keys::bare("x")).await.1 == Outcome::Near).then_some(())
        })
        .await;
        nearby(&of, 1).await;
        eventually("copies with tags serve again", async || {
            (outcome(tagged(&of, 1, 7)).await.1 == Outcome::Near).then_some(())
        })
        .await;
        for key in ["row:1", "tagged:1", "x"] {
            let deleted: u64 = server.run(&["DEL", &format!("shop:{key}")]).await;
            assert_eq!(deleted, 1, "{key}");
        }
        eventually("all changes are told", async || {
            (Cache::current().stats().copies == 0).then_some(())
        })
        .await;
    };
    cache.scope(all).await;
}

#[tokio::test]
async fn the_wrappers_around_a_call_are_heard() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let cache = cache(&server.url(), LONG).await;
    cache
        .scope(async {
            nearby(&of, 1).await;
            of.write(1);
            let bypassed = Outcome::Bypassed(Bypass::Uncached);
            assert_eq!(outcome(uncached(row(&of, 1))).await, (1, bypassed));
            assert_eq!(row(&of, 1).await, 0, "nothing was stored");
            assert_eq!(outcome(refresh(row(&of, 1))).await, (1, Outcome::Loaded));
            assert_eq!(row(&of, 1).await, 1, "the old copy is gone");
        })
        .await;
}

#[tokio::test]
async fn own_changes_are_seen_at_once() {
    let server = RedisServer::start().await;
    let of = Row::default();
    // Nothing is told in time: what is seen is this process's own.
    let cache = cache(&server.url(), LONG).await;
    cache
        .scope(async {
            for version in 1..200 {
                nearby(&of, 1).await;
                match version % 4 {
                    0 => delete(&of, 1, version).await,
                    1 => assert_eq!(set(&of, 1, version).await, version),
                    2 => {
                        of.write(version);
                        row_entry(1).invalidate().await.expect("confirmed");
                    }
                    _ => {
                        of.write(version);
                        row_entry(1).put(&version).await.expect("confirmed");
                    }
                }
                eprintln!("{:?} {version}", outcome(row(&of, 1)).await);
                assert_eq!(row(&of, 1).await, version);
            }
            nearby(&of, 1).await;
            of.write(1000);
            Cache::current().clear("row:*").await.expect("cleared");
            assert_eq!(row(&of, 1).await, 1000);
        })
        .await;
}

/// What could not be invalidated is hidden in this process, copies included, as long as that is so.
#[tokio::test]
async fn an_invalidation_that_is_not_confirmed_hides_copies() {
    let server = RedisServer::start().await;
    let user = [
        "ACL", "SETUSER", "amy", "on", ">pw", "~*", "&*", "+@all", "-del",
    ];
    server.run::<()>(&user).await;
    let of = Row::default();
    let url = format!("redis://amy:pw@127.0.0.1:{}", server.port());
    let cache = cache(&url, LONG).await;
    cache
        .scope(async {
            nearby(&of, 1).await;
            of.write(1);
            row_entry(1).invalidate().await.expect_err("not allowed");
            for _ in 0..100 {
                assert_eq!(row(&of, 1).await, 1);
            }
            assert_eq!(Cache::current().stats().unconfirmed, 1);
            server.run::<()>(&["ACL", "SETUSER", "amy", "+del"]).await;
            nearby(&of, 1).await;
            assert_eq!(row(&of, 1).await, 1);
        })
        .await;
}

#[tokio::test]
async fn a_cache_that_is_shut_down_keeps_nothing() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let cache = cache(&server.url(), LONG).await;
    cache
        .scope(async {
            nearby(&of, 1).await;
            Cache::current().shutdown(LONG).await.expect("an end");
            of.write(1);
            for _ in 0..10 {
                assert_eq!(row(&of, 1).await, 1);
            }
            eventually("nobody is connected", async || {
                let list: String = server.run(&["CLIENT", "LIST"]).await;
                let others = list
                    .lines()
                    .filter(|line| !line.contains("cmd=client|list"));
                (others.count() == 0).then_some(())
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn changes_made_elsewhere_are_told() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let here = cache(&server.url(), LONG).await;
    let elsewhere = cache(&server.url(), LONG).await;
    let told = async |version| {
        eventually("the change is noticed", async || {
            (row(&of, 1).await == version).then_some(())
        })
        .await;
    };
    here.scope(async {
        nearby(&of, 1).await;
        // By another process.
        elsewhere.scope(delete(&of, 1, 1)).await;
        told(1).await;
        nearby(&of, 1).await;
        elsewhere.scope(set(&of, 1, 2)).await;
        told(2).await;
        // By any client.
        nearby(&of, 1).await;
        of.write(3);
        server.run::<()>(&["DEL", "shop:row:1"]).await;
        told(3).await;
        nearby(&of, 1).await;
        of.write(4);
        server.run::<()>(&["SET", "shop:row:1", "garbage"]).await;
        told(4).await;
        nearby(&of, 1).await;
        of.write(5);
        server.run::<()>(&["FLUSHALL"]).await;
        told(5).await;
    })
    .await;
}

#[tokio::test]
async fn a_tag_outdates_copies_here_and_elsewhere() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let here = cache(&server.url(), LONG).await;
    let elsewhere = cache(&server.url(), LONG).await;
    let nearby = async |id, owner| {
        eventually("a copy serves", async || {
            (outcome(tagged(&of, id, owner)).await.1 == Outcome::Near).then_some(())
        })
        .await;
    };
    here.scope(async {
        nearby(1, 7).await;
        nearby(2, 8).await;
        forget_owner(&of, 7, 1).await;
        assert_eq!(tagged(&of, 1, 7).await, 1);
        assert_eq!(
            outcome(tagged(&of, 2, 8)).await,
            (0, Outcome::Near),
            "of another owner"
        );
        nearby(1, 7).await;
        elsewhere.scope(forget_owner(&of, 7, 2)).await;
        eventually("the change is noticed", async || {
            (tagged(&of, 1, 7).await == 2).then_some(())
        })
        .await;
        // Under other tags it is not the same value.
        nearby(1, 7).await;
        of.write(3);
        assert_eq!(tagged(&of, 1, 9).await, 3);
        of.write(4);
        Cache::current()
            .invalidate_tag("all")
            .await
            .expect("confirmed");
        assert_eq!(tagged(&of, 2, 8).await, 4);
    })
    .await;
}

/// The server answers nobody any more, so nothing is told: what may have changed is not served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_proof_copies_serve_for_the_lag_and_not_longer() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let cache = cache(&server.url(), LAG).await;
    cache
        .scope(async {
            nearby(&of, 1).await;
            server.pause();
            let paused = Instant::now();
            of.write(1);
            // From here on each call is a near hit, or goes to the origin.
            let served = eventually("copies end", async || {
                let before = Instant::now();
                (row(&of, 1).await == 1).then_some(before)
            })
            .await;
            assert_eq!(row(&of, 1).await, 1, "and do not come back");
            let late = served.saturating_duration_since(paused);
            assert!(late < LAG * 20, "{late:?}, on however loaded a machine");
            server.resume();
            nearby(&of, 1).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_end_with_the_connection_and_come_back_with_the_next() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port());
    let of = Row::default();
    let cache = cache(&proxy.url(), LAG).await;
    cache
        .scope(async {
            for version in 1..6 {
                nearby(&of, 1).await;
                match version % 2 {
                    0 => proxy.strand(),
                    _ => {
                        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
                        server.run::<()>(&kill).await;
                    }
                }
                // Nobody tells of this one, unless it is connected again already.
                of.write(version);
                server.run::<()>(&["DEL", "shop:row:1"]).await;
                eventually("the change is noticed", async || {
                    (row(&of, 1).await == version).then_some(())
                })
                .await;
            }
            proxy.set(Mode::Refuse);
            of.write(10);
            eventually("copies end", async || {
                (row(&of, 1).await == 10).then_some(())
            })
            .await;
            proxy.set(Mode::Forward);
            server.run::<()>(&["DEL", "shop:row:1"]).await;
            nearby(&of, 1).await;
        })
        .await;
}

/// The next connection proves that copies may serve, and knows nothing of what went untold before.
#[tokio::test]
async fn nothing_old_outlives_a_reconnection() {
    /// Not before a quarter of it is over is there another connection.
    const LAG: Duration = Duration::from_secs(2);
    let server = RedisServer::start().await;
    let proxy = Proxy::start_against(server.port(), TRACKING);
    let of = Row::default();
    let here = cache(&proxy.url(), LAG).await;
    // Whoever loads a row has no copy of before: all loads are elsewhere.
    let elsewhere = cache(&server.url(), LAG).await;
    let change = async |version| {
        elsewhere.scope(delete(&of, 1, version)).await;
        assert_eq!(elsewhere.scope(row(&of, 1)).await, version);
    };
    elsewhere.scope(row(&of, 2)).await;
    change(0).await;
    here.scope(async {
        let is_copy = async |id| outcome(row(&of, id)).await.1 == Outcome::Near;
        for version in 1..7 {
            nearby(&of, 1).await;
            nearby(&of, 2).await;
            let is_told = version % 2 == 0;
            if is_told {
                // And it does not arrive.
                proxy.set(Mode::Hang);
                change(version).await;
            }
            proxy.set(Mode::Refuse);
            eventually("the loss is noticed", async || {
                (!is_copy(2).await && !is_copy(2).await).then_some(())
            })
            .await;
            if !is_told {
                change(version).await;
            }
            proxy.set(Mode::Forward);
            nearby(&of, 2).await;
            assert_eq!(row(&of, 1).await, version);
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_tell_bounds_copies_by_the_lag() {
    let server = RedisServer::start().await;
    let user = [
        "ACL",
        "SETUSER",
        "amy",
        "on",
        ">pw",
        "~*",
        "&*",
        "+@all",
        "-client|tracking",
    ];
    server.run::<()>(&user).await;
    let of = Row::default();
    let url = format!("redis://amy:pw@127.0.0.1:{}", server.port());
    let cache = cache(&url, LAG).await;
    cache
        .scope(async {
            nearby(&of, 1).await;
            of.write(1);
            server.run::<()>(&["DEL", "shop:row:1"]).await;
            eventually("the change is noticed", async || {
                (row(&of, 1).await == 1).then_some(())
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn a_copy_lives_for_its_own_time_and_that_of_the_value() {
    let server = RedisServer::start().await;
    let of = Row::default();
    let cache = cache(&server.url(), LONG).await;
    cache
        .scope(async {
            let how = async || outcome(brief(&of, 1)).await.1;
            eventually("a copy serves", async || {
                (how().await == Outcome::Near).then_some(())
            })
            .await;
            let mut commands = server.commands().await;
            eventually("the store is asked again", async || {
                (how().await == Outcome::Hit).then_some(())
            })
            .await;
            assert_eq!(of.runs.load(SeqCst), 1);
            assert!(commands.counts().await.contains_key("get"));
        })
        .await;
}

#[tokio::test]
async fn the_embedded_store_is_near_enough() {
    let of = Row::default();
    Cache::memory()
        .scope(async {
            assert_eq!(outcome(row(&of, 1)).await, (0, Outcome::Loaded));
            assert_eq!(outcome(row(&of, 1)).await, (0, Outcome::Hit));
            delete(&of, 1, 1).await;
            assert_eq!(row(&of, 1).await, 1);
        })
        .await;
}

#[tokio::test]
async fn copies_stay_within_their_room_while_everything_is_read_once() {
    const ROOM: usize = 1 << 20;
    let server = RedisServer::start().await;
    let cache = Cache::builder()
        .url(server.url())
        .namespace("shop")
        .near_lag(LONG)
        .near_capacity(ROOM);
    let cache = cache.build().await.expect("a cache");
    cache
        .scope(async {
            let of = Row::default();
            nearby(&of, 0).await;
            for id in 0..20_000 {
                row(&of, id).await;
                row(&of, id).await;
                if id % 1_000 == 0 {
                    let held = Cache::current().stats().copied_bytes;
                    assert!(held <= ROOM as u64, "{held} bytes");
                }
            }
            assert!(Cache::current().stats().copies > 1_000);
        })
        .await;
}

/// Foreign writers against readers with copies: when the writers are done and everything is told, no
/// copy is old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_copy_stays_old_after_foreign_writes() {
    const KEYS: u64 = 300;
    let server = RedisServer::start().await;
    let here = cache(&server.url(), LONG).await;
    let elsewhere = cache(&server.url(), LONG).await;
    let rows: Arc<Vec<Row>> = Arc::new((0..KEYS).map(|_| Row::default()).collect());
    let over = Arc::new(AtomicU64::new(0));
    here.scope(nearby(&Row::default(), KEYS)).await;
    let readers: Vec<_> = (0..8)
        .map(|reader| {
            let (rows, over) = (Arc::clone(&rows), Arc::clone(&over));
            tokio::spawn(here.scope(async move {
                let mut at = reader * 37;
                while over.load(SeqCst) == 0 {
                    at = (at + 7) % KEYS;
                    row(&rows[at as usize], at).await;
                    if at % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }))
        })
        .collect();
    elsewhere
        .scope(async {
            for version in 1..4 {
                for (id, of) in rows.iter().enumerate() {
                    delete(of, id as u64, version).await;
                }
            }
        })
        .await;
    over.store(1, SeqCst);
    for reader in readers {
        within("a reader", reader).await.expect("a reader");
    }
    // Told in order: when this one is seen, all before it have been.
    here.scope(async {
        let last = Row::default();
        nearby(&last, KEYS).await;
        elsewhere.scope(delete(&last, KEYS, 1)).await;
        eventually("the last change is noticed", async || {
            (row(&last, KEYS).await == 1).then_some(())
        })
        .await;
        let mut old = 0;
        for (id, of) in rows.iter().enumerate() {
            old += u64::from(row(of, id as u64).await != 3);
        }
        assert_eq!(old, 0, "old copies");
    })
    .await;
    let stats = here.stats();
    let function = stats.function("row").expect("a row");
    assert!(function.near > 0, "{stats}");
}

#[tokio::test]
async fn a_function_that_fails_or_declines_leaves_no_copy() {
    #[cached(ttl = 300, key = "odd:{id}", cache_if = |n: &u64| n % 2 == 1, near)]
    async fn odd(id: u64) -> Result<u64, String> {
        if id > 9 {
            Err("too large".to_owned())
        } else {
            Ok(id)
        }
    }
    let server = RedisServer::start().await;
    let cache = cache(&server.url(), LONG).await;
    cache
        .scope(async {
            nearby(&Row::default(), 1).await;
            for _ in 0..5 {
                let declined = Outcome::NotStored(NotStored::Declined);
                assert_eq!(outcome(odd(2)).await, (Ok(2), declined));
                let failed = Outcome::NotStored(NotStored::Failed);
                assert_eq!(outcome(odd(10)).await.1, failed);
            }
            eventually("a copy serves", async || {
                (outcome(odd(3)).await == (Ok(3), Outcome::Near)).then_some(())
            })
            .await;
        })
        .await;
}
