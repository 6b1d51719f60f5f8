//! Filling a cold cache before anybody asks.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_runtime::{Cache, Progress, cached, warm_up};
use tokio::time::{Instant, sleep};

/// An origin that knows how many ask it at once.
#[derive(Debug, Default)]
struct Rows {
    asked: Mutex<Vec<u64>>,
    calls: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    /// The id that it fails for.
    fails_at: AtomicU64,
    is_down: AtomicBool,
}

impl Rows {
    fn new() -> Self {
        Self {
            fails_at: AtomicU64::new(u64::MAX),
            ..Self::default()
        }
    }

    /// Ids divisible by ten have no row.
    async fn load(&self, ids: &[u64]) -> Result<HashMap<u64, u64>, &'static str> {
        self.calls.fetch_add(1, SeqCst);
        let under_way = self.under_way.fetch_add(1, SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, SeqCst);
        sleep(Duration::from_millis(10)).await;
        self.under_way.fetch_sub(1, SeqCst);
        if self.is_down.load(SeqCst) || ids.contains(&self.fails_at.load(SeqCst)) {
            return Err("as asked");
        }
        self.asked.lock().expect("no panic").extend(ids);
        let rows = ids.iter().filter(|id| **id % 10 != 0);
        Ok(rows.map(|id| (*id, id * 2)).collect())
    }
}

#[cached(ttl = 300, key = "row:{id}", skip(of), each(id in ids))]
async fn rows(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, &'static str> {
    of.load(ids).await
}

#[cached(ttl = 300, key = "row:{id}", skip(of))]
async fn row(of: &Rows, id: u64) -> Result<u64, &'static str> {
    of.load(&[id]).await?.remove(&id).ok_or("absent")
}

#[tokio::test(start_paused = true)]
async fn every_id_is_loaded_once_a_batch_at_a_time() {
    let of = &Rows::new();
    let warmed = Cache::memory().scope(async {
        rows(of, &[1, 2, 3]).await.expect("rows");
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let warm = warm_up(1..=100)
            .on_progress(move |progress| tell.lock().expect("no panic").push(*progress))
            .in_batches(30, |ids| async move { rows(of, &ids).await })
            .await
            .expect("nothing fails");
        let told: Vec<Progress> = told.lock().expect("no panic").clone();
        let positions: Vec<_> = told.iter().map(|progress| progress.position).collect();
        assert_eq!(positions, [30, 60, 90, 100]);
        assert_eq!(told.last(), Some(&warm));
        assert_eq!((warm.hits, warm.loaded), (3, 87));
        assert_eq!((warm.uncached, warm.failed), (10, 0));
        assert_eq!(of.most_under_way.load(SeqCst), 1, "one at a time");
        let mut asked = of.asked.lock().expect("no panic").clone();
        asked.sort_unstable();
        assert_eq!(asked, (1..=100).collect::<Vec<_>>());
        // Again: all but the absent ones are there.
        of.calls.store(0, SeqCst);
        let again = warm_up(1..=9)
            .in_batches(30, |ids| async move { rows(of, &ids).await })
            .await
            .expect("nothing fails");
        assert_eq!((again.hits, of.calls.load(SeqCst)), (9, 0));
    });
    warmed.await;
}

#[tokio::test(start_paused = true)]
async fn it_is_as_gentle_as_asked() {
    let of = &Rows::new();
    let warmed = Cache::memory().scope(async {
        let start = Instant::now();
        warm_up(1..=9)
            .concurrency(3)
            .pause(Duration::from_millis(90))
            .each(|id| row(of, id))
            .await
            .expect("nothing fails");
        assert_eq!(of.most_under_way.load(SeqCst), 3);
        assert_eq!(start.elapsed(), Duration::from_millis(300));
        // Nothing was loaded, so nobody rests.
        let start = Instant::now();
        warm_up(1..=9)
            .pause(Duration::from_millis(90))
            .each(|id| row(of, id))
            .await
            .expect("nothing fails");
        assert_eq!(start.elapsed(), Duration::ZERO);
    });
    warmed.await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_is_tried_again_and_then_passed_over() {
    let of = &Rows::new();
    of.fails_at.store(15, SeqCst);
    let warmed = Cache::memory().scope(async {
        let warm = warm_up(1..=30)
            .attempts(3)
            .in_batches(10, |ids| async move { rows(of, &ids).await })
            .await
            .expect("most succeed");
        assert_eq!((warm.position, warm.failed), (30, 10));
        assert_eq!((warm.loaded, warm.uncached), (18, 2));
        assert_eq!(of.calls.load(SeqCst), 1 + 3 + 1);
        // What failed and comes back is made good.
        of.fails_at.store(u64::MAX, SeqCst);
        let again = warm_up(1..=30)
            .in_batches(10, |ids| async move { rows(of, &ids).await })
            .await
            .expect("nothing fails");
        assert_eq!((again.hits, again.loaded), (18, 9));
    });
    warmed.await;
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_on_an_origin_that_is_down_and_is_taken_up_where_it_was() {
    let of = &Rows::new();
    let warmed = Cache::memory().scope(async {
        let warm = warm_up(1..=100)
            .attempts(2)
            .in_batches(10, |ids| async move {
                let found = rows(of, &ids).await;
                of.is_down.fetch_or(ids.contains(&20), SeqCst);
                found
            });
        let gave_up = warm.await.expect_err("the origin is down");
        assert_eq!(gave_up.progress.position, 20);
        assert_eq!(gave_up.progress.loaded, 18);
        assert_eq!(of.calls.load(SeqCst), 2 + 3 * 2);
        assert!(gave_up.to_string().contains("20 ids"), "{gave_up}");

        of.is_down.store(false, SeqCst);
        of.calls.store(0, SeqCst);
        let warm = warm_up(1..=100)
            .skip(gave_up.progress.position)
            .in_batches(10, |ids| async move { rows(of, &ids).await })
            .await
            .expect("nothing fails");
        assert_eq!((warm.position, warm.loaded, warm.hits), (100, 72, 0));
        assert_eq!(of.calls.load(SeqCst), 8);
    });
    warmed.await;
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_as_well_where_some_ids_are_cached() {
    let of = &Rows::new();
    let warmed = Cache::memory().scope(async {
        let cached = [1, 2, 11, 12].into_iter().chain(21..=30).chain(51..=59);
        rows(of, &cached.collect::<Vec<_>>()).await.expect("rows");
        of.calls.store(0, SeqCst);
        of.is_down.store(true, SeqCst);
        let warm = warm_up((1..=10_000).filter(|id| id % 10 != 0))
            .attempts(2)
            .in_batches(9, |ids| async move { rows(of, &ids).await });
        let gave_up = warm.await.expect_err("the origin is down");
        assert_eq!(gave_up.progress.position, 0);
        // Of 1 and 2, of 11 and 12, and of none; 21 to 29 are all cached.
        assert_eq!(of.calls.load(SeqCst), 3 * 2);
    });
    warmed.await;
}

#[tokio::test(start_paused = true)]
async fn its_position_stays_before_what_comes_to_nothing() {
    let of = &Rows::new();
    let warmed = Cache::memory().scope(async {
        of.fails_at.store(15, SeqCst);
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let warm = warm_up(1..=40)
            .skip(5)
            .attempts(1)
            .on_progress(move |progress| tell.lock().expect("no panic").push(progress.position))
            .in_batches(5, |ids| async move { rows(of, &ids).await })
            .await
            .expect("most succeed");
        assert_eq!(
            *told.lock().expect("no panic"),
            [10, 10, 20, 25, 30, 35, 40]
        );
        assert_eq!((warm.position, warm.skipped, warm.failed), (40, 5, 5));
        assert!(
            warm.to_string().starts_with("40 ids: 5 skipped, "),
            "{warm}"
        );
    });
    warmed.await;
}

#[tokio::test(start_paused = true)]
async fn a_call_of_nothing_annotated_has_warmed_nothing() {
    let warm = warm_up(1..=10).attempts(1).in_batches(2, async |_ids| ());
    let gave_up = warm.await.expect_err("nothing is cached");
    assert_eq!((gave_up.progress.position, gave_up.progress.failed), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn dropped_it_stops_and_leaves_no_lease() {
    let of = &Rows::new();
    let warmed = Cache::memory().scope(async {
        let warm = warm_up(1..=100).in_batches(10, |ids| async move { rows(of, &ids).await });
        let limit = Duration::from_millis(25);
        tokio::time::timeout(limit, warm)
            .await
            .expect_err("it takes 100 ms");
        assert_eq!(of.asked.lock().expect("no panic").len(), 20);
        let start = Instant::now();
        rows(of, &[21, 22]).await.expect("rows");
        assert_eq!(
            start.elapsed(),
            Duration::from_millis(10),
            "nobody is waited for"
        );
    });
    warmed.await;
}

/// It can be spawned, as at the start of a service.
#[tokio::test(start_paused = true)]
async fn it_can_run_beside_the_service() {
    let of = Arc::new(Rows::new());
    let cache = Cache::memory();
    let task = cache.scope(warm_up(1..=9).in_batches(3, move |ids| {
        let of = of.clone();
        async move { rows(&of, &ids).await }
    }));
    let warm = tokio::spawn(task).await.expect("no panic");
    assert_eq!(warm.expect("nothing fails").loaded, 9);
    assert_eq!(cache.stats().function("rows").map(|row| row.loads), Some(9));
}
