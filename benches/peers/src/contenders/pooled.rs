//! Cache-aside by hand over a pool of connections: `deadpool-redis` as it is by default.

use deadpool_redis::{Config, Pool, PoolConfig, Runtime};
use redis::AsyncCommands as _;

use super::Contender;
use super::by_hand::{TTL, key};
use super::format::Format;
use crate::origin::{self, Failure};
use crate::page::Page;

const FORMAT: Format = Format::MessagePack;

pub struct Pooled(Pool);

/// How many a pool has.
pub fn connections() -> usize {
    PoolConfig::default().max_size
}

impl Pooled {
    pub fn open(url: &str) -> Result<Self, Failure> {
        let pool = Config::from_url(url).create_pool(Some(Runtime::Tokio1));
        pool.map(Self).map_err(Failure::of)
    }
}

impl Contender for Pooled {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        let mut connection = self.0.get().await.map_err(Failure::of)?;
        let key = key(FORMAT, id);
        let found: Option<Vec<u8>> = connection.get(&key).await.map_err(Failure::of)?;
        if let Some(bytes) = found {
            return FORMAT.decode(&bytes);
        }
        let page = origin::load(id).await?;
        let bytes = FORMAT.encode(&page)?;
        let stored: Result<(), _> = connection.set_ex(&key, bytes, TTL).await;
        stored.map_err(Failure::of)?;
        Ok(page)
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        let mut connection = self.0.get().await.map_err(Failure::of)?;
        let deleted: Result<(), _> = connection.del(key(FORMAT, id)).await;
        deleted.map_err(Failure::of)
    }
}
