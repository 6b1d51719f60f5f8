//! The crate `cached`, whose copies in the process are those of redis-rs.

use std::time::Duration;

use cached::{AsyncRedisCache, ConcurrentCachedAsync as _};

use super::Copying;
use crate::info::Info;
use crate::origin::Failure;

type Store = AsyncRedisCache<u64, u64>;

pub struct ByCrate {
    here: Store,
    elsewhere: Store,
    info: Info,
}

impl ByCrate {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        Ok(Self {
            here: store(url, true).await?,
            elsewhere: store(url, false).await?,
            info: Info::open(url).await?,
        })
    }
}

async fn store(url: &str, is_copying: bool) -> Result<Store, Failure> {
    let store = Store::builder("race")
        .connection_string(url)
        .client_side_caching(is_copying)
        .ttl(Duration::from_secs(3600));
    store.build().await.map_err(Failure::of)
}

impl Copying for ByCrate {
    async fn read(&self, id: u64) -> Result<u64, Failure> {
        let found = self.here.async_cache_get(&id).await.map_err(Failure::of)?;
        found.ok_or_else(|| Failure(format!("{id} was lost")))
    }

    /// It reads in the same pipeline what it overwrites.
    async fn write(&self, id: u64, number: u64) -> Result<(), Failure> {
        let set = self.elsewhere.async_cache_set(id, number).await;
        set.map(drop).map_err(Failure::of)
    }

    /// Those that the server does not know of.
    async fn served(&self, reads: u64) -> Result<u64, Failure> {
        let by_readers = self.info.calls("get").await? - self.info.calls("psetex").await?;
        Ok(reads.saturating_sub(by_readers))
    }
}
