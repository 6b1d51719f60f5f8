//! Where entries live: one contract, two stores.
//!
//! A store maps keys to bytes for a time and knows nothing of envelopes, types or origins. Every
//! operation may be dropped at any await: a reply is never handed to another caller, and the
//! store stays usable. Whether a dropped `put` or `delete` happened is unknown.

mod memory;
mod redis;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

pub use self::{memory::MemoryStore, redis::RedisStore};
use crate::{
    error::{StoreError, StoreErrorKind},
    key::Key,
};

/// One of the stores. Clones share it.
#[derive(Debug, Clone)]
pub enum Store {
    /// The embedded store of this process.
    Memory(MemoryStore),
    /// A Redis server.
    Redis(RedisStore),
}

impl Store {
    /// The bytes under `key`: one `GET` on Redis and nothing else.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails; an absent or expired entry is `None`.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.get(key)),
            Self::Redis(store) => store.get(key).await,
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

/// A time that both stores can keep: whole milliseconds, at least one, at most a hundred years,
/// which neither `PX` nor an `Instant` overflows.
fn bounded(ttl: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);
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
