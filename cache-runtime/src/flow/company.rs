//! [`Company`]: calls that are made together, the ids of a batch.

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::envelope::Generation;
use crate::error::{StoreError, StoreErrorKind};
use crate::key::Key;
use crate::store::Store;

/// How many ids of a batch are loaded by one run of its body: taking so many leases before takes less
/// than they stand.
const MOST_LOADS: usize = 10_000;

/// How many leases are taken, or values stored, at a time, each within the time that a step of a call
/// may take: well within it on a busy machine.
const MOST_WRITES: usize = 1_000;

/// How many ids of a batch are looked up at a time, each within the time that a step of a call may
/// take: so many join in a few milliseconds, meanwhile nobody else's reads leave.
const MOST_READS: usize = 4_096;

/// What calls know of each other that are made together.
///
/// It tells how many of them can do nothing but wait, for somebody else's load or for their turn:
/// when all others are decided, it is time to load for them.
#[derive(Debug, Clone)]
pub(crate) struct Company {
    waiting: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    generations: Arc<Mutex<Generations>>,
}

/// The generations of tags, by the tag and how long they are kept.
type Generations = HashMap<(Key, Duration), Arc<OnceCell<Generation>>>;

/// The turn of one of the calls.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A wait that does not depend on this call.
#[derive(Debug)]
pub(super) struct Waiting {
    company: Company,
}

impl Company {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Arc::default(),
            turns: Arc::new(Semaphore::new(MOST_LOADS)),
            reads: Arc::new(Semaphore::new(MOST_READS)),
            writes: Arc::new(Semaphore::new(MOST_WRITES)),
            generations: Arc::default(),
        }
    }

    /// The generations of tags, each of which is asked for once: before all loads of the batch, which
    /// is what counts.
    pub(super) async fn generations(
        &self,
        store: &Store,
        tags: &[Key],
        kept: Duration,
    ) -> Result<Vec<Generation>, StoreError> {
        let generation = async |tag: &Key| {
            let known = (tag.clone(), kept);
            let cell = self.generations.lock().entry(known).or_default().clone();
            let asked = cell.get_or_try_init(async || {
                let asked = store.generations(slice::from_ref(tag), kept).await?;
                let generation = asked.first().copied();
                generation.ok_or_else(|| StoreError::new(StoreErrorKind::Protocol, "no generation"))
            });
            asked.await.copied()
        };
        try_join_all(tags.iter().map(generation)).await
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// One of the calls waits until this is dropped.
    pub(super) fn wait(&self) -> Waiting {
        self.waiting.fetch_add(1, Relaxed);
        Waiting {
            company: self.clone(),
        }
    }

    /// Waits until one more may look, which does not take long: nobody counts as waiting meanwhile.
    pub(super) async fn read(&self) -> Turn {
        Turn::of(&self.reads).await
    }

    /// The same for one more that takes a lease, stores a value or gives a lease up.
    pub(super) async fn write(&self) -> Turn {
        Turn::of(&self.writes).await
    }

    /// Waits until one more may load.
    pub(super) async fn turn(&self) -> Turn {
        if let Ok(permit) = self.turns.clone().try_acquire_owned() {
            return Turn {
                _permit: Some(permit),
            };
        }
        let _waiting = self.wait();
        Turn::of(&self.turns).await
    }
}

impl Turn {
    async fn of(turns: &Arc<Semaphore>) -> Self {
        // They never end.
        let permit = turns.clone().acquire_owned().await.ok();
        Self { _permit: permit }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.company.waiting.fetch_sub(1, Relaxed);
    }
}
