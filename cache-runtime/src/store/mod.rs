//! Where entries live: one contract, two stores.
//!
//! A store maps keys to bytes for a time and knows nothing of envelopes, types or origins. Every
//! operation may be dropped at any await: a reply is never handed to another caller, and the
//! store stays usable. Whether a dropped `put` or `delete` happened is unknown.

mod memory;
mod redis;
mod watch;

use std::future::ready;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use tokio::time::Instant;

pub(crate) use self::redis::{Told, Tracking};
pub use self::{
    memory::MemoryStore,
    redis::{OutOfStep, Part, Received, RedisStore, receive},
    watch::Change,
};
use crate::{
    codec::TypeIdentity,
    envelope::Generation,
    error::{StoreError, StoreErrorKind},
    key::Key,
    lease::{Acquire, Acquired, Grant, Release, Token},
};

/// One of the stores. Clones share it.
#[derive(Debug, Clone)]
pub enum Store {
    /// The embedded store of this process.
    Memory(MemoryStore),
    /// A Redis server.
    Redis(RedisStore),
}

/// What a look-up has found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The bytes under the key.
    pub envelope: Option<Bytes>,
    /// The generations of the tags, in their order; none if one of them has none, which nothing
    /// equals.
    pub generations: Option<Vec<Generation>>,
    /// When it was found, by the [store's clock](Store::now), in milliseconds since the Unix epoch;
    /// none if that is not known yet. How fresh a value is is judged by this, also for a caller that
    /// is run much later.
    pub now: Option<u64>,
}

impl Found {
    /// From what lies under the key and under each tag, now.
    fn new(
        envelope: Option<Bytes>,
        tags: impl IntoIterator<Item = Option<Bytes>>,
        now: Option<u64>,
    ) -> Self {
        let generation = |bytes: Option<Bytes>| Generation::try_from(&bytes?[..]).ok();
        Self {
            envelope,
            generations: tags.into_iter().map(generation).collect(),
            now,
        }
    }
}

/// Whenever they were found.
impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        (&self.envelope, &self.generations) == (&other.envelope, &other.generations)
    }
}

impl Eq for Found {}

impl Store {
    /// The bytes under `key` and the generations of `tags`: one command on Redis and nothing else,
    /// shared with whoever looks up at the same moment.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails, or does not answer by the end of the time, which begins
    /// now; an absent or expired entry is `None`.
    #[inline]
    pub fn look_up_within<'a>(
        &'a self,
        key: &'a Key,
        tags: &'a [Key],
        time: &'a Range<Instant>,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send + use<'a> {
        // Every call carries this future, and an `async fn` keeps room for each argument twice.
        match self {
            Self::Redis(store) => Either::Left(store.look_up_within(key, tags, time)),
            Self::Memory(store) => Either::Right(ready(Ok(store.look_up(key, tags)))),
        }
    }

    /// Reads that begin from now on leave together, when this is dropped. In between nothing must
    /// be awaited.
    pub(crate) fn company(&self) -> impl Sized + use<'_> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(store) => Some(store.company()),
        }
    }

    /// The generations of tags, in their order, each kept for at least `kept` from now. A tag
    /// without one gets one. On Redis one script for each, sent together.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails, or is full and a tag has none.
    pub async fn generations(
        &self,
        tags: &[Key],
        kept: Duration,
    ) -> Result<Vec<Generation>, StoreError> {
        match self {
            Self::Memory(store) => store.generations(tags, kept),
            Self::Redis(store) => store.generations(tags, kept).await,
        }
    }

    /// Puts `envelope` under `key` for `ttl`, replacing what is there.
    ///
    /// The time is kept in whole milliseconds, at least one and at most a hundred years.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails or is full.
    pub async fn put(&self, key: &Key, envelope: Bytes, ttl: Duration) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => store.put(key, envelope, ttl),
            Self::Redis(store) => store.put(key, envelope, ttl).await,
        }
    }

    /// Asks for the lease of a key: one script, one round trip.
    ///
    /// What is not an entry of the caller's type and this format is overwritten, and its lease
    /// is not waited for. Otherwise a fresh value that the caller did not reject is returned,
    /// and somebody else's lease or intent is respected until its deadline. A value that may
    /// still be served stays readable under the lease.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails or is full. The lease may have been granted all the same.
    pub async fn acquire(&self, key: &Key, request: &Acquire) -> Result<Acquired, StoreError> {
        match self {
            Self::Memory(store) => store.acquire(key, request),
            Self::Redis(store) => store.acquire(key, request).await,
        }
    }

    /// Stores the loaded value if the grant still stands; whether it did. Stamps the creation.
    ///
    /// A lease that is over and was not taken over still stands. On another connection than that
    /// of the grant nothing is sent.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails or is full; after a lost connection the value may have
    /// been stored.
    pub async fn fill(
        &self,
        key: &Key,
        grant: &Grant,
        envelope: Bytes,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Memory(store) => store.fill(key, grant, &envelope, ttl),
            Self::Redis(store) => store.fill(key, grant, &envelope, ttl).await,
        }
    }

    /// Lets the lease stand for this long from now; false if it is gone. On another connection
    /// than that of the grant nothing is sent: it could not fill any more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails or is full.
    pub async fn renew(
        &self,
        key: &Key,
        grant: &Grant,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.renew(key, grant, lease)),
            Self::Redis(store) => store.renew(key, grant, lease).await,
        }
    }

    /// Gives a lease or an intent up, granted or not: sent before the reply to an acquire has
    /// come, it takes effect after it. Works in a full store.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails; the lease then ends at its deadline.
    pub async fn release(&self, key: &Key, token: &Token, how: Release) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => {
                store.release(key, token, how);
                Ok(())
            }
            Self::Redis(store) => store.release(key, token, how).await,
        }
    }

    /// Marks the entry with a write intent, whoever works on it; what is readable stays readable,
    /// and for no longer than without. `rejected` and `force` do not matter.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails or is full. The intent may be there all the same.
    pub async fn intend(&self, key: &Key, request: &Acquire) -> Result<Grant, StoreError> {
        match self {
            Self::Memory(store) => store.intend(key, request),
            Self::Redis(store) => store.intend(key, request).await,
        }
    }

    /// Stores the written value if the intent still stands, otherwise deletes the entry; whether
    /// it was stored. Stamps the creation.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails; neither may have happened then.
    pub async fn commit(
        &self,
        key: &Key,
        grant: &Grant,
        envelope: Bytes,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.commit(key, grant, &envelope, ttl)),
            Self::Redis(store) => store.commit(key, grant, &envelope, ttl).await,
        }
    }

    /// Ends the freshness of a value and its leases; without a stale span it is deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn expire(&self, key: &Key) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => {
                store.expire(key);
                Ok(())
            }
            Self::Redis(store) => store.expire(key).await,
        }
    }

    /// Deletes the entry, and lets nothing be filled for this long.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails; a full one deletes at least.
    pub async fn hold_off(
        &self,
        key: &Key,
        identity: TypeIdentity,
        span: Duration,
    ) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => {
                store.hold_off(key, identity, span);
                Ok(())
            }
            Self::Redis(store) => store.hold_off(key, identity, span).await,
        }
    }

    /// Looks up, and asks to be told when the entry changes.
    ///
    /// # Errors
    ///
    /// As for [`look_up_within`](Self::look_up_within).
    pub async fn look_up_watched(
        &self,
        key: &Key,
        tags: &[Key],
    ) -> Result<(Found, Change), StoreError> {
        match self {
            Self::Memory(store) => Ok(store.look_up_watched(key, tags)),
            Self::Redis(store) => store.look_up_watched(key, tags).await,
        }
    }

    /// Whether other processes see what is stored here.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// The store's clock, in milliseconds since the Unix epoch; never ahead of it. None as long as
    /// it has not told its time.
    #[must_use]
    pub fn now(&self) -> Option<u64> {
        match self {
            Self::Memory(store) => Some(store.now()),
            Self::Redis(store) => store.now(),
        }
    }

    /// Removes entries; how many there were. On Redis one `DEL` for each lane concerned, sent
    /// together.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails; some of the entries may be gone then.
    pub async fn delete(&self, keys: &[Key]) -> Result<u64, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.delete(keys)),
            Self::Redis(store) => store.delete(keys).await,
        }
    }

    /// Removes the entries whose whole key, namespace included, matches a Redis glob; how many
    /// there were. On Redis by `SCAN` and `UNLINK` in batches, never `KEYS`. Entries written
    /// meanwhile may stay.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails; some of the entries may be gone then.
    pub async fn clear(&self, pattern: &str) -> Result<u64, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.clear(pattern)),
            Self::Redis(store) => store.clear(pattern).await,
        }
    }

    /// How long a round trip to the store takes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub async fn ping(&self) -> Result<Duration, StoreError> {
        let start = Instant::now();
        if let Self::Redis(store) = self {
            store.ping().await?;
        }
        Ok(start.elapsed())
    }

    /// A pooled connection for the user's own commands.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there is no Redis, or no connection in time.
    pub async fn connection(&self) -> Result<deadpool_redis::Connection, StoreError> {
        match self {
            Self::Memory(_) => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "the embedded store has no Redis connections",
            )),
            Self::Redis(store) => store.connection().await,
        }
    }

    /// Closes the connections of every clone. Operations fail from now on; the embedded store
    /// has nothing to close and goes on serving.
    pub async fn shutdown(&self) {
        match self {
            Self::Memory(_) => {}
            Self::Redis(store) => store.shutdown(),
        }
    }
}

impl Acquire {
    /// With times that both stores can keep, and a hold that covers the lease.
    fn bounded(&self) -> Self {
        Self {
            lease: bounded(self.lease),
            hold: bounded(self.hold.max(self.lease)),
            ..self.clone()
        }
    }
}

impl Release {
    /// With a time that both stores can keep.
    fn bounded(self) -> Self {
        match self {
            Self::Ended(retry) => Self::Ended(bounded(retry)),
            other => other,
        }
    }
}

const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// A time that both stores can keep: whole milliseconds, at least one, at most a hundred years,
/// which neither `PX` nor an `Instant` overflows.
fn bounded(ttl: Duration) -> Duration {
    let millis = ttl.min(LONGEST).as_millis().max(1);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_milliseconds_within_reach() {
        assert_eq!(bounded(Duration::ZERO), Duration::from_millis(1));
        assert_eq!(bounded(Duration::from_nanos(1)), Duration::from_millis(1));
        assert_eq!(
            bounded(Duration::from_micros(2_900)),
            Duration::from_millis(2)
        );
        assert!(bounded(Duration::MAX) < Duration::from_secs(u64::from(u32::MAX)));
    }
}
