//! redis-rs with its own client-side cache.

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use redis::caching::CacheConfig;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, ProtocolVersion};

use super::Copying;
use crate::origin::Failure;

pub struct ByClient {
    here: MultiplexedConnection,
    elsewhere: MultiplexedConnection,
}

impl ByClient {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let info = url.into_connection_info().map_err(Failure::of)?;
        let settings = info.redis_settings().clone();
        let info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
        let client = Client::open(info).map_err(Failure::of)?;
        // With room for 10,000 keys.
        let copying = AsyncConnectionConfig::new().set_cache_config(CacheConfig::new());
        let here = client.get_multiplexed_async_connection_with_config(&copying);
        let elsewhere = client.get_multiplexed_async_connection();
        Ok(Self {
            here: here.await.map_err(Failure::of)?,
            elsewhere: elsewhere.await.map_err(Failure::of)?,
        })
    }
}

impl Copying for ByClient {
    async fn read(&self, id: u64) -> Result<u64, Failure> {
        self.here.clone().get(key(id)).await.map_err(Failure::of)
    }

    async fn write(&self, id: u64, number: u64) -> Result<(), Failure> {
        let set = self.elsewhere.clone().set(key(id), number).await;
        set.map_err(Failure::of)
    }

    async fn served(&self, _: u64) -> Result<u64, Failure> {
        let statistics = self.here.get_cache_statistics();
        let statistics = statistics.ok_or_else(|| Failure::of("there is no cache"))?;
        Ok(statistics.hit as u64)
    }
}

fn key(id: u64) -> String {
    format!("race:number:{id}")
}
