//! Redis: a few lanes for entries, a pool for everything else.

mod keeper;
mod lane;
mod pool;
mod reply;

use std::{fmt, future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use deadpool_redis::{Connection, Pool};
use redis::{Client, Cmd};
use xxhash_rust::xxh3::xxh3_64;

use self::{
    lane::{Failure, Lane},
    reply::{Pong, Stored},
};
use crate::{
    config::RedisConfig,
    error::{ConfigError, StoreError},
    key::Key,
    resilience::{Breaker, breaker::BreakerPolicy},
};

/// A store on one Redis server. Clones share its connections.
///
/// Nothing is contacted before the first operation. An operation fails at once while the server
/// is known to be down or hanging; a background task finds out when it is back.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    lanes: Box<[Lane]>,
    pool: Pool,
    config: RedisConfig,
}

impl RedisStore {
    /// A store that will connect as `config` says. No I/O.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the client library refuses the configuration.
    pub fn new(config: &RedisConfig) -> Result<Self, ConfigError> {
        let client =
            Client::open(config.connection().clone()).map_err(|error| ConfigError::Url {
                reason: error.category().to_owned(),
            })?;
        let breakers: Arc<[Breaker]> = (0..config.lanes())
            .map(|_| Breaker::new(BreakerPolicy::default()))
            .collect();
        let lanes = (0..breakers.len())
            .map(|number| Lane::new(client.clone(), Arc::clone(&breakers), number))
            .collect();
        Ok(Self {
            inner: Arc::new(Inner {
                lanes,
                pool: pool::build(config)?,
                config: config.clone(),
            }),
        })
    }

    /// The bytes under `key`: one `GET`. Sent a second time if the connection broke under it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let mut command = Cmd::with_capacity(2, key.as_bytes().len() + 3);
        command.arg("GET").arg(key.as_bytes());
        let lane = self.lane(key);
        match lane.call(&command).await {
            Err(Failure { lost: true, .. }) => lane.call(&command).await,
            result => result,
        }
        .map_err(|failure| failure.error)
    }

    /// Puts `value` under `key` for `ttl`: one `SET PX`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses; after a lost connection the write may have
    /// happened.
    pub async fn put(&self, key: &Key, value: Bytes, ttl: Duration) -> Result<(), StoreError> {
        let millis = super::bounded(ttl).as_millis();
        let mut command = Cmd::with_capacity(5, key.as_bytes().len() + value.len() + 25);
        command
            .arg("SET")
            .arg(key.as_bytes())
            .arg(&value[..])
            .arg("PX")
            .arg(u64::try_from(millis).unwrap_or(u64::MAX));
        match self.lane(key).call(&command).await {
            Ok(Stored) => Ok(()),
            Err(failure) => Err(failure.error),
        }
    }

    /// Removes entries: one `DEL` for each lane concerned, sent together.
    ///
    /// # Errors
    ///
    /// The first [`StoreError`]; the other lanes have done their part then.
    pub async fn delete(&self, keys: &[Key]) -> Result<u64, StoreError> {
        let mut commands: Vec<Option<Cmd>> = vec![None; self.inner.lanes.len()];
        for key in keys {
            if let Some(slot) = commands.get_mut(self.lane_number(key)) {
                slot.get_or_insert_with(|| redis::cmd("DEL"))
                    .arg(key.as_bytes());
            }
        }
        let calls = self.inner.lanes.iter().zip(commands);
        let calls = calls.filter_map(|(lane, command)| Some((lane, command?)));
        let calls = calls.map(|(lane, command)| async move { lane.call::<u64>(&command).await });
        let counts = join_all(calls).await.into_iter();
        counts
            .map(|count| count.map_err(|failure| failure.error))
            .sum()
    }

    /// Removes the keys that match a glob; how many there were.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses; part of the keys may be gone then.
    pub async fn clear(&self, pattern: &str) -> Result<u64, StoreError> {
        pool::clear(self.connection().await?, pattern).await
    }

    /// One round trip on every lane, which connects those that were not used yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server does not answer on all of them.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let ping = redis::cmd("PING");
        let calls = self.inner.lanes.iter().map(|lane| lane.call::<Pong>(&ping));
        for pong in join_all(calls).await {
            pong.map_err(|failure| failure.error)?;
        }
        Ok(())
    }

    /// A connection for the user's own commands, lent until dropped.
    ///
    /// At most `pool_size` at a time. Waits up to 5 s for one to be given back and up to 2 s to
    /// connect; a reply may take 10 s unless the user sets another limit on the connection.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if none is free in time or the server cannot be reached.
    pub async fn connection(&self) -> Result<Connection, StoreError> {
        pool::connection(&self.inner.pool, self.inner.config.connection()).await
    }

    /// Closes all connections, for every clone. Operations fail from now on.
    pub fn shutdown(&self) {
        self.inner.lanes.iter().for_each(Lane::close);
        self.inner.pool.close();
    }

    /// The same key always takes the same lane, so the commands of this process on one key
    /// reach the server in the order they were sent.
    fn lane(&self, key: &Key) -> &Lane {
        #[expect(
            clippy::indexing_slicing,
            reason = "`lane_number` is a remainder by the length"
        )]
        &self.inner.lanes[self.lane_number(key)]
    }

    fn lane_number(&self, key: &Key) -> usize {
        // A configuration has at least one lane.
        xxh3_64(key.as_bytes()) as usize % self.inner.lanes.len()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

/// Drives all futures together; their results in order.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    enum Branch<F: Future> {
        Running(Pin<Box<F>>),
        Done(Option<F::Output>),
    }
    let mut branches: Vec<_> = futures.map(|f| Branch::Running(Box::pin(f))).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for branch in &mut branches {
            if let Branch::Running(future) = branch {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *branch = Branch::Done(Some(output)),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    branches
        .into_iter()
        .filter_map(|branch| match branch {
            Branch::Done(output) => output,
            Branch::Running(_) => None,
        })
        .collect()
}
