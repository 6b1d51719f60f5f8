//! Redis: a few lanes for entries, a pool for everything else.

mod answers;
mod batch;
mod call;
mod clock;
mod desk;
mod driver;
mod exchange;
mod keeper;
mod lane;
mod later;
mod link;
mod look_up;
mod pen;
mod pool;
mod reads;
mod reply;
mod resp;
mod script;
mod socket;
mod ticket;
mod tracking;
#[cfg(test)]
mod woken;

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use deadpool_redis::{Connection, Pool};
use futures_util::future::{join_all, try_join_all};
use redis::{Client, Cmd};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use self::tracking::{Told, Tracking};
pub use self::{
    reply::OutOfStep,
    resp::{Part, Received, receive},
};

use self::{
    clock::Clock,
    lane::{Failure, Lane, Shared},
    look_up::LookUp,
    reply::{Answer, Current, Pong, Said, Stored, Timed, Verdict},
    script::Script,
};
use super::{Found, LONGEST, bounded, watch::Change};
use crate::{
    codec::TypeIdentity,
    config::RedisConfig,
    envelope::{self, FORMAT, Generation, MAGIC},
    error::{ConfigError, StoreError},
    key::Key,
    lease::{Acquire, Acquired, ENDED_KEPT, Grant, Release, Token},
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
    client: Client,
    lanes: Box<[Lane]>,
    clock: Arc<Clock>,
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
            .map(|_| Breaker::new(BreakerPolicy::DEFAULT))
            .collect();
        let clock = Arc::<Clock>::default();
        let lane = |number| {
            let (breakers, clock) = (Arc::clone(&breakers), Arc::clone(&clock));
            Lane::new(Shared::new(client.clone(), breakers, number, clock))
        };
        let lanes = (0..breakers.len()).map(lane).collect();
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                lanes,
                clock,
                pool: pool::build(config)?,
                config: config.clone(),
            }),
        })
    }

    /// The bytes under `key` and the generations of its tags, as of one moment. Sent a second
    /// time if the connection broke under it.
    ///
    /// A read that has its lane to itself is one `GET`, or one `MGET` with tags. Reads that wait
    /// at the same moment share an `MGET`; dropping one of them leaves the others alone. What is
    /// no string counts as absent in an `MGET`. A server that refuses `MGET` gets `GET`s in one
    /// go instead, between which other commands may run. One timer serves reads that share a
    /// command, but for those whose time is over before it looks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses, or does not answer by the end of the time or
    /// within 5 s; for a `GET` also if the key holds no string.
    #[inline]
    pub fn look_up_within<'a>(
        &'a self,
        key: &'a Key,
        tags: &'a [Key],
        time: &'a Range<Instant>,
    ) -> impl Future<Output = Result<Found, StoreError>> + Send + use<'a> {
        LookUp::new(self.lane(key), key, tags, time)
    }

    /// Reads that begin from now on leave together, when this is dropped. In between nothing must
    /// be awaited.
    pub(crate) fn company(&self) -> impl Sized + use<'_> {
        let lanes = self.inner.lanes.iter();
        lanes.map(Lane::company).collect::<Vec<_>>()
    }

    /// The generations of tags, each kept for at least `kept` from now; a tag without one gets one:
    /// one script for each, sent together.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails, refuses, or is full and a tag has none.
    pub async fn generations(
        &self,
        tags: &[Key],
        kept: Duration,
    ) -> Result<Vec<Generation>, StoreError> {
        let kept = &millis(kept);
        let generation = |tag| async move {
            let Token(fresh) = Token::random();
            let arguments: [&[u8]; 2] = [&fresh, kept.as_bytes()];
            let reply = self.run::<Current>(&script::GENERATION, tag, &arguments);
            Ok(reply.await?.0.generation)
        };
        try_join_all(tags.iter().map(generation)).await
    }

    /// Puts `value` under `key` for `ttl`: one `SET PX`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses; after a lost connection the write may have
    /// happened.
    pub async fn put(&self, key: &Key, value: Bytes, ttl: Duration) -> Result<(), StoreError> {
        let mut command = Cmd::with_capacity(5, key.as_bytes().len() + value.len() + 25);
        command
            .arg("SET")
            .arg(key.as_bytes())
            .arg(&value[..])
            .arg("PX")
            .arg(millis(ttl));
        match self.lane(key).call(&command).await {
            Ok(Stored) => Ok(()),
            Err(failure) => Err(failure.error),
        }
    }

    /// Asks for the lease of a key: one script.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails, refuses or is full; after a lost connection the lease
    /// may have been granted.
    pub async fn acquire(&self, key: &Key, request: &Acquire) -> Result<Acquired, StoreError> {
        let request = request.bounded();
        let (lease, hold) = (millis(request.lease), millis(request.hold));
        let rejected = request.rejected.map(|stamp| stamp.0);
        let flag = |set: bool| -> &[u8] { if set { b"1" } else { b"0" } };
        let arguments: [&[u8]; 7] = [
            &envelope::prefix(request.identity),
            &request.token.0,
            lease.as_bytes(),
            hold.as_bytes(),
            rejected.as_ref().map_or(&[], |stamp| stamp),
            flag(request.force),
            flag(request.has_old),
        ];
        let (answer, connection) = self
            .run::<Answer>(&script::ACQUIRE, key, &arguments)
            .await?;
        Ok(match answer.said {
            Said::Granted => Acquired::Granted(Grant {
                token: request.token,
                connection,
            }),
            Said::Value(envelope) => Acquired::Value(envelope),
            Said::Busy { kind, token, left } => Acquired::Busy { kind, token, left },
        })
    }

    /// Stores the loaded value if the grant still stands; whether it did. One script, or nothing
    /// on another connection than that of the grant.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails, refuses or is full; after a lost connection the value
    /// may have been stored.
    pub async fn fill(
        &self,
        key: &Key,
        grant: &Grant,
        envelope: &Bytes,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let Some((before, after)) = envelope::around_creation(envelope) else {
            return Ok(false);
        };
        let ttl = millis(ttl);
        let arguments: [&[u8]; 4] = [&grant.token.0, before, after, ttl.as_bytes()];
        let filled = self.run_on(grant, &script::FILL, key, &arguments).await?;
        Ok(filled.unwrap_or(false))
    }

    /// Lets the lease stand for this long from now; false if it is gone. One script, or nothing
    /// on another connection than that of the grant, where it would be of no use.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails, refuses or is full.
    pub async fn renew(
        &self,
        key: &Key,
        grant: &Grant,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let lease = millis(lease);
        let arguments: [&[u8]; 2] = [&grant.token.0, lease.as_bytes()];
        let renewed = self.run_on(grant, &script::RENEW, key, &arguments).await?;
        Ok(renewed.unwrap_or(false))
    }

    /// Gives a lease or an intent up, if it is this one's: one script.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses; the lease then ends at its deadline.
    pub async fn release(&self, key: &Key, token: &Token, how: Release) -> Result<(), StoreError> {
        let (word, retry): (&[u8], _) = match how.bounded() {
            Release::Abandoned => (b"abandoned", Duration::ZERO),
            Release::Ended(retry) => (b"ended", retry),
            Release::Emptied => (b"emptied", Duration::ZERO),
            Release::Withdrawn => (b"withdrawn", Duration::ZERO),
        };
        let (deadline, kept) = (millis(retry), millis(retry.max(ENDED_KEPT)));
        let arguments: [&[u8]; 4] = [&token.0, word, deadline.as_bytes(), kept.as_bytes()];
        self.run::<Verdict>(&script::RELEASE, key, &arguments)
            .await?;
        Ok(())
    }

    /// Marks the entry with a write intent; what is readable stays readable. One script.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails, refuses or is full; after a lost connection the intent
    /// may be there.
    pub async fn intend(&self, key: &Key, request: &Acquire) -> Result<Grant, StoreError> {
        let request = request.bounded();
        let (lease, hold) = (millis(request.lease), millis(request.hold));
        let arguments: [&[u8]; 4] = [
            &envelope::prefix(request.identity),
            &request.token.0,
            lease.as_bytes(),
            hold.as_bytes(),
        ];
        let (_, connection) = self
            .run::<Verdict>(&script::INTEND, key, &arguments)
            .await?;
        Ok(Grant {
            token: request.token,
            connection,
        })
    }

    /// Stores the written value if the intent still stands, otherwise deletes the entry; whether
    /// it was stored. One script, or one `DEL` on another connection than that of the grant.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses; whether either happened is unknown after a
    /// lost connection.
    pub async fn commit(
        &self,
        key: &Key,
        grant: &Grant,
        envelope: &Bytes,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let ttl = millis(ttl);
        let committed = match envelope::around_creation(envelope) {
            Some((before, after)) => {
                let arguments: [&[u8]; 4] = [&grant.token.0, before, after, ttl.as_bytes()];
                self.run_on(grant, &script::COMMIT, key, &arguments).await?
            }
            None => None,
        };
        if let Some(stored) = committed {
            return Ok(stored);
        }
        self.delete(std::slice::from_ref(key)).await?;
        Ok(false)
    }

    /// Ends the freshness of a value and its leases: one script.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses.
    pub async fn expire(&self, key: &Key) -> Result<(), StoreError> {
        let [a, b, c] = MAGIC;
        let longest = millis(LONGEST);
        let arguments: [&[u8]; 2] = [&[a, b, c, FORMAT], longest.as_bytes()];
        self.run::<Verdict>(&script::EXPIRE, key, &arguments)
            .await?;
        Ok(())
    }

    /// Deletes the entry, and lets nothing be filled for this long: one script.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses; a full one deletes at least.
    pub async fn hold_off(
        &self,
        key: &Key,
        identity: TypeIdentity,
        span: Duration,
    ) -> Result<(), StoreError> {
        let (token, span) = (Token::random(), millis(span));
        let arguments: [&[u8]; 3] = [&envelope::prefix(identity), &token.0, span.as_bytes()];
        self.run::<Verdict>(&script::HOLD_OFF, key, &arguments)
            .await?;
        Ok(())
    }

    /// Reads the entry and then its tags, and asks to be told when the entry changes: `CLIENT CACHING
    /// YES` and a `GET` for each, sent together. Other commands may run in between: what is read of a
    /// tag is never older than the entry. Sent a second time if the connection broke under it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the server fails or refuses. Refusing to tell of changes is no error.
    pub async fn look_up_watched(
        &self,
        key: &Key,
        tags: &[Key],
    ) -> Result<(Found, Change), StoreError> {
        let lane = self.lane(key);
        match lane.look_up_watched(key, tags).await {
            Err(Failure { again: true, .. }) => lane.look_up_watched(key, tags).await,
            result => result,
        }
        .map_err(|failure| failure.error)
    }

    /// The server's clock in milliseconds since the Unix epoch, as far as its replies tell; never
    /// ahead of it.
    #[must_use]
    pub fn now(&self) -> Option<u64> {
        self.inner.clock.now()
    }

    /// How many wait for a change.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.inner.lanes.iter().map(Lane::watchers).sum()
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

    async fn run<R: Timed>(
        &self,
        script: &Script,
        key: &Key,
        arguments: &[&[u8]],
    ) -> Result<(R, u64), StoreError> {
        let reply = self.lane(key).run(script, key, arguments).await;
        reply.map_err(|failure| failure.error)
    }

    /// Runs a script on the connection of a grant; none if that is gone.
    async fn run_on(
        &self,
        grant: &Grant,
        script: &Script,
        key: &Key,
        arguments: &[&[u8]],
    ) -> Result<Option<bool>, StoreError> {
        let lane = self.lane(key);
        let reply = lane.run_on(grant.connection, script, key, arguments).await;
        let verdict: Option<Verdict> = reply.map_err(|failure| failure.error)?;
        Ok(verdict.map(|verdict| verdict.done))
    }

    /// The same key always takes the same lane, so this process's writes of one key reach the server
    /// in the order they were sent. Reads have a connection of their own: they see what was
    /// confirmed before they were sent.
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

/// A time as scripts and commands take it.
fn millis(time: Duration) -> String {
    bounded(time).as_millis().to_string()
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}
