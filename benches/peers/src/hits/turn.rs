//! One turn of one contender: many callers who ask for pages that are cached.

use std::hint::black_box;
use std::ops::{AddAssign, Range};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;

use crate::allocations;
use crate::contenders::Contender;
use crate::ids::Ids;
use crate::origin::{self, Failure};
use crate::page::Page;

/// How a turn is measured.
#[derive(Debug, Clone)]
pub struct Turn {
    pub callers: usize,
    pub ids: Range<u64>,
    pub length: Duration,
    /// Which turn it is: in another one callers ask for other pages.
    pub number: usize,
    /// Of how many calls one is timed, before the caller lets others run. Where a call takes less
    /// than reading the clock, not each is timed.
    pub stride: u64,
}

/// What one turn gave, or several.
#[derive(Debug, Default)]
pub struct Taken {
    pub calls: u64,
    /// Until a caller's last call ended, on average: those whose calls are long wait no longer for the
    /// last of all callers than others.
    pub lasted: Duration,
    /// Latencies of the calls that were timed, in nanoseconds.
    pub latencies: Vec<u64>,
    /// Calls that were no hits: the origin ran.
    pub loads: u64,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, next: Self) {
        self.calls += next.calls;
        self.lasted += next.lasted;
        self.latencies.extend(next.latencies);
        self.loads += next.loads;
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A contender whose type does not show, so that all stand in one list. What is boxed is a turn,
/// never a call.
pub trait Entrant {
    fn turn(&self, turn: Turn) -> Boxed<'_, Result<Taken, Failure>>;

    /// Allocations of so many calls, divided among the callers of the turn.
    fn allocations(&self, turn: Turn, calls: u64) -> Boxed<'_, Result<f64, Failure>>;

    /// Makes sure that all pages are cached, right, and that the origin rests.
    fn warm(&self, ids: Range<u64>) -> Boxed<'_, Result<(), Failure>>;
}

impl<C: Contender> Entrant for Arc<C> {
    fn turn(&self, turn: Turn) -> Boxed<'_, Result<Taken, Failure>> {
        Box::pin(timed(self, turn))
    }

    fn allocations(&self, turn: Turn, calls: u64) -> Boxed<'_, Result<f64, Failure>> {
        Box::pin(counted(self, turn, calls))
    }

    fn warm(&self, ids: Range<u64>) -> Boxed<'_, Result<(), Failure>> {
        Box::pin(warm(self, ids))
    }
}

async fn timed<C: Contender>(contender: &Arc<C>, turn: Turn) -> Result<Taken, Failure> {
    let (start, loads) = (Instant::now(), origin::loads());
    let callers: Vec<_> = (0..turn.callers)
        .map(|number| {
            let (contender, turn) = (Arc::clone(contender), turn.clone());
            tokio::spawn(async move { caller(&*contender, &turn, number, start).await })
        })
        .collect();
    let mut all = Taken::default();
    for caller in callers {
        all += caller.await.map_err(Failure::of)??;
    }
    all.lasted = all.lasted.div_f64(turn.callers as f64);
    all.loads = origin::loads() - loads;
    Ok(all)
}

async fn caller<C: Contender>(
    contender: &C,
    turn: &Turn,
    number: usize,
    start: Instant,
) -> Result<Taken, Failure> {
    let number = turn.number * turn.callers + number;
    let mut ids = Ids::new(&turn.ids, number);
    // One of them that is always the same may be the one at which a cache tidies up.
    let places = 0..turn.stride;
    let mut places = Ids::new(&places, number);
    let mut taken = Taken::default();
    // Reading it is a part of what is measured, so once a call has to do.
    let mut now = Instant::now();
    loop {
        let place = places.next();
        if place > 0 {
            for _ in 0..place {
                black_box(contender.get(ids.next()).await?);
            }
            now = Instant::now();
        }
        let before = now;
        black_box(contender.get(ids.next()).await?);
        now = Instant::now();
        let latency = now.duration_since(before).as_nanos();
        if taken.calls == turn.stride {
            // The first found everything as others had left it; it counts where there is no second.
            taken.latencies.clear();
        }
        taken.latencies.push(latency.try_into().unwrap_or(u64::MAX));
        taken.calls += turn.stride;
        if turn.stride > 1 {
            for _ in place + 1..turn.stride {
                black_box(contender.get(ids.next()).await?);
            }
            // Calls that never wait would leave the other callers no turn.
            tokio::task::yield_now().await;
            now = Instant::now();
        }
        taken.lasted = now.duration_since(start);
        if taken.lasted >= turn.length {
            return Ok(taken);
        }
    }
}

async fn counted<C: Contender>(contender: &Arc<C>, turn: Turn, calls: u64) -> Result<f64, Failure> {
    let each = calls / turn.callers.max(1) as u64;
    let gate = Arc::new(Barrier::new(turn.callers + 1));
    let callers: Vec<_> = (0..turn.callers)
        .map(|number| {
            let (contender, turn) = (Arc::clone(contender), turn.clone());
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let mut ids = Ids::new(&turn.ids, number);
                gate.wait().await;
                for _ in 0..each {
                    black_box(contender.get(ids.next()).await?);
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    allocations::start();
    gate.wait().await;
    for caller in callers {
        caller.await.map_err(Failure::of)??;
    }
    let allocations = allocations::stop();
    Ok(allocations as f64 / (each * turn.callers as u64) as f64)
}

async fn warm<C: Contender>(contender: &Arc<C>, ids: Range<u64>) -> Result<(), Failure> {
    for id in ids.clone() {
        contender.get(id).await?;
    }
    let loads = origin::loads();
    for id in ids {
        let page = contender.get(id).await?;
        if page.as_ref() != &Page::new(id, origin::version()) {
            return Err(Failure(format!("page {id} is not what was cached")));
        }
    }
    match origin::loads() - loads {
        0 => Ok(()),
        loads => Err(Failure(format!("{loads} pages were not cached"))),
    }
}
