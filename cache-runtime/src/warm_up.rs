//! [`warm_up`]: filling a cold cache before anybody asks.

use std::error::Error;
use std::fmt;
use std::iter;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::OptionFuture;
use futures_util::stream;
use tokio::time::sleep;

use crate::call::how_it_went;
use crate::observe::{NotStored, Outcome, Outcomes};
use crate::resilience::backoff::{Backoff, random};

/// The pauses before a call is made once more that has failed.
const RETRIES: Backoff = Backoff {
    first: Duration::from_millis(100),
    cap: Duration::from_secs(10),
};

/// So many calls in a row that came to nothing end a warm-up; those that found everything cached do
/// not count.
const MOST_FAILURES: usize = 3;

/// Fills the cache with the entries of these ids, by calling the annotated functions that load them.
///
/// An id that is cached already is a hit and costs the origin nothing. So a warm-up that was cut short
/// is made again, or taken up where it was with [`skip`](WarmUp::skip) and the
/// [`position`](Progress::position) it had come to. By default it is gentle: one call at a time.
///
/// ```
/// use std::collections::HashMap;
/// use cache_runtime::{Cache, cached, warm_up};
///
/// #[cached(ttl = 300, key = "square:{n}", each(n in numbers))]
/// async fn squares(numbers: &[u64]) -> HashMap<u64, u64> {
///     numbers.iter().map(|n| (*n, n * n)).collect()
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), cache_runtime::GaveUp> {
/// # Cache::memory().scope(async {
/// let warm = warm_up(0..1_000)
///     .on_progress(|progress| println!("{progress}"))
///     .in_batches(100, |numbers| async move { squares(&numbers).await })
///     .await?;
/// assert_eq!((warm.position, warm.loaded), (1_000, 1_000));
/// # Ok(()) }).await }
/// ```
pub fn warm_up<I: IntoIterator>(ids: I) -> WarmUp<I::IntoIter> {
    WarmUp {
        ids: ids.into_iter(),
        skip: 0,
        concurrency: 1,
        pause: Duration::ZERO,
        attempts: 5,
        on_progress: Box::new(|_| ()),
    }
}

/// A warm-up to come; see [`warm_up`].
#[must_use = "a warm-up runs when `each` or `in_batches` is awaited"]
pub struct WarmUp<I> {
    ids: I,
    skip: usize,
    concurrency: usize,
    pause: Duration,
    attempts: u32,
    on_progress: Box<dyn FnMut(&Progress) + Send>,
}

/// How far a warm-up has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many ids from the beginning on are done, skipped ones included: where to take it up. While
    /// calls come to nothing it stays before the first of them.
    pub position: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// How many were cached already.
    pub hits: usize,
    /// How many were loaded and stored, by this or by another caller.
    pub loaded: usize,
    /// How many were loaded and are not to be cached: absent, or declined by `cache_if`.
    pub uncached: usize,
    /// How many could not be loaded or stored, however often it was tried, or were not asked for: no
    /// annotated function was called. They are passed over.
    pub failed: usize,
}

/// A warm-up has met nothing but failures for a while, and has ended for the origin's sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GaveUp {
    /// How far it has come; the ids from there on are to be tried again.
    pub progress: Progress,
}

impl<I: Iterator<Item: Clone>> WarmUp<I> {
    /// Takes up an earlier warm-up of the same ids at this [`position`](Progress::position).
    pub fn skip(self, position: usize) -> Self {
        Self {
            skip: position,
            ..self
        }
    }

    /// How many calls are under way at a time. Default: 1. Zero counts as 1.
    pub fn concurrency(self, calls: usize) -> Self {
        Self {
            concurrency: calls.max(1),
            ..self
        }
    }

    /// How long each of them rests after a call that has loaded something. Default: not at all.
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// How often a call is made whose ids cannot all be loaded and stored, after pauses from 100 ms
    /// up to 10 s. Default: 5 times. Zero counts as once.
    pub fn attempts(self, attempts: u32) -> Self {
        Self {
            attempts: attempts.max(1),
            ..self
        }
    }

    /// Is told after each call how far it has come, in the order of the ids.
    pub fn on_progress(self, on_progress: impl FnMut(&Progress) + Send + 'static) -> Self {
        Self {
            on_progress: Box::new(on_progress),
            ..self
        }
    }

    /// Calls a function of one id for each of them.
    ///
    /// # Errors
    /// If three calls in a row came to nothing, each of them as often as it may be made.
    ///
    /// # Cancellation
    /// Dropped, it ends where it is.
    pub async fn each<F: Future>(self, call: impl Fn(I::Item) -> F) -> Result<Progress, GaveUp> {
        let of_one = |ids: Vec<_>| OptionFuture::from(ids.into_iter().next().map(&call));
        self.in_batches(1, of_one).await
    }

    /// Calls a function with `each(…)` for so many ids at a time. Zero counts as 1.
    ///
    /// # Errors
    /// If three calls in a row came to nothing, each of them as often as it may be made.
    ///
    /// # Cancellation
    /// Dropped, it ends where it is.
    pub async fn in_batches<F: Future>(
        self,
        size: usize,
        call: impl Fn(Vec<I::Item>) -> F,
    ) -> Result<Progress, GaveUp> {
        let Self {
            mut ids,
            skip,
            concurrency,
            pause,
            attempts,
            mut on_progress,
        } = self;
        let skipped = ids.by_ref().take(skip).count();
        let mut progress = Progress {
            position: skipped,
            skipped,
            ..Progress::default()
        };
        let batches = iter::from_fn(|| {
            let batch: Vec<_> = ids.by_ref().take(size.max(1)).collect();
            (!batch.is_empty()).then_some(batch)
        });
        let calls = stream::iter(batches).map(|batch| work_off(batch, &call, attempts, pause));
        let mut calls = pin!(calls.buffered(concurrency));
        let (mut done, mut failures) = (progress.position, 0);
        while let Some(tally) = calls.next().await {
            progress.add(tally);
            done += tally.ids;
            match tally {
                // Which says nothing about the origin.
                Tally { ids, hits, .. } if ids == hits && failures > 0 => {}
                Tally { failed: 1.., .. } if !tally.gave_something() => failures += 1,
                _ => (progress.position, failures) = (done, 0),
            }
            on_progress(&progress);
            if failures == MOST_FAILURES {
                return Err(GaveUp { progress });
            }
        }
        progress.position = done;
        Ok(progress)
    }
}

/// What a batch came to.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    ids: usize,
    hits: usize,
    uncached: usize,
    failed: usize,
}

/// Makes the call until nothing has failed, or as often as it may be made.
async fn work_off<K: Clone, F: Future>(
    ids: Vec<K>,
    call: &impl Fn(Vec<K>) -> F,
    attempts: u32,
    pause: Duration,
) -> Tally {
    let mut tally = Tally::of(how_it_went(call(ids.clone())).await, ids.len());
    for attempt in 1..attempts {
        if tally.failed == 0 {
            break;
        }
        sleep(RETRIES.wait(attempt - 1, random())).await;
        let again = Tally::of(how_it_went(call(ids.clone())).await, ids.len());
        // What is a hit now was loaded before.
        tally = Tally {
            hits: tally.hits,
            ..again
        };
    }
    if tally.hits < tally.ids && !pause.is_zero() {
        sleep(pause).await;
    }
    tally
}

impl Tally {
    fn of((outcomes, last): (Outcomes, Outcome), ids: usize) -> Self {
        let mut tally = Self {
            ids,
            ..Self::default()
        };
        if last == Outcome::NotCalled {
            tally.failed = ids;
            return tally;
        }
        for (_, outcome) in outcomes.iter() {
            match outcome {
                Outcome::Hit | Outcome::Near | Outcome::Stale => tally.hits += 1,
                Outcome::Joined | Outcome::Loaded => {}
                Outcome::StaleIfError
                | Outcome::NotStored(
                    NotStored::Failed
                    | NotStored::Fenced
                    | NotStored::Leased
                    | NotStored::Unconfirmed
                    | NotStored::Store(_),
                ) => tally.failed += 1,
                Outcome::NotStored(_) | Outcome::Bypassed(_) | Outcome::NotCalled => {
                    tally.uncached += 1;
                }
            }
        }
        // Past the cache an id has no outcome, nor while it waits for another's load when its batch fails.
        let others = ids.saturating_sub(outcomes.len());
        match tally.failed {
            0 => tally.uncached += others,
            _ => tally.failed += others,
        }
        tally
    }

    /// Whether the origin has answered for any of the ids.
    fn gave_something(&self) -> bool {
        self.hits + self.failed < self.ids
    }
}

impl Progress {
    fn add(&mut self, tally: Tally) {
        let Tally {
            ids,
            hits,
            uncached,
            failed,
        } = tally;
        self.hits += hits;
        self.uncached += uncached;
        self.failed += failed;
        self.loaded += ids.saturating_sub(hits + uncached + failed);
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            position,
            skipped,
            hits,
            loaded,
            uncached,
            failed,
        } = self;
        write!(f, "{position} ids: ")?;
        if *skipped > 0 {
            write!(f, "{skipped} skipped, ")?;
        }
        write!(
            f,
            "{hits} were cached, {loaded} loaded, {uncached} not to be cached, {failed} failed"
        )
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { progress } = self;
        write!(
            f,
            "the warm-up gave up: {MOST_FAILURES} calls in a row came to nothing after {progress}"
        )
    }
}

impl Error for GaveUp {}

impl<I> fmt::Debug for WarmUp<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmUp")
            .field("skip", &self.skip)
            .field("concurrency", &self.concurrency)
            .field("pause", &self.pause)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
