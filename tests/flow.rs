//! The story of one call, told by its events, on the embedded store with paused time.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cache_runtime::test_util::{Event, Miss, events};
use cache_runtime::{
    Bypass, Cache, NotStored, Outcome, Policy, Postcard, SingleFlight, cached, invalidates,
    outcome, refresh, uncached, updates,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

/// An origin that counts its runs, takes a second, and can be told to fail.
#[derive(Debug, Default)]
struct Database {
    runs: AtomicUsize,
    version: AtomicUsize,
    failing: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Clone, PartialEq)]
struct Down;

#[derive(Debug)]
struct NotClone;

impl Database {
    async fn slow(&self) -> usize {
        self.runs.fetch_add(1, SeqCst);
        let version = self.version.load(SeqCst);
        sleep(Duration::from_secs(1)).await;
        version
    }

    fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }
}

#[cached(ttl = 300, key = "version:{id}", skip(db))]
async fn version(db: &Database, id: u64) -> usize {
    db.slow().await
}

#[cached(ttl = 300, key = "fallible:{id}", skip(db))]
async fn fallible(db: &Database, id: u64) -> Result<User, Down> {
    db.slow().await;
    if db.failing.load(SeqCst) {
        return Err(Down);
    }
    Ok(User {
        id,
        name: "Ada".into(),
    })
}

#[cached(ttl = 300, key = "opaque:{id}", skip(db))]
async fn opaque(db: &Database, id: u64) -> Result<u64, NotClone> {
    db.slow().await;
    Err(NotClone)
}

#[tokio::test(start_paused = true)]
async fn the_first_call_loads_and_the_second_is_a_hit() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            let (value, told) = events(version(&db, 1)).await;
            assert_eq!(value, 0);
            assert_eq!(
                told,
                [
                    Event::Missed(Miss::Absent),
                    Event::Leased,
                    Event::Load,
                    Event::Filled,
                    Event::Ended(Outcome::Loaded),
                ]
            );
            let (_, told) = events(version(&db, 1)).await;
            assert_eq!(told, [Event::Ended(Outcome::Hit)]);
            assert_eq!(db.runs(), 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_lives_for_its_ttl() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            version(&db, 1).await;
            sleep(Duration::from_millis(299_999)).await;
            assert_eq!(outcome(version(&db, 1)).await.1, Outcome::Hit);
            sleep(Duration::from_millis(1)).await;
            assert_eq!(outcome(version(&db, 1)).await.1, Outcome::Loaded);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_of_a_cold_key_share_one_load() {
    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(outcome(version(&db, 1))).await });
    }
    let mut seen: HashMap<Outcome, usize> = HashMap::new();
    for (_, how) in callers.join_all().await {
        *seen.entry(how).or_default() += 1;
    }
    assert_eq!(db.runs(), 1);
    assert_eq!(
        seen,
        HashMap::from([(Outcome::Loaded, 1), (Outcome::Joined, 99)])
    );
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_is_shared_with_all_hundred_callers() {
    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    db.failing.store(true, SeqCst);
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(fallible(&db, 1)).await });
    }
    for result in callers.join_all().await {
        assert_eq!(result, Err(Down));
    }
    assert_eq!(db.runs(), 1);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    // Failures are never stored.
    db.failing.store(false, SeqCst);
    let (result, how) = cache.scope(outcome(fallible(&db, 1))).await;
    assert!(result.is_ok());
    assert_eq!(how, Outcome::Loaded);
}

#[tokio::test(start_paused = true)]
async fn loads_that_fail_with_an_error_that_is_not_clone_form_no_convoy() {
    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(opaque(&db, 1)).await.is_err() });
    }
    assert!(callers.join_all().await.into_iter().all(|failed| failed));
    // One load to find out, and then everyone at once: never one after another.
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    assert_eq!(db.runs(), 100);
}

/// Polls `future` up to `polls` times and drops it; true if it was still pending.
async fn cancel_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        let done = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if done {
            return false;
        }
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(300)).await;
    }
    true
}

#[tokio::test(start_paused = true)]
async fn wherever_the_leader_is_cancelled_another_takes_over() {
    let mut cancelled = 0;
    for polls in 1.. {
        let cache = Cache::memory();
        let db = Arc::new(Database::default());
        let leader = {
            let (cache, db) = (cache.clone(), db.clone());
            tokio::spawn(async move { cache.scope(cancel_after(polls, version(&db, 1))).await })
        };
        tokio::task::yield_now().await;
        let mut others = JoinSet::new();
        for _ in 0..10 {
            let (cache, db) = (cache.clone(), db.clone());
            others.spawn(async move { cache.scope(version(&db, 1)).await });
        }
        assert_eq!(others.join_all().await, [0; 10]);
        if !leader.await.expect("the leader does not panic") {
            assert_eq!(db.runs(), 1);
            break;
        }
        assert!(
            db.runs() <= 2,
            "one load, and one more by whoever took over"
        );
        cancelled += 1;
    }
    assert!(cancelled >= 2, "the leader was cancelled on its way");
}

#[cached(ttl = 300, key = "panics:{id}", skip(db))]
async fn panics(db: &Database, id: u64) -> u64 {
    let first = db.runs() == 0;
    db.slow().await;
    assert!(!first, "the first load panics");
    id
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_panics_is_followed_by_another() {
    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let spawn = || {
        let (cache, db) = (cache.clone(), db.clone());
        tokio::spawn(async move { cache.scope(panics(&db, 7)).await })
    };
    let leader = spawn();
    tokio::task::yield_now().await;
    let waiter = spawn();
    assert!(leader.await.is_err());
    assert_eq!(waiter.await.expect("the waiter loads"), 7);
    assert_eq!(db.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_long_enough_loads_once_for_all() {
    const IMPATIENT: Policy = Policy::DEFAULT.wait(Duration::from_secs(2));

    #[cached(ttl = 300, key = "stuck:{id}", skip(db), policy = IMPATIENT)]
    async fn stuck(db: &Database, id: u64) -> u64 {
        if db.runs.fetch_add(1, SeqCst) == 0 {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_secs(1)).await;
        id
    }

    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(stuck(&db, 1)).await });
    }
    for _ in 0..99 {
        callers
            .join_next()
            .await
            .expect("99 end")
            .expect("without panic");
    }
    assert_eq!(db.runs(), 2);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_the_key_being_loaded_goes_to_the_origin() {
    #[cached(ttl = 300, key = "again:{n}", skip(deep))]
    async fn again(n: u64, deep: bool) -> (u64, String) {
        if deep {
            let (inner, how) = outcome(Box::pin(again(n, false))).await;
            return (inner.0 + 1, how.to_string());
        }
        (n, String::new())
    }

    Cache::memory()
        .scope(async {
            let (value, how) = again(1, true).await;
            assert_eq!(value, 2);
            assert_eq!(how, Outcome::Bypassed(Bypass::Reentrant).to_string());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_wrappers_act_on_the_first_call_inside_and_nest() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            assert_eq!(outcome(async { 1 }).await, (1, Outcome::NotCalled));
            version(&db, 1).await;
            db.version.store(5, SeqCst);
            assert_eq!(version(&db, 1).await, 0);
            let bypassed = (5, Outcome::Bypassed(Bypass::Uncached));
            assert_eq!(outcome(uncached(version(&db, 1))).await, bypassed);
            assert_eq!(version(&db, 1).await, 0);
            assert_eq!(
                outcome(refresh(version(&db, 1))).await,
                (5, Outcome::Loaded)
            );
            assert_eq!(version(&db, 1).await, 5);
            let both = outcome(async { (version(&db, 2).await, version(&db, 1).await) }).await;
            assert_eq!(both, ((5, 5), Outcome::Loaded));
            let (_, how) = refresh(outcome(version(&db, 1))).await;
            assert_eq!(how, Outcome::Loaded);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_joins_no_earlier_load_and_outlives_it() {
    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let earlier = {
        let (cache, db) = (cache.clone(), db.clone());
        tokio::spawn(async move { cache.scope(outcome(version(&db, 1))).await })
    };
    sleep(Duration::from_millis(500)).await;
    db.version.store(9, SeqCst);
    let refreshed = cache.scope(refresh(version(&db, 1))).await;
    assert_eq!(refreshed, 9);
    let (old, how) = earlier.await.expect("the earlier load ends");
    assert_eq!((old, how), (0, Outcome::NotStored(NotStored::Fenced)));
    assert_eq!(cache.scope(version(&db, 1)).await, 9);
}

#[tokio::test(start_paused = true)]
async fn what_is_invalidated_during_its_load_is_neither_stored_nor_joined_later() {
    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let loading = {
        let (cache, db) = (cache.clone(), db.clone());
        tokio::spawn(async move { cache.scope(outcome(version(&db, 1))).await })
    };
    sleep(Duration::from_millis(500)).await;
    db.version.store(1, SeqCst);
    cache
        .scope(async { version_entry(1).invalidate().await })
        .await
        .expect("the embedded store confirms");
    assert_eq!(cache.scope(version(&db, 1)).await, 1);
    let (old, how) = loading.await.expect("the load ends");
    assert_eq!((old, how), (0, Outcome::NotStored(NotStored::Fenced)));
    assert_eq!(cache.scope(version(&db, 1)).await, 1);
}

#[tokio::test(start_paused = true)]
async fn without_single_flight_everyone_loads() {
    const ALONE: Policy = Policy::DEFAULT.single_flight(SingleFlight::Off);

    #[cached(ttl = 300, key = "alone:{id}", skip(db), policy = ALONE)]
    async fn alone(db: &Database, id: u64) -> u64 {
        db.slow().await;
        id
    }

    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(alone(&db, 1)).await });
    }
    callers.join_all().await;
    assert_eq!(db.runs(), 10);
    assert_eq!(cache.scope(outcome(alone(&db, 1))).await.1, Outcome::Hit);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_and_for_how_long_is_for_the_attribute_to_say() {
    #[cached(ttl_with = |n: &u64| Duration::from_secs(*n), key = "span:{n}")]
    async fn span(n: u64) -> u64 {
        n
    }
    #[cached(ttl = 300, key = "even:{n}", cache_if = |n| n % 2 == 0)]
    async fn even(n: u64) -> u64 {
        n
    }
    #[cached(ttl = 300, key = "some:{n}")]
    async fn some(n: u64) -> Option<u64> {
        (n > 0).then_some(n)
    }
    #[cached(ttl = 300, none_ttl = "5s", key = "maybe:{n}")]
    async fn maybe(n: u64) -> Result<Option<u64>, Down> {
        Ok((n > 0).then_some(n))
    }
    #[cached(ttl = 300, key = "by:{n}", bypass_if = fresh, skip(fresh))]
    async fn by(n: u64, fresh: bool) -> (u64, bool) {
        (n, fresh)
    }

    Cache::memory()
        .scope(async {
            let left = |reason| Outcome::NotStored(reason);
            assert_eq!(outcome(span(0)).await.1, left(NotStored::NoTtl));
            span(10).await;
            sleep(Duration::from_secs(9)).await;
            assert_eq!(outcome(span(10)).await.1, Outcome::Hit);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(outcome(span(10)).await.1, Outcome::Loaded);

            even(1).await;
            assert_eq!(outcome(even(1)).await.1, left(NotStored::Declined));
            even(2).await;
            assert_eq!(outcome(even(2)).await.1, Outcome::Hit);

            some(0).await;
            assert_eq!(outcome(some(0)).await, (None, left(NotStored::None)));
            some(1).await;
            assert_eq!(outcome(some(1)).await, (Some(1), Outcome::Hit));

            assert_eq!(maybe(0).await, Ok(None));
            assert_eq!(outcome(maybe(0)).await, (Ok(None), Outcome::Hit));
            sleep(Duration::from_secs(5)).await;
            assert_eq!(outcome(maybe(0)).await, (Ok(None), Outcome::Loaded));

            by(1, false).await;
            let bypassed = Outcome::Bypassed(Bypass::Asked);
            assert_eq!(outcome(by(1, true)).await, ((1, true), bypassed));
            assert_eq!(outcome(by(1, false)).await, ((1, false), Outcome::Hit));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_entry_reads_writes_and_deletes_what_the_function_caches() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            let entry = fallible_entry(3);
            assert_eq!(entry.key(), "cache:fallible:3");
            assert_eq!(entry.peek().await.expect("memory answers"), None);
            let grace = User {
                id: 3,
                name: "Grace".into(),
            };
            entry.put(&grace).await.expect("memory stores");
            let (value, how) = outcome(fallible(&db, 3)).await;
            assert_eq!((value, how), (Ok(grace.clone()), Outcome::Hit));
            assert_eq!(entry.peek().await.expect("memory answers"), Some(grace));
            entry.invalidate().await.expect("memory deletes");
            assert_eq!(entry.peek().await.expect("memory answers"), None);
            assert_eq!(db.runs(), 0);
        })
        .await;
}

#[updates(fallible(id))]
async fn rename(id: u64, name: &str) -> Result<User, Down> {
    if name.is_empty() {
        return Err(Down);
    }
    Ok(User {
        id,
        name: name.into(),
    })
}

#[invalidates(fallible(id), tag("users"))]
async fn forget(id: u64, well: bool) -> Result<(), Down> {
    sleep(Duration::from_secs(1)).await;
    if well { Ok(()) } else { Err(Down) }
}

#[invalidates(fallible(id), only_ok)]
async fn forget_if_ok(id: u64, well: bool) -> Result<(), Down> {
    if well { Ok(()) } else { Err(Down) }
}

#[tokio::test(start_paused = true)]
async fn writes_are_written_through_or_invalidate() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            let entry = fallible_entry(3);
            let peek = async || entry.peek().await.expect("memory answers").map(|u| u.name);
            rename(3, "Grace").await.expect("renamed");
            assert_eq!(peek().await.as_deref(), Some("Grace"));
            // The write may have happened although it failed.
            rename(3, "").await.expect_err("refused");
            assert_eq!(peek().await, None);

            for well in [true, false] {
                fallible(&db, 3).await.expect("loaded");
                assert_eq!(peek().await.as_deref(), Some("Ada"));
                let _ = forget(3, well).await;
                assert_eq!(peek().await, None);
            }

            fallible(&db, 3).await.expect("loaded");
            forget_if_ok(3, false).await.expect_err("failed");
            assert_eq!(peek().await.as_deref(), Some("Ada"));
            forget_if_ok(3, true).await.expect("did well");
            assert_eq!(peek().await, None);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_dropped_or_panics_invalidates_too() {
    #[invalidates(fallible(id))]
    async fn breaks(id: u64) {
        assert_eq!(id, 0, "this write panics");
    }

    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let peek = async || {
        let peeked = cache.scope(async { fallible_entry(3).peek().await }).await;
        peeked.expect("memory answers")
    };

    cache.scope(fallible(&db, 3)).await.expect("loaded");
    cache.scope(async { drop(forget(3, true)) }).await;
    assert!(
        peek().await.is_some(),
        "a write that never started wrote nothing"
    );
    assert!(cache.scope(cancel_after(1, forget(3, true))).await);
    assert!(peek().await.is_none());
    cache
        .shutdown(Duration::from_secs(9))
        .await
        .expect("confirmed");

    let cache = Cache::memory();
    cache.scope(fallible(&db, 3)).await.expect("loaded");
    let write = tokio::spawn({
        let cache = cache.clone();
        async move { cache.scope(breaks(3)).await }
    });
    assert!(write.await.is_err());
    let peeked = cache.scope(async { fallible_entry(3).peek().await }).await;
    assert_eq!(peeked.expect("memory answers"), None);
}

#[tokio::test(start_paused = true)]
async fn a_value_over_the_limit_is_returned_shared_and_not_stored() {
    #[cached(ttl = 300, key = "large:{n}", skip(db))]
    async fn large(db: &Database, n: usize) -> String {
        db.slow().await;
        "x".repeat(n)
    }

    let builder = Cache::builder().value_limit(1000);
    let cache = builder.build().await.expect("a valid configuration");
    let db = Arc::new(Database::default());
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(large(&db, 2000)).await.len() });
    }
    assert_eq!(callers.join_all().await, [2000; 10]);
    assert_eq!(db.runs(), 1);
    let (_, how) = cache.scope(outcome(large(&db, 2000))).await;
    assert_eq!(how, Outcome::NotStored(NotStored::TooLarge));
    let stats = cache.stats();
    let row = stats.function("large").expect("it was called");
    assert_eq!(
        (row.calls, row.joined, row.loads, row.too_large),
        (11, 9, 2, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn functions_that_share_a_template_never_read_each_others_types() {
    #[cached(ttl = 300, key = "same:{id}")]
    async fn as_text(id: u64) -> String {
        id.to_string()
    }
    #[cached(ttl = 300, key = "same:{id}")]
    async fn as_number(id: u64) -> u64 {
        id
    }

    Cache::memory()
        .scope(async {
            assert_eq!(as_text(1).await, "1");
            let (number, told) = events(as_number(1)).await;
            assert_eq!(number, 1);
            assert!(matches!(
                told.first(),
                Some(Event::Missed(Miss::Rejected(_)))
            ));
            assert_eq!(outcome(as_number(1)).await.1, Outcome::Hit);
            assert_eq!(outcome(as_text(1)).await.1, Outcome::Loaded);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_counters_add_up() {
    let cache = Cache::memory();
    let db = Database::default();
    cache
        .scope(async {
            version(&db, 1).await;
            version(&db, 1).await;
            version(&db, 2).await;
            uncached(version(&db, 1)).await;
        })
        .await;
    let stats = cache.stats();
    let row = stats.function("version").expect("it was called");
    assert_eq!((row.calls, row.hits, row.loads, row.stored), (4, 1, 3, 2));
    assert_eq!(row.bypassed, 1);
    assert!(stats.to_string().contains("flow::version"));
}

/// A row as its writers see it: each writes a version and is then slow to return.
#[updates(version(id) = &to)]
async fn set_version(db: &Database, id: u64, to: usize, delay: Duration) -> usize {
    db.version.store(to, SeqCst);
    sleep(delay).await;
    to
}

/// Whose entry shows only when the row is written.
#[updates(version(*ret as u64) = &to)]
async fn upsert_version(db: &Database, to: usize, delay: Duration) -> usize {
    db.version.store(to, SeqCst);
    sleep(delay).await;
    1
}

#[tokio::test(start_paused = true)]
async fn a_slow_write_never_covers_up_what_was_written_and_acknowledged_meanwhile() {
    const SLOW: Duration = Duration::from_secs(3);
    for upserts in [false, true] {
        for overtaken_by in ["updates", "invalidate", "put", "clear"] {
            let cache = Cache::memory();
            let db = Arc::new(Database::default());
            let slow = {
                let (cache, db) = (cache.clone(), db.clone());
                tokio::spawn(async move {
                    let write = async {
                        match upserts {
                            true => upsert_version(&db, 1, SLOW).await,
                            false => set_version(&db, 1, 1, SLOW).await,
                        }
                    };
                    cache.scope(write).await
                })
            };
            sleep(Duration::from_secs(1)).await;
            cache
                .scope(async {
                    db.version.store(2, SeqCst);
                    let done = match overtaken_by {
                        "updates" => {
                            set_version(&db, 1, 2, Duration::ZERO).await;
                            Ok(())
                        }
                        "invalidate" => version_entry(1).invalidate().await,
                        "put" => version_entry(1).put(&2).await,
                        _ => cache.clear("*").await.map(drop),
                    };
                    done.expect("the embedded store confirms");
                    slow.await.expect("the slow write ends");
                    assert_eq!(version(&db, 1).await, 2, "{overtaken_by}");
                })
                .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_with_another_ttl_keeps_the_codec_and_the_rules_of_its_function() {
    #[cached(ttl = 300, key = "signed:{n}", codec = Postcard, cache_if = |n| *n < 100)]
    async fn signed(n: u64) -> i64 {
        -(n as i64)
    }
    #[cached(ttl = 300, key = "checked:{n}")]
    async fn checked(n: u64) -> Result<u64, String> {
        Ok(n)
    }

    Cache::memory()
        .scope(async {
            let entry = signed_entry(5).ttl(Duration::from_secs(5));
            entry.put(&5).await.expect("memory stores");
            assert_eq!(outcome(signed(5)).await, (5, Outcome::Hit));
            sleep(Duration::from_secs(5)).await;
            assert_eq!(outcome(signed(5)).await, (-5, Outcome::Loaded));
            entry.put(&100).await.expect("memory deletes");
            assert_eq!(entry.peek().await.expect("memory answers"), None);

            let entry = checked_entry(1).ttl(Duration::from_secs(5));
            entry.put(&7).await.expect("memory stores");
            assert_eq!(outcome(checked(1)).await, (Ok(7), Outcome::Hit));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_callers_that_go_away_waits_no_longer_than_stated() {
    const PATIENT: Policy = Policy::DEFAULT.wait(Duration::from_secs(3));

    #[cached(ttl = 300, key = "crowded:{id}", skip(db), policy = PATIENT)]
    async fn crowded(db: &Database, id: u64) -> usize {
        sleep(Duration::from_secs(1)).await;
        db.slow().await
    }

    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    // Each of them goes away before a load can end, and there is always one more.
    let mut impatient = JoinSet::new();
    for n in 0..2_000_u64 {
        let (cache, db) = (cache.clone(), db.clone());
        impatient.spawn(async move {
            sleep(Duration::from_millis(10 * n)).await;
            let call = cache.scope(crowded(&db, 1));
            let _ = tokio::time::timeout(Duration::from_millis(1500), call).await;
        });
    }
    sleep(Duration::from_millis(10)).await;
    let start = Instant::now();
    let mut patient = JoinSet::new();
    for _ in 0..3 {
        let (cache, db) = (cache.clone(), db.clone());
        patient.spawn(async move { cache.scope(crowded(&db, 1)).await });
    }
    patient.join_all().await;
    // Twice its patience, and its own load.
    assert!(
        start.elapsed() <= Duration::from_secs(3 + 3 + 2),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_cache_is_not_the_key_being_loaded() {
    #[cached(ttl = 300, key = "tiered:{id}", skip(below))]
    async fn outer(below: &Cache, id: u64) -> u64 {
        inner(below, id).await
    }
    #[cached(ttl = 300, key = "tiered:{id}", skip(below), cache = below)]
    async fn inner(below: &Cache, id: u64) -> u64 {
        id
    }

    let (above, below) = (Cache::memory(), Cache::memory());
    above
        .scope(async {
            assert_eq!(outer(&below, 1).await, 1);
            assert_eq!(outcome(inner(&below, 1)).await, (1, Outcome::Hit));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_leaves_nothing_that_it_found_outdated() {
    #[cached(ttl = 300, key = "there:{id}", skip(db))]
    async fn there(db: &Database, id: u64) -> Option<u64> {
        (db.version.load(SeqCst) == 0).then_some(id)
    }

    Cache::memory()
        .scope(async {
            let db = Database::default();
            assert_eq!(there(&db, 1).await, Some(1));
            db.version.store(1, SeqCst);
            assert_eq!(there(&db, 1).await, Some(1));
            let gone = (None, Outcome::NotStored(NotStored::None));
            assert_eq!(outcome(refresh(there(&db, 1))).await, gone);
            assert_eq!(there(&db, 1).await, None);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_outlives_loads_that_nobody_shares() {
    const ALONE: Policy = Policy::DEFAULT.single_flight(SingleFlight::Off);

    #[cached(ttl = 300, key = "unshared:{id}", skip(db, slow), policy = ALONE)]
    async fn unshared(db: &Database, id: u64, slow: bool) -> usize {
        let version = db.version.load(SeqCst);
        if slow {
            sleep(Duration::from_secs(9)).await;
        }
        version
    }

    let cache = Cache::memory();
    let db = Arc::new(Database::default());
    let earlier = {
        let (cache, db) = (cache.clone(), db.clone());
        tokio::spawn(async move { cache.scope(unshared(&db, 1, true)).await })
    };
    sleep(Duration::from_secs(1)).await;
    db.version.store(1, SeqCst);
    assert_eq!(cache.scope(refresh(unshared(&db, 1, false))).await, 1);
    assert_eq!(earlier.await.expect("the earlier load ends"), 0);
    assert_eq!(cache.scope(unshared(&db, 1, false)).await, 1);
}

#[test]
fn without_a_runtime_the_embedded_store_serves_all_the_same() {
    #[cached(ttl = 300, key = "bare:{id}")]
    async fn bare(id: u64) -> u64 {
        id
    }

    let cache = Cache::memory();
    for expected in [Outcome::Loaded, Outcome::Hit] {
        let mut call = pin!(cache.scope(outcome(bare(1))));
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready((1, expected)));
    }
}

#[test]
fn without_a_runtime_a_write_that_is_dropped_invalidates_too() {
    #[cached(ttl = 300, key = "bare:{id}")]
    async fn bare(id: u64) -> u64 {
        id
    }

    #[invalidates(bare(id))]
    async fn hangs(id: u64) {
        std::future::pending::<()>().await;
        let _ = id;
    }

    let cache = Cache::memory();
    let call = || {
        let mut call = pin!(cache.scope(outcome(bare(1))));
        call.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .map(|(_, how)| how)
    };
    assert_eq!(call(), Poll::Ready(Outcome::Loaded));
    let mut write = Box::pin(cache.scope(hangs(1)));
    assert!(
        write
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(write);
    assert_eq!(call(), Poll::Ready(Outcome::Loaded));
    assert_eq!(call(), Poll::Ready(Outcome::Hit));
}

#[test]
fn a_call_is_hardly_larger_than_its_look_up() {
    let db = Database::default();
    let call = size_of_val(&version(&db, 1));
    let look_up = size_of_val(&version_entry(1).peek());
    println!("the future of a call: {call} bytes; of a peek: {look_up}");
    assert!(call < look_up + 2048, "{call} and {look_up} bytes");
}
