//! Deletions on their way, and their repetition until the store confirms them.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::Engine;
use crate::error::StoreError;
use crate::key::Key;
use crate::store::Store;

/// How long one repetition may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause after the first failed repetition; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

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
    /// Deletes entries without waiting for it; until it is confirmed the keys are bypassed. In the
    /// embedded store at once.
    pub(crate) fn invalidate_in_background(self: &Arc<Self>, keys: &[Key]) {
        if let Store::Memory(store) = &self.store {
            self.fence(keys);
            // Confirmed on the spot, which needs no runtime.
            let _count = store.delete(keys);
            self.fence(keys);
            return;
        }
        // In this order: whoever notes the marks of an entry after the fence finds it hidden.
        self.unconfirmed.add(keys);
        self.fence(keys);
        self.confirm_in_background();
    }

    /// Sees to it that somebody repeats the unconfirmed deletions. Outside a runtime nobody can:
    /// the next call that is bypassed for their sake tries again. And after a shutdown nobody does.
    pub(crate) fn confirm_in_background(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if !self.closed.load(SeqCst) && self.unconfirmed.take_turn() {
            let engine = self.clone();
            let turn = Turn(self.clone());
            runtime.spawn(async move {
                engine.confirm().await;
                drop(turn);
                // Whatever was added after the last look found a repeater that was about to leave.
                engine.confirm_in_background();
            });
        }
    }

    /// Repeats the unconfirmed deletions until none is left, or the cache is shut down. Cancel safe.
    pub(crate) async fn confirm(&self) {
        let mut pause = FIRST_PAUSE;
        while self.unconfirmed.len() > 0 && !self.closed.load(SeqCst) {
            if self.repeat_deletions().await {
                pause = FIRST_PAUSE;
            } else {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Whether any were confirmed.
    async fn repeat_deletions(&self) -> bool {
        if let Some(overflow) = self.unconfirmed.overflow()
            && self.clear("*").await.is_ok()
        {
            self.unconfirmed.cleared(overflow);
            return true;
        }
        let since = self.unconfirmed.tick();
        let batch = self.unconfirmed.batch();
        let deleted = timeout(PATIENCE, self.store.delete(&batch)).await;
        let confirmed = matches!(deleted, Ok(Ok(_)));
        if confirmed {
            self.fence(&batch);
            self.unconfirmed.remove(&batch, since);
        }
        // To delete nothing always succeeds; what is left then is to be cleared.
        confirmed && !batch.is_empty()
    }

    /// Deletes the entries of this namespace whose key matches `pattern`; how many there were.
    /// Takes as long as it takes: there may be millions of keys to look through.
    pub(crate) async fn clear(&self, pattern: &str) -> Result<u64, StoreError> {
        self.fence_all();
        let pattern = format!("{}:{pattern}", self.namespace);
        let cleared = self.store.clear(&pattern).await;
        self.fence_all();
        cleared
    }

    fn fence_all(&self) {
        self.flights.fence_all();
        if let Some(near) = &self.near {
            near.all_changed();
        }
    }
}

/// Somebody's turn at repeating deletions; it ends also when its runtime does. Nothing is spawned
/// in that case: a runtime that is shutting down would drop the new turn at once, and so on.
struct Turn(Arc<Engine>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.unconfirmed.end_turn();
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use crate::Cache;

    #[test]
    fn a_runtime_may_end_while_deletions_are_unconfirmed() {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = builder.enable_all().build().expect("a runtime");
            let cache = runtime.block_on(async {
                // Nobody listens there.
                let cache = Cache::builder().url("redis://127.0.0.1:1").build().await;
                let cache = cache.expect("a configuration");
                let deleted = cache.entry::<u8>("k").invalidate().await;
                assert!(deleted.is_err(), "there is no server");
                cache
            });
            drop(runtime);
            let unconfirmed = &cache.engine().unconfirmed;
            assert!(unconfirmed.take_turn(), "the next runtime can take over");
        }
    }
}
