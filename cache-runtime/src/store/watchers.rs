//! [`Watchers`]: who waits for an entry to change.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;
use tokio::sync::watch::{Receiver, Sender};

use crate::key::Key;

/// Those who wait for entries to change. Nothing is kept for entries that nobody watches.
#[derive(Default)]
pub(super) struct Watchers {
    keys: Mutex<HashMap<Box<[u8]>, Sender<()>>>,
    // So that the common case, nobody watches, costs a load.
    count: AtomicUsize,
}

impl Watchers {
    /// Begins to watch an entry; to be done before it is read.
    pub(super) fn watch(self: &Arc<Self>, key: &Key) -> Change {
        let mut keys = self.keys.lock();
        let entry = keys.entry(key.as_bytes().into());
        let changes = entry.or_insert_with(|| Sender::new(())).subscribe();
        self.count.store(keys.len(), SeqCst);
        Change {
            changes,
            key: key.clone(),
            watchers: self.clone(),
            told: true,
        }
    }

    /// The entry has changed.
    pub(super) fn wake(&self, key: &[u8]) {
        if self.count.load(SeqCst) > 0
            && let Some(watched) = self.keys.lock().get(key)
        {
            watched.send_replace(());
        }
    }

    /// Any entry may have changed.
    pub(super) fn wake_all(&self) {
        for watched in self.keys.lock().values() {
            watched.send_replace(());
        }
    }

    /// How many entries are watched.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.lock().len()
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchers({})", self.count.load(SeqCst))
    }
}

/// Hears of the next change of an entry that was read.
#[derive(Debug)]
pub struct Change {
    changes: Receiver<()>,
    key: Key,
    watchers: Arc<Watchers>,
    told: bool,
}

impl Change {
    /// Waits until the store says that the entry has changed, or that it may have without its
    /// knowledge; for ever if it cannot say. Cancel safe.
    pub async fn happened(&mut self) {
        // The sender lives as long as somebody watches.
        let _ = self.changes.changed().await;
    }

    /// Whether the store says so at all.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// The same for a store that does not say.
    pub(super) fn told(self, told: bool) -> Self {
        let mut change = self;
        change.told = told;
        change
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let mut keys = self.watchers.keys.lock();
        let last = keys
            .get(self.key.as_bytes())
            .is_some_and(|watched| watched.receiver_count() <= 1);
        if last {
            keys.remove(self.key.as_bytes());
        }
        self.watchers.count.store(keys.len(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn has_happened(change: &mut Change) -> bool {
        let mut happened = pin!(change.happened());
        let polled = happened
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        polled == Poll::Ready(())
    }

    #[test]
    fn a_change_is_heard_by_all_who_watch_that_entry() {
        let watchers = Arc::new(Watchers::default());
        let (key, other) = (Key::raw("test", "a"), Key::raw("test", "b"));
        let mut changes = [watchers.watch(&key), watchers.watch(&key)];
        let mut another = watchers.watch(&other);
        watchers.wake(key.as_bytes());
        for change in &mut changes {
            assert!(has_happened(change));
            assert!(!has_happened(change), "once");
        }
        assert!(!has_happened(&mut another));
        watchers.wake_all();
        assert!(has_happened(&mut another));
    }

    #[test]
    fn nothing_is_kept_for_entries_that_nobody_watches() {
        let watchers = Arc::new(Watchers::default());
        let key = Key::raw("test", "a");
        let changes = [watchers.watch(&key), watchers.watch(&key)];
        assert_eq!(watchers.len(), 1);
        drop(changes);
        assert_eq!(watchers.len(), 0);
        watchers.wake(key.as_bytes());
    }
}
