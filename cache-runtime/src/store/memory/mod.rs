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
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::shard::Shard;
use super::{Found, bounded, watch::Change};
use crate::{
    codec::TypeIdentity,
    envelope::Generation,
    error::{StoreError, StoreErrorKind},
    key::Key,
    lease::{self, Acquire, Acquired, Effect, Grant, Release, Token},
};

/// There is no connection that could be another one.
const CONNECTION: u64 = 0;

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
    /// The store's clock: what the system's said at this time, and tokio's from then on.
    origin: (Instant, u64),
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
                origin: (Instant::now(), unix_millis()),
            }),
        }
    }

    /// The live entry of `key`, and after it the generations of `tags`.
    #[must_use]
    pub fn look_up(&self, key: &Key, tags: &[Key]) -> Found {
        let now = Instant::now();
        Found::new(
            self.get(key, now),
            tags.iter().map(|tag| self.get(tag, now)),
            Some(self.now_at(now)),
        )
    }

    /// The generations of tags, each kept for at least `kept` from now; a tag without one gets one.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), for a key that alone is larger than its shard.
    pub fn generations(&self, tags: &[Key], kept: Duration) -> Result<Vec<Generation>, StoreError> {
        let now = Instant::now();
        let generation = |tag| {
            let mut shard = self.shard(tag).lock();
            let Token(fresh) = Token::random();
            let generation = shard.generation(tag, fresh, now + bounded(kept), now);
            generation.ok_or_else(too_large)
        };
        tags.iter().map(generation).collect()
    }

    /// Stores an entry, replacing what is there.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::OutOfMemory`] if the entry alone is larger than its shard; the entry
    /// that was there is gone then, since it is no longer true.
    pub fn put(&self, key: &Key, value: Bytes, ttl: Duration) -> Result<(), StoreError> {
        let now = Instant::now();
        let stored = self
            .shard(key)
            .lock()
            .put(key, value, now + bounded(ttl), now);
        stored.then_some(()).ok_or_else(too_large)
    }

    /// Asks for the lease of a key; see [`Store::acquire`](super::Store::acquire).
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), for a key that alone is larger than its shard.
    pub fn acquire(&self, key: &Key, request: &Acquire) -> Result<Acquired, StoreError> {
        let request = request.bounded();
        self.decide(key, |current, now| {
            lease::acquire(current, now, &request, CONNECTION)
        })
    }

    /// Stores the loaded value if the grant still stands; whether it did.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub fn fill(
        &self,
        key: &Key,
        grant: &Grant,
        envelope: &Bytes,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.decide(key, |current, now| {
            lease::fill(current, now, &grant.token, envelope, ttl)
        })
    }

    /// Lets the lease stand for this long from now; false if it is gone.
    #[must_use]
    pub fn renew(&self, key: &Key, grant: &Grant, lease: Duration) -> bool {
        let renewed = self.decide(key, |current, now| {
            lease::renew(current, now, &grant.token, bounded(lease))
        });
        renewed.unwrap_or(false)
    }

    /// Gives a lease or an intent up, if it is this one's.
    pub fn release(&self, key: &Key, token: &Token, how: Release) {
        let how = how.bounded();
        self.act(key, |current, now| lease::release(current, now, token, how));
    }

    /// Marks the entry with a write intent; what is readable stays readable.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), for a key that alone is larger than its shard.
    pub fn intend(&self, key: &Key, request: &Acquire) -> Result<Grant, StoreError> {
        let request = request.bounded();
        let grant = Grant {
            token: request.token,
            connection: CONNECTION,
        };
        self.decide(key, |current, now| {
            (lease::intend(current, now, &request), grant)
        })
    }

    /// Stores the written value if the intent still stands, otherwise deletes the entry; whether
    /// it was stored. A value larger than its shard is deleted as well.
    #[must_use]
    pub fn commit(&self, key: &Key, grant: &Grant, envelope: &Bytes, ttl: Duration) -> bool {
        let stored = self.decide(key, |current, now| {
            lease::commit(current, now, &grant.token, envelope, ttl)
        });
        stored.unwrap_or(false)
    }

    /// Ends the freshness of a value and its leases; without a stale span it is deleted.
    pub fn expire(&self, key: &Key) {
        self.act(key, lease::expire);
    }

    /// Deletes the entry, and lets nothing be filled for this long.
    pub fn hold_off(&self, key: &Key, identity: TypeIdentity, span: Duration) {
        self.act(key, |_, now| {
            lease::hold_off(now, identity, Token::random(), bounded(span))
        });
    }

    /// Looks up, and asks to be told when the entry changes.
    #[must_use]
    pub fn look_up_watched(&self, key: &Key, tags: &[Key]) -> (Found, Change) {
        let now = Instant::now();
        let (envelope, change) = self.shard(key).lock().get_watched(key, now);
        let tags = tags.iter().map(|tag| self.get(tag, now));
        (Found::new(envelope, tags, Some(self.now_at(now))), change)
    }

    /// Milliseconds since the Unix epoch: the system's clock when the store was made, and
    /// tokio's since.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now_at(Instant::now())
    }

    /// How many wait for a change.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.inner.shards.iter().map(|s| s.lock().watchers()).sum()
    }

    /// Removes entries; how many there were.
    #[must_use]
    pub fn delete(&self, keys: &[Key]) -> u64 {
        let now = Instant::now();
        let removed = keys
            .iter()
            .filter(|key| self.shard(key).lock().remove(key, now))
            .count();
        removed as u64
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
        removed as u64
    }

    /// Bytes in use: keys, values and bookkeeping, with entries that expired and were not yet
    /// swept.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.inner.shards.iter().map(|s| s.lock().used()).sum()
    }

    /// Looks at the entry, decides and acts, all at one time.
    fn decide<T>(
        &self,
        key: &Key,
        decision: impl FnOnce(Option<&Bytes>, u64) -> (Effect, T),
    ) -> Result<T, StoreError> {
        let now = Instant::now();
        let mut shard = self.shard(key).lock();
        let current = shard.get(key, now);
        let (effect, answer) = decision(current.as_ref(), self.now_at(now));
        // Held any longer, it would have to be copied to be changed.
        drop(current);
        if shard.apply(key, effect, now) {
            Ok(answer)
        } else {
            Err(too_large())
        }
    }

    /// As [`decide`](Self::decide); an entry that does not fit is as good as deleted.
    fn act(&self, key: &Key, decision: impl FnOnce(Option<&Bytes>, u64) -> Effect) {
        let _deleted = self.decide(key, |current, now| (decision(current, now), ()));
    }

    fn get(&self, key: &Key, now: Instant) -> Option<Bytes> {
        self.shard(key).lock().get(key, now)
    }

    fn now_at(&self, now: Instant) -> u64 {
        let (origin, millis) = self.inner.origin;
        let since = now.saturating_duration_since(origin).as_millis();
        millis.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
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

fn too_large() -> StoreError {
    StoreError::new(
        StoreErrorKind::OutOfMemory,
        "the entry is larger than a shard of the embedded store",
    )
}

/// Never zero, which would be no time at all.
fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn key(n: usize) -> Key {
        Key::raw("test", &format!("k{n:06}"))
    }

    fn get(store: &MemoryStore, key: &Key) -> Option<Bytes> {
        store.look_up(key, &[]).envelope
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
        assert!(get(&store, &key(1)).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(get(&store, &key(1)).is_none());
        assert_eq!(store.used_bytes(), 0, "found expired, so dropped");
    }

    #[test]
    fn works_outside_a_runtime() {
        let store = MemoryStore::new(1 << 20);
        store.put(&key(1), value(3), MINUTE).unwrap();
        assert_eq!(get(&store, &key(1)), Some(value(3)));
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
        assert!(get(&store, &key(19_999)).is_some(), "the newest entry");
        assert!(get(&store, &key(0)).is_none(), "the oldest entry");
    }

    #[test]
    fn entries_in_use_outlive_the_rest() {
        let store = MemoryStore::new(1 << 20);
        for n in 0..20_000 {
            store.put(&key(n), value(200), MINUTE).unwrap();
            assert!(get(&store, &key(0)).is_some(), "after {n}");
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
            assert!(get(&store, &key(n)).is_some(), "{n}");
        }
    }

    #[test]
    fn an_entry_larger_than_its_shard_is_refused_and_nothing_stale_stays() {
        let store = MemoryStore::new(1_000);
        store.put(&key(1), value(10), MINUTE).unwrap();
        let error = store.put(&key(1), value(2_000), MINUTE).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OutOfMemory);
        assert_eq!(get(&store, &key(1)), None);
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

    fn request(token: Token) -> Acquire {
        Acquire {
            token,
            identity: TypeIdentity::from_u64(1),
            lease: Duration::from_secs(2),
            hold: MINUTE,
            rejected: None,
            force: false,
            has_old: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn leases_end_on_the_paused_clock() {
        let store = MemoryStore::new(1 << 20);
        let (first, second) = (request(Token::random()), request(Token::random()));
        let start = store.now();
        let Ok(Acquired::Granted(grant)) = store.acquire(&key(1), &first) else {
            panic!("nobody else asked")
        };
        tokio::time::advance(Duration::from_millis(1_999)).await;
        let Ok(Acquired::Busy { left, .. }) = store.acquire(&key(1), &second) else {
            panic!("the lease stands")
        };
        assert_eq!(left, Duration::from_millis(1));
        tokio::time::advance(left).await;
        assert_eq!(store.now(), start + 2_000);
        let answer = store.acquire(&key(1), &second);
        assert!(matches!(answer, Ok(Acquired::Granted(_))), "{answer:?}");
        assert!(!store.renew(&key(1), &grant, MINUTE), "taken over");
    }

    #[tokio::test(start_paused = true)]
    async fn word_of_an_ended_load_is_kept_for_some_seconds_and_a_value_for_its_time() {
        let store = MemoryStore::new(1 << 20);
        let soon = Release::Ended(Duration::from_millis(1));
        let value = crate::envelope::start();
        let meta = crate::envelope::meta(&[0; 80]);
        let value = crate::envelope::seal(value, "test", TypeIdentity::from_u64(1), &meta);
        store.put(&key(1), value, MINUTE).unwrap();
        for n in 1..=2 {
            let intent = store.intend(&key(n), &request(Token::random())).unwrap();
            store.release(&key(n), &intent.token, soon);
        }
        tokio::time::advance(Duration::from_millis(4_999)).await;
        assert!(get(&store, &key(2)).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(get(&store, &key(2)).is_none());
        assert!(get(&store, &key(1)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn watchers_hear_of_an_entry_that_expires_or_is_evicted() {
        let store = MemoryStore::new(1_000);
        store.put(&key(1), value(1), MINUTE).unwrap();
        let (_, mut change) = store.look_up_watched(&key(1), &[]);
        change.happened().await;
        assert_eq!(get(&store, &key(1)), None);

        store.put(&key(1), value(300), MINUTE).unwrap();
        let start = Instant::now();
        let (found, mut change) = store.look_up_watched(&key(1), &[]);
        assert!(found.envelope.is_some());
        for n in 2..20 {
            store.put(&key(n), value(300), MINUTE).unwrap();
        }
        assert_eq!(get(&store, &key(1)), None, "evicted");
        change.happened().await;
        assert_eq!(Instant::now(), start);
        assert_eq!(store.watchers(), 0);
    }

    #[test]
    fn changing_a_lease_leaves_the_memory_as_it_is() {
        let store = MemoryStore::new(1 << 20);
        let grant = store.intend(&key(1), &request(Token::random())).unwrap();
        let used = store.used_bytes();
        store.release(&key(1), &grant.token, Release::Abandoned);
        assert_eq!(store.used_bytes(), used);
    }
}
