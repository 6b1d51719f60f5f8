//! The embedded store: the same contract as Redis, inside this process.
//!
//! Entries live in shards, each a map behind its own lock that is held for a lookup and never
//! across an await, so every operation on one key is atomic. Memory is bounded in bytes. Time is
//! tokio's, so a test that pauses it sees entries expire at once.

mod glob;
mod shard;

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::BuildHasher,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::shard::Shard;
use super::watchers::{Change, Watchers};
use crate::{
    error::{StoreError, StoreErrorKind},
    key::Key,
    lease::{Effect, Keep},
};

/// A shard is never smaller than this, lest one large entry push out all its neighbours.
const SMALLEST_SHARD: usize = 8 << 20;

const MOST_SHARDS: usize = 16;

/// The embedded store. Clones share the entries.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    capacity: usize,
    watchers: Arc<Watchers>,
    // A moment on tokio's clock, and what the system's clock said then.
    epoch: Instant,
    epoch_ms: u64,
}

impl MemoryStore {
    /// Room for `capacity_bytes` of keys and values with their bookkeeping (about 170 bytes an
    /// entry). When it is full, entries that were not read for longest make way.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        let shards = (capacity_bytes / SMALLEST_SHARD).clamp(1, MOST_SHARDS);
        let room = capacity_bytes / shards;
        Self {
            inner: Arc::new(Inner {
                shards: (0..shards).map(|_| Mutex::new(Shard::new(room))).collect(),
                hasher: RandomState::new(),
                capacity: capacity_bytes,
                watchers: Arc::default(),
                epoch: Instant::now(),
                epoch_ms: UNIX_EPOCH
                    .elapsed()
                    .ok()
                    .and_then(|since| u64::try_from(since.as_millis()).ok())
                    .unwrap_or(1),
            }),
        }
    }

    /// The live entry of `key`.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Bytes> {
        self.shard(key).lock().get(key, Instant::now())
    }

    /// The live entry of `key`, and who tells of its next change.
    pub(super) fn get_watched(&self, key: &Key) -> (Option<Bytes>, Change) {
        let change = self.inner.watchers.watch(key);
        (self.get(key), change)
    }

    /// Stores an entry, replacing what is there.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::OutOfMemory`] if the entry alone is larger than its shard; the entry
    /// that was there is gone then, since it is no longer true.
    pub fn put(&self, key: &Key, value: Bytes, ttl: Duration) -> Result<(), StoreError> {
        self.alter(key, |_, _| (Effect::Write(value, Keep::For(ttl)), ()))
    }

    /// Decides what becomes of an entry, by what it is and by the store's clock.
    pub(super) fn alter<T>(
        &self,
        key: &Key,
        decide: impl FnOnce(Option<&Bytes>, u64) -> (Effect, T),
    ) -> Result<T, StoreError> {
        let now = Instant::now();
        let mut shard = self.shard(key).lock();
        let entry = shard.look_up(key, now);
        let (effect, answer) = decide(entry.as_ref().map(|(bytes, _)| bytes), self.clock(now));
        let stored = match effect {
            Effect::None => return Ok(answer),
            Effect::Delete => {
                shard.remove(key, now);
                true
            }
            Effect::Write(bytes, keep) => {
                let ends = entry.map_or(now, |(_, ends)| ends);
                let expires_at = match keep {
                    Keep::For(span) => now + super::bounded(span),
                    Keep::AtLeast(span) => ends.max(now + super::bounded(span)),
                    Keep::AtMost(span) => ends.min(now + super::bounded(span)),
                };
                shard.put(key, bytes, expires_at, now)
            }
        };
        drop(shard);
        self.inner.watchers.wake(key.as_bytes());
        match stored {
            true => Ok(answer),
            false => Err(StoreError::new(
                StoreErrorKind::OutOfMemory,
                "the entry is larger than a shard of the embedded store",
            )),
        }
    }

    /// Milliseconds since the Unix epoch, on tokio's clock.
    pub(super) fn now(&self) -> u64 {
        self.clock(Instant::now())
    }

    fn clock(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.inner.epoch);
        self.inner
            .epoch_ms
            .saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Removes entries; how many there were.
    #[must_use]
    pub fn delete(&self, keys: &[Key]) -> u64 {
        let now = Instant::now();
        let remove = |key: &&Key| {
            let removed = self.shard(key).lock().remove(key, now);
            self.inner.watchers.wake(key.as_bytes());
            removed
        };
        keys.iter().filter(remove).count() as u64
    }

    /// Removes the entries whose whole key matches a Redis glob; how many there were.
    #[must_use]
    pub fn clear(&self, pattern: &str) -> u64 {
        let now = Instant::now();
        let removed: usize = self
            .inner
            .shards
            .iter()
            .map(|shard| {
                shard
                    .lock()
                    .remove_if(now, |key| glob::matches(pattern.as_bytes(), key.as_bytes()))
            })
            .sum();
        self.inner.watchers.wake_all();
        removed as u64
    }

    /// Bytes in use: keys, values and bookkeeping, with entries that expired and were not yet
    /// swept.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.inner.shards.iter().map(|s| s.lock().used()).sum()
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        let hash = self.inner.hasher.hash_one(key.as_bytes()) as usize;
        #[expect(
            clippy::indexing_slicing,
            reason = "the remainder is below the length, which `new` keeps above zero"
        )]
        &self.inner.shards[hash % self.inner.shards.len()]
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity_bytes", &self.inner.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn key(n: usize) -> Key {
        Key::raw("test", &format!("k{n:06}"))
    }

    fn value(size: usize) -> Bytes {
        vec![7; size].into()
    }

    #[tokio::test(start_paused = true)]
    async fn entries_expire_on_the_paused_clock() {
        let store = MemoryStore::new(1 << 20);
        store
            .put(&key(1), value(1), Duration::from_millis(100))
            .unwrap();
        tokio::time::advance(Duration::from_millis(99)).await;
        assert!(store.get(&key(1)).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(store.get(&key(1)).is_none());
        assert_eq!(store.used_bytes(), 0, "found expired, so dropped");
    }

    #[test]
    fn works_outside_a_runtime() {
        let store = MemoryStore::new(1 << 20);
        store.put(&key(1), value(3), MINUTE).unwrap();
        assert_eq!(store.get(&key(1)), Some(value(3)));
    }

    #[test]
    fn memory_stays_bounded() {
        let capacity = 1 << 20;
        let store = MemoryStore::new(capacity);
        for n in 0..20_000 {
            store.put(&key(n), value(200), MINUTE).unwrap();
            assert!(store.used_bytes() <= capacity);
        }
        assert!(store.used_bytes() > capacity / 2);
        assert!(store.get(&key(19_999)).is_some(), "the newest entry");
        assert!(store.get(&key(0)).is_none(), "the oldest entry");
    }

    #[test]
    fn entries_in_use_outlive_the_rest() {
        let store = MemoryStore::new(1 << 20);
        for n in 0..20_000 {
            store.put(&key(n), value(200), MINUTE).unwrap();
            assert!(store.get(&key(0)).is_some(), "after {n}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn puts_sweep_expired_entries_away() {
        let store = MemoryStore::new(1 << 20);
        for n in 0..1_000 {
            store.put(&key(n), value(200), MINUTE).unwrap();
        }
        let live = store.used_bytes();
        for n in 1_000..2_000 {
            let second = Duration::from_secs(1);
            store.put(&key(n), value(200), second).unwrap();
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        for n in 2_000..3_000 {
            store.put(&key(n), value(200), MINUTE).unwrap();
        }
        assert_eq!(store.used_bytes(), 2 * live, "no expired entry is left");
        for n in (0..1_000).chain(2_000..3_000) {
            assert!(store.get(&key(n)).is_some(), "{n}");
        }
    }

    #[test]
    fn an_entry_larger_than_its_shard_is_refused_and_nothing_stale_stays() {
        let store = MemoryStore::new(1_000);
        store.put(&key(1), value(10), MINUTE).unwrap();
        let error = store.put(&key(1), value(2_000), MINUTE).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutOfMemory);
        assert_eq!(store.get(&key(1)), None);
        assert_eq!(store.used_bytes(), 0);
    }

    #[test]
    fn replacing_and_deleting_gives_memory_back() {
        let store = MemoryStore::new(1 << 20);
        for _ in 0..3 {
            store.put(&key(1), value(500), MINUTE).unwrap();
        }
        let one = store.used_bytes();
        assert!((500..1_000).contains(&one), "{one}");
        assert_eq!(store.delete(&[key(1), key(1), key(2)]), 1);
        assert_eq!(store.used_bytes(), 0);
    }

    #[test]
    fn a_large_store_has_shards_and_uses_them() {
        let store = MemoryStore::new(64 << 20);
        assert_eq!(store.inner.shards.len(), 8);
        for n in 0..1_000 {
            store.put(&key(n), value(1), MINUTE).unwrap();
        }
        assert!(store.inner.shards.iter().all(|s| s.lock().used() > 0));
    }
}
