//! Deletions whose confirmation is still out.
//!
//! An invalidation that fails, or whose fate is unknown because its caller went away, is kept as a
//! deletion (never as a value) and repeated in the background. Until the store confirms it, this
//! process bypasses the cache for those keys: its own callers never see what they invalidated.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;

use crate::key::Key;

/// How many keys are kept one by one. Beyond it the whole namespace is bypassed, then cleared.
const CAPACITY: usize = 10_000;
/// Keys per repeated deletion.
const BATCH: usize = 500;

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
        if self.len() == 0 {
            return false;
        }
        let keys = self.keys.lock();
        self.overflowed.load(SeqCst) > 0 || keys.contains_key(key)
    }

    /// How many deletions are unconfirmed.
    pub(crate) fn len(&self) -> usize {
        self.count.load(SeqCst)
    }

    /// The next point in this process's order of deletions.
    pub(crate) fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, SeqCst) + 1
    }

    /// Keeps deletions until they are confirmed.
    pub(crate) fn add(&self, added: &[Key]) {
        let mut keys = self.keys.lock();
        let tick = self.tick();
        if self.len() == 0 {
            tracing::warn!(
                target: "cache", keys = added.len(),
                "invalidations are not confirmed: they are repeated in the background, and this \
                 process bypasses the cache for their keys until then"
            );
        }
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
    pub(crate) fn remove<'a>(&self, removed: impl IntoIterator<Item = &'a Key>, tick: u64) {
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

    /// The tick of the overflow, if the whole namespace has to be cleared.
    pub(crate) fn overflow(&self) -> Option<u64> {
        Some(self.overflowed.load(SeqCst)).filter(|tick| *tick > 0)
    }

    /// The namespace has been cleared after the overflow at `tick`.
    pub(crate) fn cleared(&self, tick: u64) {
        let keys = self.keys.lock();
        // A further overflow while the namespace was being cleared asks for another clearing.
        let _ = self.overflowed.compare_exchange(tick, 0, SeqCst, SeqCst);
        self.recount(&keys);
    }

    /// Whether the caller is now the one who repeats the deletions.
    pub(crate) fn take_turn(&self) -> bool {
        self.len() > 0 && !self.repeating.swap(true, SeqCst)
    }

    /// The caller repeats no more.
    pub(crate) fn end_turn(&self) {
        self.repeating.store(false, SeqCst);
    }

    fn recount(&self, keys: &HashMap<Key, u64>) {
        let overflow = usize::from(self.overflowed.load(SeqCst) > 0);
        self.count.store(keys.len() + overflow, SeqCst);
    }

    /// Some of the keys whose deletions are unconfirmed.
    pub(crate) fn batch(&self) -> Vec<Key> {
        self.keys.lock().keys().take(BATCH).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(numbers: std::ops::Range<usize>) -> Vec<Key> {
        numbers.map(|n| Key::raw("test", &n.to_string())).collect()
    }

    #[test]
    fn a_key_is_covered_until_a_deletion_after_it_is_confirmed() {
        let unconfirmed = Unconfirmed::default();
        let key = &keys(0..1);
        let before = unconfirmed.tick();
        unconfirmed.add(key);
        assert!(unconfirmed.covers(&key[0]));
        unconfirmed.remove(key, before);
        assert!(
            unconfirmed.covers(&key[0]),
            "that deletion was sent earlier"
        );
        unconfirmed.remove(key, unconfirmed.tick());
        assert!(!unconfirmed.covers(&key[0]));
        assert_eq!(unconfirmed.len(), 0);
    }

    #[test]
    fn too_many_keys_cover_everything_until_the_namespace_is_cleared() {
        let unconfirmed = Unconfirmed::default();
        unconfirmed.add(&keys(0..CAPACITY));
        let other = &keys(CAPACITY..CAPACITY + 1);
        assert!(!unconfirmed.covers(&other[0]));
        unconfirmed.add(&keys(CAPACITY + 1..CAPACITY + 2));
        let first = unconfirmed.overflow().expect("too many");
        assert!(unconfirmed.covers(&other[0]));

        unconfirmed.add(&keys(0..CAPACITY + 1));
        unconfirmed.cleared(first);
        assert!(
            unconfirmed.covers(&other[0]),
            "it overflowed again meanwhile"
        );
        let second = unconfirmed.overflow().expect("too many again");
        unconfirmed.cleared(second);
        assert_eq!(unconfirmed.len(), 0);
        assert!(!unconfirmed.covers(&other[0]));
    }

    #[test]
    fn one_at_a_time_repeats_and_only_if_there_is_something_to_repeat() {
        let unconfirmed = Unconfirmed::default();
        assert!(!unconfirmed.take_turn());
        unconfirmed.add(&keys(0..1));
        assert!(unconfirmed.take_turn());
        assert!(!unconfirmed.take_turn());
        unconfirmed.end_turn();
        assert!(unconfirmed.take_turn());
    }
}
