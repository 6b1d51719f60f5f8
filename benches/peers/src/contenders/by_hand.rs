//! Cache-aside by hand over one multiplexed connection of redis-rs: what others are compared with.

use redis::AsyncCommands as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};

use super::Contender;
use super::format::Format;
use crate::origin::{self, Failure};
use crate::page::Page;

/// How long entries written by hand live, in seconds.
pub const TTL: u64 = 3600;

#[derive(Clone)]
pub struct ByHand {
    connection: MultiplexedConnection,
    format: Format,
}

impl ByHand {
    pub async fn open(url: &str, format: Format) -> Result<Self, Failure> {
        Ok(Self {
            connection: connect(url).await?,
            format,
        })
    }
}

pub async fn connect(url: &str) -> Result<MultiplexedConnection, Failure> {
    let client = redis::Client::open(url).map_err(Failure::of)?;
    let connection = client.get_multiplexed_async_connection().await;
    connection.map_err(Failure::of)
}

pub fn key(format: Format, id: u64) -> String {
    match format {
        Format::MessagePack => format!("by-hand:page:{id}"),
        Format::Postcard => format!("by-hand:postcard:{id}"),
    }
}

impl Contender for ByHand {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        let mut connection = self.connection.clone();
        let key = key(self.format, id);
        let found: Option<Vec<u8>> = connection.get(&key).await.map_err(Failure::of)?;
        if let Some(bytes) = found {
            return self.format.decode(&bytes);
        }
        let page = origin::load(id).await?;
        let bytes = self.format.encode(&page)?;
        let stored: Result<(), _> = connection.set_ex(&key, bytes, TTL).await;
        stored.map_err(Failure::of)?;
        Ok(page)
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        let deleted: Result<(), _> = self.connection.clone().del(key(self.format, id)).await;
        deleted.map_err(Failure::of)
    }
}

/// On a connection that comes back by itself, and where Redis fails, the function answers; with the time
/// limits that the connection has by default.
pub struct ByHandCareful {
    connection: ConnectionManager,
}

impl ByHandCareful {
    pub fn open(url: &str) -> Result<Self, Failure> {
        let client = redis::Client::open(url).map_err(Failure::of)?;
        let connection = client.get_connection_manager_lazy(ConnectionManagerConfig::new());
        Ok(Self {
            connection: connection.map_err(Failure::of)?,
        })
    }
}

const FORMAT: Format = Format::MessagePack;

impl Contender for ByHandCareful {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        let mut connection = self.connection.clone();
        let key = key(FORMAT, id);
        let found: Result<Option<Vec<u8>>, _> = connection.get(&key).await;
        if let Ok(Some(bytes)) = found {
            return FORMAT.decode(&bytes);
        }
        let page = origin::load(id).await?;
        // What is not stored now is stored by another call.
        let _stored: Result<(), _> = connection.set_ex(&key, FORMAT.encode(&page)?, TTL).await;
        Ok(page)
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        let deleted: Result<(), _> = self.connection.clone().del(key(FORMAT, id)).await;
        deleted.map_err(Failure::of)
    }
}
