//! Who waits for a change of which key.

use std::{collections::HashMap, mem, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

/// Hears of the next change of an entry that was read.
#[derive(Debug)]
pub struct Change {
    state: State,
    /// When the entry ends by itself, if the store does not say so.
    expires_at: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Nobody will tell.
    Deaf,
    Watching(Watch),
    Happened,
}

impl Change {
    /// Of a store that cannot say.
    pub(super) fn never() -> Self {
        Self {
            state: State::Deaf,
            expires_at: None,
        }
    }

    /// As if the entry changed at this time, at the latest.
    pub(super) fn by(mut self, expires_at: Option<Instant>) -> Self {
        self.expires_at = expires_at;
        self
    }

    /// Whether the store says so at all.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !matches!(self.state, State::Deaf)
    }

    /// Waits until the store says that the entry has changed, or that it may have without its
    /// knowledge; forever if this store cannot say. Returns at once from then on. Cancel safe.
    pub async fn happened(&mut self) {
        match &mut self.state {
            State::Deaf => std::future::pending().await,
            State::Happened => {}
            State::Watching(watch) => {
                // Both ends of the channel and of the time mean the same.
                match self.expires_at {
                    Some(at) => drop(timeout_at(at, &mut watch.signal).await),
                    None => drop((&mut watch.signal).await),
                }
                self.state = State::Happened;
            }
        }
    }
}

/// The waiters of some part of a store. Nothing is kept for keys that nobody watches.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    by_key: HashMap<Box<[u8]>, Vec<Waiter>>,
    /// Of all waiters so far.
    count: u64,
}

/// Dropping it wakes whoever waits.
#[derive(Debug)]
struct Waiter {
    number: u64,
    _signal: oneshot::Sender<()>,
}

/// One waiter's place, given back when dropped.
#[derive(Debug)]
struct Watch {
    watchers: Arc<Watchers>,
    key: Box<[u8]>,
    number: u64,
    signal: oneshot::Receiver<()>,
}

impl Watchers {
    /// Hears of every change of `key` from now on.
    pub(super) fn watch(self: &Arc<Self>, key: &[u8]) -> Change {
        let (sender, signal) = oneshot::channel();
        let key: Box<[u8]> = key.into();
        let mut waiters = self.waiters.lock();
        waiters.count += 1;
        let number = waiters.count;
        waiters.by_key.entry(key.clone()).or_default().push(Waiter {
            number,
            _signal: sender,
        });
        Change {
            state: State::Watching(Watch {
                watchers: Arc::clone(self),
                key,
                number,
                signal,
            }),
            expires_at: None,
        }
    }

    /// `key` has changed.
    pub(super) fn wake(&self, key: &[u8]) {
        let woken = self.waiters.lock().by_key.remove(key);
        // Not under the lock: this runs the wakers.
        drop(woken);
    }

    /// Any key may have changed.
    pub(super) fn wake_all(&self) {
        let woken = mem::take(&mut self.waiters.lock().by_key);
        drop(woken);
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiters.lock().by_key.values().map(Vec::len).sum()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiters = self.watchers.waiters.lock();
        if let Some(of_key) = waiters.by_key.get_mut(&self.key) {
            of_key.retain(|waiter| waiter.number != self.number);
            if of_key.is_empty() {
                waiters.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    fn has_happened(change: &mut Change) -> bool {
        pin!(change.happened())
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn a_change_wakes_the_watchers_of_its_key_once_and_for_all() {
        let watchers = Arc::new(Watchers::default());
        let mut changes = [watchers.watch(b"a"), watchers.watch(b"a")];
        let mut other = watchers.watch(b"b");
        assert!(!changes.iter_mut().any(has_happened));
        watchers.wake(b"a");
        assert!(changes.iter_mut().all(has_happened));
        assert!(changes.iter_mut().all(has_happened), "asked again");
        assert!(!has_happened(&mut other));
        watchers.wake_all();
        assert!(has_happened(&mut other));
        assert_eq!(watchers.len(), 0);
    }

    #[test]
    fn watchers_that_leave_leave_nothing_behind() {
        let watchers = Arc::new(Watchers::default());
        let first = watchers.watch(b"a");
        let mut second = watchers.watch(b"a");
        drop(first);
        assert_eq!(watchers.len(), 1);
        assert!(
            !has_happened(&mut second),
            "another one's leaving is no change"
        );
        drop(second);
        assert!(watchers.waiters.lock().by_key.is_empty());
    }

    /// One that was woken must not take the place of one that came after.
    #[test]
    fn a_woken_watcher_leaves_later_ones_alone() {
        let watchers = Arc::new(Watchers::default());
        let first = watchers.watch(b"a");
        watchers.wake(b"a");
        let mut second = watchers.watch(b"a");
        drop(first);
        assert_eq!(watchers.len(), 1);
        watchers.wake(b"a");
        assert!(has_happened(&mut second));
    }

    #[test]
    fn who_cannot_say_never_does() {
        assert!(!has_happened(&mut Change::never()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_end_is_a_change() {
        let watchers = Arc::new(Watchers::default());
        let end = Instant::now() + std::time::Duration::from_secs(5);
        let mut change = watchers.watch(b"a").by(Some(end));
        change.happened().await;
        assert!(Instant::now() >= end);
        assert_eq!(watchers.len(), 0);
    }
}
