//! Reading without a deadline, and without tags.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use cache_runtime::StoreError;
use cache_runtime::test_util::{Change, Found, Key, RedisStore, Store};
use tokio::time::Instant;

use crate::wait::PATIENCE;

/// What look-ups find, for tests to which deadlines do not matter.
pub trait Reads: Sync {
    /// What the store has, within a generous time.
    fn look_up(
        &self,
        key: &Key,
        tags: &[Key],
    ) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// The same, watched.
    fn found_watched(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<(Found, Change), StoreError>> + Send;

    /// The bytes of the entry.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send {
        async { Ok(self.look_up(key, &[]).await?.envelope) }
    }

    /// The bytes of the entry, and its next change.
    fn get_watched(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<(Option<Bytes>, Change), StoreError>> + Send {
        async {
            let (found, change) = self.found_watched(key).await?;
            Ok((found.envelope, change))
        }
    }
}

impl Reads for Store {
    async fn look_up(&self, key: &Key, tags: &[Key]) -> Result<Found, StoreError> {
        self.look_up_within(key, tags, &lasting(PATIENCE)).await
    }

    async fn found_watched(&self, key: &Key) -> Result<(Found, Change), StoreError> {
        self.look_up_watched(key, &[]).await
    }
}

impl Reads for RedisStore {
    async fn look_up(&self, key: &Key, tags: &[Key]) -> Result<Found, StoreError> {
        self.look_up_within(key, tags, &lasting(PATIENCE)).await
    }

    async fn found_watched(&self, key: &Key) -> Result<(Found, Change), StoreError> {
        self.look_up_watched(key, &[]).await
    }
}

/// A time that begins now.
pub fn lasting(limit: Duration) -> Range<Instant> {
    let now = Instant::now();
    now..now + limit
}
