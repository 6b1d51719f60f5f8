//! Deletions whose confirmation is still out.
//!
//! An invalidation that fails, or whose fate is unknown because its caller went away, is kept as a
//! deletion (never as a value) and repeated in the background. Until the store confirms it, this
//! process bypasses the cache for those keys: its own callers never see what they invalidated.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::error::StoreError;
use crate::flow::Engine;
use crate::key::Key;

/// How many keys are kept one by one. Beyond it the whole namespace is bypassed, then cleared.
const CAPACITY: usize = 10_000;
/// Keys per repeated deletion.
const BATCH: usize = 500;
/// How long one repetition may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause after the first failed repetition; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The deletions of one cache that the store has not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Unconfirmed {
    // Each key with the tick of its latest deletion.
    keys: Mutex<HashMap<Key, u64>>,
    // So that the common case, nothing unconfirmed, costs a load.
    count: AtomicUsize,
    // The tick at which the keys became too many; zero: they have not.
    overflowed: AtomicU64,
    ticks: AtomicU64,
    repeating: AtomicBool,
}

impl Unconfirmed {
    /// Whether calls with this key must bypass the cache.
    pub(crate) fn covers(&self, key: &Key) -> bool {
        self.count.load(SeqCst) > 0
            && (self.overflowed.load(SeqCst) > 0 || self.keys.lock().contains_key(key))
    }

    /// How many deletions are unconfirmed.
    pub(crate) fn len(&self) -> usize {
        self.count.load(SeqCst)
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, SeqCst) + 1
    }

    fn add(&self, added: &[Key]) {
        let mut keys = self.keys.lock();
        let tick = self.tick();
        for key in added {
            keys.insert(key.clone(), tick);
        }
        if keys.len() > CAPACITY {
            keys.clear();
            self.overflowed.store(tick, SeqCst);
            tracing::warn!(
                target: "cache",
                "more than {CAPACITY} invalidations are unconfirmed: the cache is bypassed until \
                 the store answers and its namespace has been cleared"
            );
        }
        self.recount(&keys);
    }

    /// Forgets deletions that were added up to `tick`: a later one has been confirmed.
    fn remove<'a>(&self, removed: impl IntoIterator<Item = &'a Key>, tick: u64) {
        if self.len() == 0 {
            return;
        }
        let mut keys = self.keys.lock();
        for key in removed {
            if keys.get(key).is_some_and(|added| *added <= tick) {
                keys.remove(key);
            }
        }
        self.recount(&keys);
    }

    fn cleared(&self, tick: u64) {
        let keys = self.keys.lock();
        // A further overflow while the namespace was being cleared asks for another clearing.
        let _ = self.overflowed.compare_exchange(tick, 0, SeqCst, SeqCst);
        self.recount(&keys);
    }

    fn recount(&self, keys: &HashMap<Key, u64>) {
        let overflow = usize::from(self.overflowed.load(SeqCst) > 0);
        self.count.store(keys.len() + overflow, SeqCst);
    }

    fn batch(&self) -> Vec<Key> {
        self.keys.lock().keys().take(BATCH).cloned().collect()
    }
}

/// Deletions on their way. Dropped before they are acknowledged, they are repeated.
#[derive(Debug)]
pub(crate) struct Unacknowledged<'a> {
    engine: &'a Arc<Engine>,
    keys: &'a [Key],
    since: u64,
    acknowledged: bool,
}

impl<'a> Unacknowledged<'a> {
    pub(crate) fn new(engine: &'a Arc<Engine>, keys: &'a [Key]) -> Self {
        Self {
            engine,
            keys,
            since: engine.unconfirmed.tick(),
            acknowledged: false,
        }
    }

    /// The store has confirmed them, and with them all earlier ones of these keys.
    pub(crate) fn acknowledge(mut self) {
        self.acknowledged = true;
        self.engine.unconfirmed.remove(self.keys, self.since);
    }
}

impl Drop for Unacknowledged<'_> {
    fn drop(&mut self) {
        if !self.acknowledged {
            self.engine.invalidate_in_background(self.keys);
        }
    }
}

impl Engine {
    /// Deletes entries without waiting for it; until it is confirmed the keys are bypassed.
    pub(crate) fn invalidate_in_background(self: &Arc<Self>, keys: &[Key]) {
        for key in keys {
            self.flights.fence(key);
        }
        self.unconfirmed.add(keys);
        self.confirm_in_background();
    }

    /// Sees to it that somebody repeats the unconfirmed deletions. Outside a runtime nobody can:
    /// the next call that is bypassed for their sake tries again.
    pub(crate) fn confirm_in_background(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.unconfirmed.len() > 0 && !self.unconfirmed.repeating.swap(true, SeqCst) {
            let turn = Turn(self.clone());
            runtime.spawn(async move { turn.0.confirm().await });
        }
    }

    /// Repeats the unconfirmed deletions until none is left. Cancel safe.
    pub(crate) async fn confirm(&self) {
        let mut pause = FIRST_PAUSE;
        while self.unconfirmed.len() > 0 {
            match timeout(PATIENCE, self.repeat_deletions()).await {
                Ok(Ok(())) => pause = FIRST_PAUSE,
                Ok(Err(_)) | Err(_) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn repeat_deletions(&self) -> Result<(), StoreError> {
        let overflowed = self.unconfirmed.overflowed.load(SeqCst);
        if overflowed > 0 {
            self.store.clear(&format!("{}:*", self.namespace)).await?;
            self.unconfirmed.cleared(overflowed);
        }
        let since = self.unconfirmed.tick();
        let batch = self.unconfirmed.batch();
        if !batch.is_empty() {
            self.store.delete(&batch).await?;
            self.unconfirmed.remove(&batch, since);
        }
        Ok(())
    }
}

/// Somebody's turn at repeating deletions; it ends also when its runtime does.
struct Turn(Arc<Engine>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.unconfirmed.repeating.store(false, SeqCst);
        // Whatever was added after the last look found a repeater that was about to leave.
        self.0.confirm_in_background();
    }
}
