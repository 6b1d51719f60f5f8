//! One load for all processes, and no outdated fill: several caches on one store, each of which
//! stands for a process, with paused time.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cache_runtime::test_util::{self, Event, MemoryStore, Miss, Rejected, Store, events};
use cache_runtime::{
    Cache, NotStored, Outcome, Policy, SingleFlight, cached, invalidates, outcome, refresh, updates,
};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// A row with a version, which a load reads at its beginning and returns a second later.
#[derive(Debug, Default, Clone)]
struct Row(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    version: AtomicUsize,
    runs: AtomicUsize,
}

#[derive(Debug)]
struct Unreadable;

impl Row {
    async fn read(&self) -> usize {
        self.0.runs.fetch_add(1, SeqCst);
        let version = self.0.version.load(SeqCst);
        sleep(Duration::from_secs(1)).await;
        version
    }

    fn write(&self, version: usize) {
        self.0.version.store(version, SeqCst);
    }

    fn runs(&self) -> usize {
        self.0.runs.load(SeqCst)
    }
}

#[cached(ttl = 300, key = "row:{id}", skip(row))]
async fn read(row: &Row, id: u64) -> usize {
    row.read().await
}

#[cached(ttl = 300, key = "unreadable:{id}", skip(row))]
async fn unreadable(row: &Row, id: u64) -> Result<usize, Unreadable> {
    row.read().await;
    Err(Unreadable)
}

#[cached(ttl = 300, key = "absent:{id}", skip(row))]
async fn absent(row: &Row, id: u64) -> Option<u64> {
    row.read().await;
    None
}

#[updates(read(id) = &to)]
async fn write(row: &Row, id: u64, to: usize, takes: Duration) -> usize {
    sleep(takes).await;
    row.write(to);
    to
}

#[invalidates(read(id))]
async fn overwrite(row: &Row, id: u64, to: usize) {
    row.write(to);
}

const SECOND: Duration = Duration::from_secs(1);
const HALF: Duration = Duration::from_millis(500);

/// Caches that share nothing but their store.
fn processes<const N: usize>() -> [Cache; N] {
    let store = Store::Memory(MemoryStore::new(1 << 20));
    [(); N].map(|()| test_util::cache(&store, "test"))
}

/// `read` in a task of its own.
fn reading(cache: &Cache, row: &Row) -> JoinHandle<(usize, Vec<Event>)> {
    let (cache, row) = (cache.clone(), row.clone());
    tokio::spawn(async move { cache.scope(events(read(&row, 1))).await })
}

async fn invalidate(cache: &Cache) {
    let deleted = cache.scope(async { read_entry(1).invalidate().await });
    deleted.await.expect("the embedded store confirms");
}

#[tokio::test(start_paused = true)]
async fn a_cold_key_is_loaded_once_by_all_processes() {
    let caches: [Cache; 8] = processes();
    let row = Row::default();
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for cache in &caches {
        for _ in 0..100 {
            let (cache, row) = (cache.clone(), row.clone());
            callers.spawn(async move { cache.scope(outcome(read(&row, 1))).await.1 });
        }
    }
    let outcomes = callers.join_all().await;
    assert_eq!(row.runs(), 1);
    let loaded = outcomes.iter().filter(|how| **how == Outcome::Loaded);
    assert_eq!(loaded.count(), 1);
    assert_eq!(start.elapsed(), SECOND, "the fill wakes those who wait");
}

#[tokio::test(start_paused = true)]
async fn a_load_and_a_wait_tell_their_story() {
    let [one, other] = processes();
    let row = Row::default();
    let loads = reading(&one, &row);
    sleep(HALF).await;
    let waits = reading(&other, &row);
    let (_, told) = loads.await.expect("it loads");
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
    let (_, told) = waits.await.expect("it waits");
    assert_eq!(
        told,
        [
            Event::Missed(Miss::Rejected(Rejected::NoValue)),
            Event::Waited,
            Event::Ended(Outcome::Joined),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_another_process_invalidates_during_its_load_is_not_stored() {
    let [one, other] = processes();
    let row = Row::default();
    let loads = reading(&one, &row);
    sleep(HALF).await;
    row.write(1);
    invalidate(&other).await;
    let (value, told) = loads.await.expect("it loads");
    let fenced = Outcome::NotStored(NotStored::Fenced);
    assert_eq!((value, told.last()), (0, Some(&Event::Ended(fenced))));
    for cache in [&one, &other] {
        assert_eq!(cache.scope(read(&row, 1)).await, 1);
    }
    assert_eq!(row.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_the_invalidation_of_another_process_joins_no_earlier_load() {
    let [one, other] = processes();
    let row = Row::default();
    let earlier = reading(&one, &row);
    sleep(HALF).await;
    let joins = reading(&one, &row);
    tokio::task::yield_now().await;
    row.write(1);
    invalidate(&other).await;
    let later = reading(&one, &row);
    assert_eq!(earlier.await.expect("it loads").0, 0);
    let (value, told) = joins.await.expect("it joins");
    assert_eq!(value, 0);
    assert_eq!(told.last(), Some(&Event::Ended(Outcome::Joined)));
    assert_eq!(later.await.expect("it loads anew").0, 1);
    assert_eq!(row.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_during_a_load_makes_those_who_wait_load_once() {
    let caches: [Cache; 4] = processes();
    let row = Row::default();
    let [first, ..] = &caches;
    let earlier = reading(first, &row);
    sleep(HALF).await;
    let waiting: Vec<_> = caches
        .iter()
        .skip(1)
        .map(|cache| reading(cache, &row))
        .collect();
    sleep(HALF / 2).await;
    row.write(1);
    invalidate(first).await;
    assert_eq!(earlier.await.expect("it loads").0, 0);
    for waits in waiting {
        assert_eq!(waits.await.expect("it waits").0, 1);
    }
    assert_eq!(row.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_abandoned_is_taken_over_at_once() {
    let [one, other] = processes();
    let row = Row::default();
    let start = Instant::now();
    let abandoned = reading(&one, &row);
    sleep(HALF).await;
    let waits = reading(&other, &row);
    sleep(HALF / 2).await;
    abandoned.abort();
    let (value, told) = waits.await.expect("it takes over");
    assert_eq!(value, 0);
    assert!(told.contains(&Event::Leased), "{told:?}");
    assert_eq!(start.elapsed(), HALF + HALF / 2 + SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_renewed_is_taken_over_when_it_ends() {
    // Nobody dies in the embedded store without giving up, so there it stands sixty times as long.
    const BRIEF: Policy = Policy::DEFAULT
        .lease(Duration::from_secs(3))
        .wait(Duration::from_secs(3000));

    #[cached(ttl = 300, key = "hung:{id}", skip(row), policy = BRIEF)]
    async fn hung(row: &Row, id: u64) -> usize {
        if row.read().await == 0 {
            std::future::pending::<()>().await;
        }
        row.runs()
    }

    let [one, other] = processes();
    let row = Row::default();
    let start = Instant::now();
    let hangs = tokio::spawn({
        let (one, row) = (one.clone(), row.clone());
        async move { one.scope(hung(&row, 1)).await }
    });
    sleep(HALF).await;
    row.write(1);
    let (value, how) = other.scope(outcome(hung(&row, 1))).await;
    assert_eq!((value, how), (2, Outcome::Loaded));
    // At the end of the lease, or when it is looked at next.
    assert!(start.elapsed() >= Duration::from_secs(180) + SECOND);
    assert!(start.elapsed() <= Duration::from_secs(180) + SECOND + HALF);
    hangs.abort();
}

#[tokio::test(start_paused = true)]
async fn while_nothing_may_be_stored_loads_are_shared_all_the_same() {
    const LAGGING: Policy = Policy::DEFAULT.hold_off(Duration::from_secs(10));

    #[cached(ttl = 300, key = "lagging:{id}", skip(row), policy = LAGGING)]
    async fn lagging(row: &Row, id: u64) -> usize {
        row.read().await
    }

    async fn steadily<F: Future + Send + 'static>(call: impl Fn() -> F)
    where
        F::Output: Send,
    {
        let mut callers = JoinSet::new();
        for _ in 0..40 {
            callers.spawn(call());
            sleep(Duration::from_millis(100)).await;
        }
        callers.join_all().await;
    }

    // After an invalidation that holds off.
    let [cache] = processes();
    let row = Row::default();
    let entry = cache.scope(async { lagging_entry(1).invalidate().await });
    entry.await.expect("the embedded store confirms");
    steadily(|| {
        let (cache, row) = (cache.clone(), row.clone());
        async move { cache.scope(lagging(&row, 1)).await }
    })
    .await;
    assert!(row.runs() <= 5, "one load after another: {}", row.runs());

    // During a write of another process; a new write is not covered by what was read before it.
    let [cache, other] = processes();
    let row = Row::default();
    let writes = tokio::spawn({
        let (other, row) = (other.clone(), row.clone());
        async move { other.scope(write(&row, 1, 7, Duration::from_secs(9))).await }
    });
    sleep(Duration::from_millis(1)).await;
    steadily(|| {
        let (cache, row) = (cache.clone(), row.clone());
        async move { cache.scope(read(&row, 1)).await }
    })
    .await;
    assert!(row.runs() <= 5, "one load after another: {}", row.runs());
    writes.await.expect("it writes");
}

#[tokio::test(start_paused = true)]
async fn a_load_longer_than_anybody_waits_is_stored_and_noticed_by_who_still_waits() {
    #[cached(ttl = 300, key = "long:{id}", skip(row))]
    async fn long(row: &Row, id: u64) -> usize {
        row.read().await;
        sleep(Duration::from_secs(6)).await;
        row.runs()
    }

    let cache = Cache::memory();
    let row = Row::default();
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (cache, row) = (cache.clone(), row.clone());
        callers.spawn(async move {
            let how = cache.scope(outcome(long(&row, 1))).await.1;
            (how, start.elapsed().as_secs())
        });
    }
    let mut outcomes = callers.join_all().await;
    outcomes.sort_by_key(|(_, seconds)| *seconds);
    let (last, others) = outcomes.split_last().expect("ten");
    // One was impatient and loads by itself; the load of the first serves all the others.
    assert_eq!(*last, (Outcome::NotStored(NotStored::Leased), 12));
    assert!(others.contains(&(Outcome::Loaded, 7)));
    assert_eq!(
        others
            .iter()
            .filter(|one| **one == (Outcome::Joined, 7))
            .count(),
        8
    );
    assert_eq!(row.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn loads_without_a_value_are_never_waited_for_one_after_another() {
    let caches: [Cache; 4] = processes();
    for fails in [true, false] {
        let row = Row::default();
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for cache in &caches {
            for _ in 0..10 {
                let (cache, row) = (cache.clone(), row.clone());
                callers.spawn(async move {
                    match fails {
                        true => drop(cache.scope(unreadable(&row, 1)).await),
                        false => drop(cache.scope(absent(&row, 1)).await),
                    }
                });
            }
        }
        callers.join_all().await;
        assert_eq!(row.runs(), 40, "one to find out, then all at once");
        assert_eq!(start.elapsed(), 2 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_of_another_process_is_waited_for_as_long_as_stated() {
    const IMPATIENT: Policy = Policy::DEFAULT
        .wait(Duration::from_secs(8))
        .lease(Duration::from_secs(60));

    #[cached(ttl = 300, key = "slow:{id}", skip(row), policy = IMPATIENT)]
    async fn slow(row: &Row, id: u64) -> usize {
        row.read().await;
        sleep(Duration::from_secs(7)).await;
        row.runs()
    }

    let [one, other] = processes();
    let row = Row::default();
    let loads = tokio::spawn({
        let (one, row) = (one.clone(), row.clone());
        async move { one.scope(outcome(slow(&row, 1))).await }
    });
    sleep(HALF).await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (other, row) = (other.clone(), row.clone());
        callers.spawn(async move { other.scope(slow(&row, 1)).await });
    }
    callers.join_all().await;
    // Seven eighths of `wait`, and the load of one of the impatient for all of them.
    assert_eq!(start.elapsed(), Duration::from_secs(7 + 8));
    assert_eq!(row.runs(), 2);
    assert_eq!(loads.await.expect("it ends").1, Outcome::Loaded);
}

#[tokio::test(start_paused = true)]
async fn without_the_fleet_nobody_waits_for_another_process_but_fills_are_fenced() {
    const ALONE: Policy = Policy::DEFAULT.single_flight(SingleFlight::Process);

    #[cached(ttl = 300, key = "row:{id}", skip(row), policy = ALONE)]
    async fn read_alone(row: &Row, id: u64) -> usize {
        row.read().await
    }

    let [one, other] = processes();
    let row = Row::default();
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for cache in [&one, &other] {
        for _ in 0..10 {
            let (cache, row) = (cache.clone(), row.clone());
            callers.spawn(async move { cache.scope(read_alone(&row, 1)).await });
        }
    }
    sleep(HALF).await;
    row.write(1);
    invalidate(&other).await;
    callers.join_all().await;
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(row.runs(), 2);
    assert_eq!(
        one.scope(read_alone(&row, 1)).await,
        1,
        "nothing outdated was stored"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refresh_takes_the_lease_away() {
    let [one, other] = processes();
    let row = Row::default();
    let earlier = reading(&one, &row);
    sleep(HALF).await;
    row.write(1);
    assert_eq!(other.scope(refresh(read(&row, 1))).await, 1);
    let (value, told) = earlier.await.expect("it loads");
    let fenced = Outcome::NotStored(NotStored::Fenced);
    assert_eq!((value, told.last()), (0, Some(&Event::Ended(fenced))));
    assert_eq!(one.scope(outcome(read(&row, 1))).await, (1, Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn while_a_row_is_written_the_old_value_is_read_and_no_load_is_stored() {
    let [one, other] = processes();
    let row = Row::default();
    one.scope(read(&row, 1)).await;
    let writes = tokio::spawn({
        let (one, row) = (one.clone(), row.clone());
        async move { one.scope(write(&row, 1, 7, 2 * SECOND)).await }
    });
    sleep(HALF).await;
    assert_eq!(other.scope(outcome(read(&row, 1))).await, (0, Outcome::Hit));
    let (value, how) = other.scope(outcome(refresh(read(&row, 1)))).await;
    assert_eq!(
        (value, how),
        (0, Outcome::Loaded),
        "a refresh takes the intent away"
    );
    writes.await.expect("it writes");
    // So the write could not know what the entry holds, and has deleted it.
    assert_eq!(
        other.scope(outcome(read(&row, 1))).await,
        (7, Outcome::Loaded)
    );

    let writes = tokio::spawn({
        let (one, row) = (one.clone(), row.clone());
        async move { one.scope(write(&row, 1, 8, SECOND)).await }
    });
    sleep(HALF).await;
    assert_eq!(other.scope(outcome(read(&row, 1))).await, (7, Outcome::Hit));
    writes.await.expect("it writes");
    assert_eq!(other.scope(outcome(read(&row, 1))).await, (8, Outcome::Hit));
}

#[tokio::test(start_paused = true)]
async fn a_load_during_a_write_of_another_process_is_not_stored() {
    let [one, other] = processes();
    let row = Row::default();
    let writes = tokio::spawn({
        let (one, row) = (one.clone(), row.clone());
        async move { one.scope(write(&row, 1, 7, SECOND + HALF)).await }
    });
    sleep(HALF / 2).await;
    let (value, told) = other.scope(events(read(&row, 1))).await;
    assert_eq!(value, 0);
    let leased = Outcome::NotStored(NotStored::Leased);
    assert_eq!(told.last(), Some(&Event::Ended(leased)), "{told:?}");
    writes.await.expect("it writes");
    assert_eq!(other.scope(outcome(read(&row, 1))).await, (7, Outcome::Hit));
    assert_eq!(row.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_writes_that_overlap_neither_is_trusted() {
    for (first, second) in [(2, 1), (1, 2), (1, 4)] {
        let [one, other] = processes();
        let row = Row::default();
        one.scope(read(&row, 1)).await;
        let writing = |cache: &Cache, to: usize, seconds: u32| {
            let (cache, row) = (cache.clone(), row.clone());
            tokio::spawn(async move { cache.scope(write(&row, 1, to, SECOND * seconds)).await })
        };
        let one_writes = writing(&one, 1, first);
        sleep(HALF).await;
        let other_writes = writing(&other, 2, second);
        one_writes.await.expect("it writes");
        other_writes.await.expect("it writes");
        let version = row.0.version.load(SeqCst);
        assert_eq!(one.scope(read(&row, 1)).await, version, "{first} {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_before_it_began_leaves_no_intent() {
    #[updates(read(id) = &to, only_ok)]
    async fn refused(id: u64, to: usize) -> Result<usize, Unreadable> {
        sleep(SECOND).await;
        (to > 0).then_some(to).ok_or(Unreadable)
    }

    let [one, other] = processes();
    let row = Row::default();
    one.scope(read(&row, 1)).await;
    assert!(one.scope(refused(1, 0)).await.is_err());
    assert_eq!(other.scope(outcome(read(&row, 1))).await, (0, Outcome::Hit));
    row.write(3);
    let refreshed = other.scope(outcome(refresh(read(&row, 1)))).await;
    assert_eq!(refreshed, (3, Outcome::Loaded));
    other.scope(overwrite(&row, 1, 4)).await;
    assert_eq!(
        one.scope(outcome(read(&row, 1))).await,
        (4, Outcome::Loaded)
    );
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_longer_than_its_value_lives_is_stored() {
    #[cached(ttl = 1, key = "costly:{id}", skip(row))]
    async fn costly(row: &Row, id: u64) -> usize {
        for _ in 0..5 {
            row.read().await;
        }
        row.runs()
    }

    let [one, other] = processes();
    let row = Row::default();
    assert_eq!(
        one.scope(outcome(costly(&row, 1))).await,
        (5, Outcome::Loaded)
    );
    assert_eq!(
        other.scope(outcome(costly(&row, 1))).await,
        (5, Outcome::Hit)
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_load_takes_is_not_known_from_a_value_that_was_put() {
    #[cached(ttl = 60, key = "put:{id}", skip(row), stale_if_error = 3600)]
    async fn fallible(row: &Row, id: u64) -> Result<usize, Unreadable> {
        Ok(row.read().await)
    }

    let caches: [Cache; 4] = processes();
    let [one, ..] = &caches;
    let row = Row::default();
    let put = one.scope(async { fallible_entry(1).put(&7).await }).await;
    put.expect("the embedded store confirms");
    sleep(60 * SECOND).await;
    let mut callers = JoinSet::new();
    for cache in &caches {
        let (cache, row) = (cache.clone(), row.clone());
        callers.spawn(async move { cache.scope(outcome(fallible(&row, 1))).await.1 });
    }
    let outcomes = callers.join_all().await;
    assert_eq!(row.runs(), 1, "{outcomes:?}");
}
