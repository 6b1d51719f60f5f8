//! The crate `hitbox`: its macro over its Redis backend.

use std::time::Duration;

use hitbox::Extractor as _;
use hitbox::concurrency::BroadcastConcurrencyManager;
use hitbox::policy::{ConcurrencyLimit, PolicyConfig};
use hitbox_backend::Backend as _;
use hitbox_fn::{Arg, Args, Cache, FnExtractor, cached};
use hitbox_redis::{ConnectionMode, RedisBackend};

use super::Contender;
use crate::origin::{self, Failure};
use crate::page::Page;

/// The macro's default, the function's name, would do as well.
const PREFIX: &str = "hitbox-page";

#[cached(prefix = "hitbox-page")]
async fn page(id: u64) -> Result<Page, Failure> {
    origin::load(id).await
}

/// With everything as it is by default.
pub struct Hitbox(Cache<RedisBackend>);

type Broadcast = BroadcastConcurrencyManager<Result<Page, Failure>>;

/// With its manager that lets callers of a process share a load.
pub struct HitboxShared(Cache<RedisBackend, Broadcast>);

fn backend(url: &str) -> Result<RedisBackend, Failure> {
    let backend = RedisBackend::builder().connection(ConnectionMode::single(url));
    backend.build().map_err(Failure::of)
}

const TTL: Duration = Duration::from_secs(3600);

impl Hitbox {
    pub fn open(url: &str) -> Result<Self, Failure> {
        let cache = Cache::builder()
            .backend(backend(url)?)
            .policy(PolicyConfig::builder().ttl(TTL).build());
        Ok(Self(cache.build()))
    }
}

impl HitboxShared {
    pub fn open(url: &str) -> Result<Self, Failure> {
        let one = ConcurrencyLimit::new(1).ok_or_else(|| Failure::of("no such limit"))?;
        let policy = PolicyConfig::builder().ttl(TTL).concurrency(one);
        let cache = Cache::builder()
            .backend(backend(url)?)
            .policy(policy.build())
            .concurrency_manager(Broadcast::new());
        Ok(Self(cache.build()))
    }
}

impl Contender for Hitbox {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        page(id).cache(&self.0).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        remove(self.0.backend(), id).await
    }
}

impl Contender for HitboxShared {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        page(id).cache(&self.0).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        remove(self.0.backend(), id).await
    }
}

/// There is no removal by arguments: this makes the key that the macro makes.
async fn remove(backend: &RedisBackend, id: u64) -> Result<(), Failure> {
    let arguments = Args((Arg::new("id", id),));
    let parts = FnExtractor::new(PREFIX).get(arguments).await;
    let (_, key) = parts.into_cache_key();
    backend.remove(&key).await.map(drop).map_err(Failure::of)
}
