//! Caches without Redis. Values are shared (`Arc`), as all of them recommend.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cache_runtime::{Cache, cached};

use super::Contender;
use crate::origin::{self, Failure};
use crate::page::{Page, Size};

const TTL: Duration = Duration::from_secs(3600);
const CAPACITY: u64 = 10_000;

static PAGES: LazyLock<Vec<Arc<Page>>> = LazyLock::new(|| {
    Size::Small
        .ids()
        .map(|id| Arc::new(Page::new(id, 1)))
        .collect()
});

/// A page that is there already: the least that a call can cost.
fn prepared(id: u64) -> Result<Arc<Page>, Failure> {
    let page = usize::try_from(id).ok().and_then(|at| PAGES.get(at));
    page.cloned().ok_or_else(|| Failure::of("no such page"))
}

/// What the caches load; nothing of it is measured.
async fn load(id: u64) -> Result<Arc<Page>, Failure> {
    origin::load(id).await.map(Arc::new)
}

/// The function without a cache.
pub struct Plain;

impl Contender for Plain {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        prepared(id)
    }

    async fn remove(&self, _: u64) -> Result<(), Failure> {
        Ok(())
    }
}

/// This project on its embedded store.
pub struct Embedded(pub Cache);

impl Embedded {
    #[cached(ttl = 3600, key = "page:{id}", skip(self), cache = self.0)]
    async fn page(&self, id: u64) -> Result<Arc<Page>, Failure> {
        load(id).await
    }
}

impl Contender for Embedded {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        self.page(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.page_entry(id).invalidate().await.map_err(Failure::of)
    }
}

/// This project on Redis, with copies in the process.
pub struct Near(pub Cache);

impl Near {
    #[cached(ttl = 3600, key = "near:{id}", skip(self), near, cache = self.0)]
    async fn page(&self, id: u64) -> Result<Arc<Page>, Failure> {
        load(id).await
    }
}

impl Contender for Near {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        self.page(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.page_entry(id).invalidate().await.map_err(Failure::of)
    }
}

/// The same with values that are not shared: each call gets one of its own.
pub struct NearOwned(pub Cache);

impl NearOwned {
    #[cached(ttl = 3600, key = "owned:{id}", skip(self), near, cache = self.0)]
    async fn page(&self, id: u64) -> Result<Page, Failure> {
        origin::load(id).await
    }
}

impl Contender for NearOwned {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        self.page(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.page_entry(id).invalidate().await.map_err(Failure::of)
    }
}

/// The crate `cached`, in memory.
mod memoized {
    use super::{Arc, Failure, Page, load};
    use cached::macros::{cached, concurrent_cached};

    #[concurrent_cached(max_size = 10_000, ttl_secs = 3600)]
    pub async fn lru_ttl(id: u64) -> Result<Arc<Page>, Failure> {
        load(id).await
    }

    #[cached]
    pub async fn unbounded(id: u64) -> Result<Arc<Page>, Failure> {
        load(id).await
    }

    #[cached(max_size = 10_000, ttl_secs = 3600, sync_writes = "by_key")]
    pub async fn by_key(id: u64) -> Result<Arc<Page>, Failure> {
        load(id).await
    }

    #[concurrent_cached]
    pub async fn sharded(id: u64) -> Result<Arc<Page>, Failure> {
        load(id).await
    }
}

/// `#[concurrent_cached(max_size, ttl_secs)]`: least recently used goes first, and a time to live.
pub struct CachedLruTtl;

/// `#[cached]`: unbounded, behind one lock.
pub struct CachedUnbounded;

/// `#[concurrent_cached]`: unbounded, in shards.
pub struct CachedSharded;

/// `#[cached(sync_writes = "by_key")]`: callers of one key wait for each other.
pub struct CachedByKey;

impl Contender for CachedByKey {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        memoized::by_key(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        use cached::Cached as _;
        let _previous = memoized::BY_KEY.write().await.cache_remove(&id);
        Ok(())
    }
}

impl Contender for CachedLruTtl {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        memoized::lru_ttl(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        use cached::ConcurrentCached as _;
        let store = memoized::LRU_TTL
            .get()
            .ok_or_else(|| Failure::of("not called yet"))?;
        store.cache_remove(&id).map(drop).map_err(Failure::of)
    }
}

impl Contender for CachedUnbounded {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        memoized::unbounded(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        use cached::Cached as _;
        let _previous = memoized::UNBOUNDED.write().await.cache_remove(&id);
        Ok(())
    }
}

impl Contender for CachedSharded {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        memoized::sharded(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        use cached::ConcurrentCached as _;
        let store = memoized::SHARDED
            .get()
            .ok_or_else(|| Failure::of("not called yet"))?;
        store.cache_remove(&id).map(drop).map_err(Failure::of)
    }
}

/// The crate `moka`: its future cache with a capacity and a time to live.
pub struct Moka(moka::future::Cache<u64, Arc<Page>>);

impl Default for Moka {
    fn default() -> Self {
        let cache = moka::future::Cache::builder();
        Self(cache.max_capacity(CAPACITY).time_to_live(TTL).build())
    }
}

impl Contender for Moka {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        let page = self.0.try_get_with_by_ref(&id, load(id)).await;
        page.map_err(|failure| Failure::clone(&failure))
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.0.invalidate(&id).await;
        Ok(())
    }
}

/// The crate `quick_cache`, which has a capacity and no time to live.
pub struct Quick(quick_cache::sync::Cache<u64, Arc<Page>>);

impl Default for Quick {
    fn default() -> Self {
        let capacity = CAPACITY.try_into().unwrap_or(usize::MAX);
        Self(quick_cache::sync::Cache::new(capacity))
    }
}

impl Contender for Quick {
    type Value = Arc<Page>;

    async fn get(&self, id: u64) -> Result<Arc<Page>, Failure> {
        self.0.get_or_insert_async(&id, load(id)).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.0.remove(&id);
        Ok(())
    }
}
