//! The crate `cached`: its macro over its Redis store.

use std::sync::OnceLock;
use std::time::Duration;

use cached::macros::concurrent_cached;
use cached::{AsyncRedisCache, ConcurrentCachedAsync as _};

use super::Contender;
use crate::origin::{self, Failure};
use crate::page::Page;

/// The address, which has to be known before the first call; one for the process.
static URL: OnceLock<String> = OnceLock::new();

type Store = AsyncRedisCache<u64, Page>;

/// The store on a multiplexed connection, as it is by default. The macro has no other way to go on
/// than to panic if there is none.
async fn store(prefix: &str, managed: bool) -> Store {
    let url = URL.get().map_or("", String::as_str);
    let store = Store::builder(prefix)
        .connection_string(url)
        .connection_manager(managed)
        .ttl(Duration::from_secs(3600));
    match store.build().await {
        Ok(store) => store,
        #[expect(clippy::panic, reason = "the macro takes a store and no error")]
        Err(error) => panic!("{error}"),
    }
}

#[concurrent_cached(
    ty = "AsyncRedisCache<u64, Page>",
    create = { store("page", false).await },
    map_error = |error| Failure(error.to_string())
)]
async fn page(id: u64) -> Result<Page, Failure> {
    origin::load(id).await
}

#[concurrent_cached(
    ty = "AsyncRedisCache<u64, Page>",
    create = { store("managed", true).await },
    map_error = |error| Failure(error.to_string())
)]
async fn managed_page(id: u64) -> Result<Page, Failure> {
    origin::load(id).await
}

/// On the default connection.
pub struct Cached(());

/// On a connection that comes back by itself: the feature `redis_connection_manager`.
pub struct CachedManaged(());

impl Cached {
    pub fn new(url: &str) -> Self {
        URL.get_or_init(|| url.to_owned());
        Self(())
    }
}

impl CachedManaged {
    pub fn new(url: &str) -> Self {
        URL.get_or_init(|| url.to_owned());
        Self(())
    }
}

impl Contender for Cached {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        page(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        let store = PAGE.get().ok_or_else(|| Failure::of("not called yet"))?;
        let removed = store.async_cache_remove(&id).await;
        removed.map(drop).map_err(Failure::of)
    }
}

impl Contender for CachedManaged {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        managed_page(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        let store = MANAGED_PAGE
            .get()
            .ok_or_else(|| Failure::of("not called yet"))?;
        let removed = store.async_cache_remove(&id).await;
        removed.map(drop).map_err(Failure::of)
    }
}
