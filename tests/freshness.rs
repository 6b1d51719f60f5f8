//! Old values and when they are served, told by outcomes, on the embedded store with paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cache_runtime::test_util::{self, Event, MemoryStore, Miss, Store, events};
use cache_runtime::{Cache, NotStored, Outcome, Policy, cached, outcome};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// An origin that counts its runs, takes a second, and can be told to fail or to hang.
#[derive(Debug, Default, Clone)]
struct Database(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    runs: AtomicUsize,
    failing: AtomicBool,
    slow: AtomicBool,
}

#[derive(Debug, Clone, PartialEq)]
struct Down;

impl Database {
    /// The number of the run.
    async fn run(&self) -> Result<usize, Down> {
        let run = self.0.runs.fetch_add(1, SeqCst) + 1;
        let slow = self.0.slow.load(SeqCst);
        sleep(Duration::from_secs(if slow { 20 } else { 1 })).await;
        match self.0.failing.load(SeqCst) {
            true => Err(Down),
            false => Ok(run),
        }
    }

    fn runs(&self) -> usize {
        self.0.runs.load(SeqCst)
    }

    fn fails(&self, failing: bool) {
        self.0.failing.store(failing, SeqCst);
    }

    fn is_slow(&self, slow: bool) {
        self.0.slow.store(slow, SeqCst);
    }
}

#[cached(ttl = 60, key = "page:{id}", skip(db), stale_while_revalidate = 30)]
async fn page(db: &Database, id: u64) -> usize {
    db.run().await.unwrap_or_default()
}

#[cached(ttl = 60, key = "rate:{id}", skip(db), stale_if_error = 3600)]
async fn rate(db: &Database, id: u64) -> Result<usize, Down> {
    db.run().await
}

#[cached(
    ttl = 60,
    key = "soft:{id}",
    skip(db),
    stale_while_revalidate = 1,
    stale_if_error = 3600,
    policy = Policy::DEFAULT.soft_timeout(Duration::from_millis(100))
)]
async fn soft(db: &Database, id: u64) -> Result<usize, Down> {
    db.run().await
}

/// Stores what the first run returns, and nothing else.
#[cached(
    ttl = 60,
    key = "first:{id}",
    skip(db),
    stale_while_revalidate = 1,
    stale_if_error = 3600,
    cache_if = |run: &usize| *run == 1,
    policy = Policy::DEFAULT.soft_timeout(Duration::from_secs(4))
)]
async fn first(db: &Database, id: u64) -> Result<usize, Down> {
    db.run().await
}

async fn after(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_value_is_served_at_once_while_one_load_replaces_it() {
    let cache = Cache::memory();
    let db = Database::default();
    cache.scope(page(&db, 1)).await;
    after(60.0).await;

    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(outcome(page(&db, 1))).await });
    }
    assert_eq!(callers.join_all().await, [(1, Outcome::Stale); 100]);
    assert_eq!(start.elapsed(), Duration::ZERO);
    after(0.999).await;
    let still = cache.scope(outcome(page(&db, 1))).await;
    assert_eq!(still, (1, Outcome::Stale), "while the load runs");
    after(0.002).await;
    assert_eq!(
        cache.scope(outcome(page(&db, 1))).await,
        (2, Outcome::Hit),
        "once it has ended"
    );
    assert_eq!(db.runs(), 2);
    let stats = cache.stats();
    let row = stats.function("page").expect("it was called");
    assert_eq!((row.calls, row.stale, row.refreshes), (103, 101, 1));
    assert_eq!((row.loads, row.stored), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn after_its_span_an_old_value_is_not_served() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            page(&db, 1).await;
            after(89.999).await;
            assert_eq!(outcome(page(&db, 1)).await.1, Outcome::Stale);

            page(&db, 2).await;
            after(90.0).await;
            assert_eq!(outcome(page(&db, 2)).await.1, Outcome::Loaded);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_breaks_is_tried_again() {
    #[cached(ttl = 60, key = "broken:{id}", skip(db), stale_while_revalidate = 30)]
    async fn broken(db: &Database, id: u64) -> usize {
        let run = db.run().await.unwrap_or_default();
        assert_ne!(run, 2, "this load panics");
        run
    }

    Cache::memory()
        .scope(async {
            let db = Database::default();
            broken(&db, 1).await;
            after(60.0).await;
            assert_eq!(outcome(broken(&db, 1)).await, (1, Outcome::Stale));
            after(2.0).await;
            assert_eq!(outcome(broken(&db, 1)).await, (1, Outcome::Stale));
            after(2.0).await;
            assert_eq!(outcome(broken(&db, 1)).await, (3, Outcome::Hit));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_not_tried_again_too_soon() {
    #[cached(
        ttl = 60,
        key = "failing:{id}",
        skip(db),
        stale_while_revalidate = 3600
    )]
    async fn failing(db: &Database, id: u64) -> Result<usize, Down> {
        db.run().await
    }

    Cache::memory()
        .scope(async {
            let db = Database::default();
            failing(&db, 1).await.expect("loaded");
            after(60.0).await;
            db.fails(true);
            for _ in 0..1000 {
                assert_eq!(outcome(failing(&db, 1)).await, (Ok(1), Outcome::Stale));
                after(0.1).await;
            }
            // Each attempt takes a second, and then nobody tries for another.
            assert!((45..=52).contains(&db.runs()), "{}", db.runs());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_origin_yields_old_values_for_exactly_their_span() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            assert_eq!(rate(&db, 1).await, Ok(1));
            db.fails(true);
            // The load takes a second, which counts: the value is as old as it is when looked up.
            after(59.999).await;
            assert_eq!(outcome(rate(&db, 1)).await, (Ok(1), Outcome::Hit));
            after(0.001).await;
            let start = Instant::now();
            assert_eq!(outcome(rate(&db, 1)).await, (Ok(1), Outcome::StaleIfError));
            assert_eq!(start.elapsed(), Duration::from_secs(1));
            assert_eq!(db.runs(), 2);

            after(3600.0 - 1.0 - 0.001).await;
            assert_eq!(outcome(rate(&db, 1)).await.0, Ok(1), "the last millisecond");
            after(1.0).await;
            let failed = Outcome::NotStored(NotStored::Failed);
            assert_eq!(outcome(rate(&db, 1)).await, (Err(Down), failed));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_origin_is_asked_once_in_each_interval_by_the_whole_fleet() {
    const RARELY: Policy = Policy::DEFAULT.retry(Duration::from_secs(10));

    #[cached(ttl = 60, key = "rarely:{id}", skip(db), stale_if_error = 3600, policy = RARELY)]
    async fn rarely(db: &Database, id: u64) -> Result<usize, Down> {
        db.run().await
    }

    // Four processes on one store.
    let store = Store::Memory(MemoryStore::new(1 << 20));
    let caches = [(); 4].map(|()| test_util::cache(&store, "test"));
    let [cache, ..] = &caches;
    let db = Database::default();
    cache.scope(rarely(&db, 1)).await.expect("loaded");
    db.fails(true);
    after(60.0).await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for (n, cache) in (0..1000_u32).zip(caches.iter().cycle()) {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move {
            sleep(Duration::from_millis(100) * n).await;
            cache.scope(outcome(rarely(&db, 1))).await
        });
    }
    for answer in callers.join_all().await {
        assert_eq!(answer, (Ok(1), Outcome::StaleIfError));
    }
    assert!(start.elapsed() < Duration::from_secs(102));
    // 1 before; then one each 11 seconds: a second for the load, ten of rest.
    assert_eq!(db.runs(), 1 + 10);

    db.fails(false);
    after(11.0).await;
    assert_eq!(
        cache.scope(outcome(rarely(&db, 1))).await,
        (Ok(12), Outcome::Loaded)
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_an_old_value_waits_only_so_long_and_the_load_goes_on() {
    let cache = Cache::memory();
    let db = Database::default();
    assert_eq!(
        cache.scope(soft(&db, 1)).await,
        Ok(1),
        "nothing old at hand"
    );
    after(61.0).await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (cache, db) = (cache.clone(), db.clone());
        callers.spawn(async move { cache.scope(outcome(soft(&db, 1))).await });
    }
    assert_eq!(callers.join_all().await, vec![(Ok(1), Outcome::Stale); 10]);
    assert_eq!(start.elapsed(), Duration::from_millis(100));
    after(1.0).await;
    let (value, how) = cache.scope(outcome(soft(&db, 1))).await;
    assert_eq!((value, how), (Ok(2), Outcome::Hit));
    assert_eq!(db.runs(), 2);

    // And if the load fails in time, the old value is served at once.
    after(61.0).await;
    db.fails(true);
    let (value, _) = cache.scope(outcome(soft(&db, 1))).await;
    assert_eq!(value, Ok(2));
}

/// Where a load that went on in the background has come to nothing, the call loads by itself.
#[tokio::test(start_paused = true)]
async fn a_load_that_nobody_can_share_goes_on_once() {
    let cache = Cache::memory();
    let db = Database::default();
    assert_eq!(cache.scope(first(&db, 1)).await, Ok(1));
    after(61.0).await;
    let declined = Outcome::NotStored(NotStored::Declined);
    let answer = cache.scope(outcome(first(&db, 1))).await;
    assert_eq!(answer, (Ok(3), declined));
    assert_eq!(db.runs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_loads_in_the_background_end() {
    let cache = Cache::memory();
    let db = Database::default();
    for (slow, in_time) in [(false, true), (true, false)] {
        let id = u64::from(slow);
        let cache = match slow {
            false => cache.clone(),
            true => Cache::memory(),
        };
        cache.scope(page(&db, id)).await;
        after(60.0).await;
        db.is_slow(slow);
        let runs = db.runs();
        cache.scope(page(&db, id)).await;
        let drained = cache.shutdown(Duration::from_secs(5)).await;
        assert_eq!(drained.is_ok(), in_time, "{drained:?}");
        assert_eq!(db.runs(), runs + 1);
        if in_time {
            let (value, how) = cache.scope(outcome(page(&db, id))).await;
            assert_eq!((value, how), (runs + 1, Outcome::Hit));
        }
        db.is_slow(false);
    }
}

#[tokio::test(start_paused = true)]
async fn entries_stored_together_do_not_expire_together() {
    const SPREAD: Policy = Policy::DEFAULT.jitter(0.5);

    #[cached(ttl = 100, key = "spread:{id}", policy = SPREAD)]
    async fn spread(id: u64) -> u64 {
        id
    }

    Cache::memory()
        .scope(async {
            let fresh = async || {
                let mut fresh = 0;
                for id in 0..400 {
                    let there = spread_entry(id).peek().await.expect("memory answers");
                    fresh += u32::from(there.is_some());
                }
                fresh
            };
            for id in 0..400 {
                spread(id).await;
            }
            after(49.9).await;
            assert_eq!(fresh().await, 400, "never more than the half is taken off");
            after(25.1).await;
            let left = fresh().await;
            assert!((120..280).contains(&left), "about the half: {left}");
            after(25.0).await;
            assert_eq!(fresh().await, 0, "nothing is added");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_value_in_use_is_refreshed_before_it_expires() {
    const EARLY: Policy = Policy::DEFAULT.early_refresh(1.0);

    #[cached(ttl = 60, key = "early:{id}", skip(db), stale_while_revalidate = 1, policy = EARLY)]
    async fn early(db: &Database, id: u64) -> usize {
        db.run().await.unwrap_or_default()
    }

    Cache::memory()
        .scope(async {
            let db = Database::default();
            early(&db, 1).await;
            let (mut hits, mut detached) = (0, 0);
            for _ in 0..60_000 {
                after(0.01).await;
                let (_, told) = events(early(&db, 1)).await;
                hits += usize::from(told.last() == Some(&Event::Ended(Outcome::Hit)));
                detached += usize::from(told.contains(&Event::Detached));
            }
            // Ten lives of a minute, each of them refreshed before its end.
            assert_eq!(hits, 60_000);
            assert!((10..=12).contains(&detached), "{detached}");
            assert_eq!(db.runs(), 1 + detached);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_expired_by_hand_is_refreshed_next() {
    let cache = Cache::memory();
    let db = Database::default();
    cache
        .scope(async {
            page(&db, 1).await;
            page_entry(1).expire().await.expect("memory answers");
            assert_eq!(outcome(page(&db, 1)).await, (1, Outcome::Stale));
            after(1.1).await;
            assert_eq!(outcome(page(&db, 1)).await, (2, Outcome::Hit));

            // Without a span for old values nothing is left.
            #[cached(ttl = 60, key = "plain:{id}", skip(db))]
            async fn plain(db: &Database, id: u64) -> usize {
                db.run().await.unwrap_or_default()
            }
            plain(&db, 1).await;
            plain_entry(1).expire().await.expect("memory answers");
            assert_eq!(plain_entry(1).peek().await.expect("memory answers"), None);
        })
        .await;

    // A load that began before it is not stored.
    cache
        .scope(async { page_entry(1).expire().await.expect("memory answers") })
        .await;
    let refreshing = cache.scope(outcome(page(&db, 1))).await;
    assert_eq!(refreshing.1, Outcome::Stale);
    after(0.5).await;
    cache
        .scope(async { page_entry(1).expire().await.expect("memory answers") })
        .await;
    after(1.0).await;
    assert_eq!(cache.scope(outcome(page(&db, 1))).await.1, Outcome::Stale);
}

#[tokio::test(start_paused = true)]
async fn after_an_invalidation_nothing_is_stored_until_the_replicas_have_caught_up() {
    const LAGGING: Policy = Policy::DEFAULT.hold_off(Duration::from_secs(5));

    #[cached(ttl = 60, key = "lagging:{id}", skip(db), policy = LAGGING)]
    async fn lagging(db: &Database, id: u64) -> usize {
        db.run().await.unwrap_or_default()
    }

    Cache::memory()
        .scope(async {
            let db = Database::default();
            lagging(&db, 1).await;
            lagging_entry(1).invalidate().await.expect("memory answers");
            for run in [2, 3] {
                let (value, told) = events(lagging(&db, 1)).await;
                assert_eq!(value, run);
                let not_stored = Outcome::NotStored(NotStored::Leased);
                assert_eq!(told.last(), Some(&Event::Ended(not_stored)), "{told:?}");
            }
            after(3.0).await;
            assert_eq!(outcome(lagging(&db, 1)).await, (4, Outcome::Loaded));
            assert_eq!(outcome(lagging(&db, 1)).await, (4, Outcome::Hit));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_says_that_it_is_expired() {
    Cache::memory()
        .scope(async {
            let db = Database::default();
            rate(&db, 1).await.expect("loaded");
            after(60.0).await;
            let (_, told) = events(rate(&db, 1)).await;
            assert_eq!(
                told,
                [
                    Event::Missed(Miss::Expired),
                    Event::Leased,
                    Event::Load,
                    Event::Filled,
                    Event::Ended(Outcome::Loaded),
                ]
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_has_an_old_value_waits_only_so_long_for_another_process() {
    let store = Store::Memory(MemoryStore::new(1 << 20));
    let [one, other] = [(); 2].map(|()| test_util::cache(&store, "test"));
    let db = Database::default();
    assert_eq!(one.scope(soft(&db, 1)).await, Ok(1));
    after(61.0).await;
    let loads = tokio::spawn({
        let (one, db) = (one.clone(), db.clone());
        async move { one.scope(outcome(soft(&db, 1))).await }
    });
    after(0.01).await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (other, db) = (other.clone(), db.clone());
        callers.spawn(async move { other.scope(outcome(soft(&db, 1))).await });
    }
    assert_eq!(callers.join_all().await, vec![(Ok(1), Outcome::Stale); 10]);
    assert_eq!(start.elapsed(), Duration::from_millis(100));
    assert_eq!(loads.await.expect("it ends"), (Ok(1), Outcome::Stale));
    after(1.0).await;
    assert_eq!(other.scope(outcome(soft(&db, 1))).await.1, Outcome::Hit);
    assert_eq!(db.runs(), 2);
}

/// Its load has come to nothing, and so everyone loads: that goes on in the background as well.
#[tokio::test(start_paused = true)]
async fn who_has_an_old_value_waits_only_so_long_after_another_process() {
    let store = Store::Memory(MemoryStore::new(1 << 20));
    let [one, other] = [(); 2].map(|()| test_util::cache(&store, "test"));
    let db = Database::default();
    assert_eq!(one.scope(first(&db, 1)).await, Ok(1));
    after(61.0).await;
    let _loads = tokio::spawn({
        let (one, db) = (one.clone(), db.clone());
        async move { one.scope(first(&db, 1)).await }
    });
    after(0.5).await;
    // What is under way takes a second still, and all after it longer than anybody wants to wait.
    db.is_slow(true);
    let start = Instant::now();
    let answer = other.scope(outcome(first(&db, 1))).await;
    assert_eq!(answer, (Ok(1), Outcome::Stale));
    assert_eq!(start.elapsed(), Duration::from_secs(4));
}
