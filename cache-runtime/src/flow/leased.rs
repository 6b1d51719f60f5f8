//! [`Leased`]: a caller's hold on a lease or an intent, given up on every way out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::{Budget, Engine};
use crate::call::Upkeep;
use crate::error::StoreError;
use crate::key::Key;
use crate::lease::{Acquire, Acquired, Grant, Release, Token};

/// A lease lives for at most this many times its length: a load that hangs must not keep its key
/// for ever.
pub(super) const LONGEST: u32 = 60;

/// A lease or an intent that was asked for. Dropped, it is given up, granted or not: the store
/// works through the commands of one key in order, so the release undoes a grant that nobody saw.
#[derive(Debug)]
pub(crate) struct Leased {
    engine: Arc<Engine>,
    key: Key,
    grant: Grant,
    when_dropped: Option<Release>,
}

/// What came of asking for a lease.
pub(super) enum Asked {
    Granted(Leased),
    Other(Acquired),
}

impl Leased {
    /// Asks for the lease of a key.
    pub(super) async fn acquire(
        engine: &Arc<Engine>,
        budget: &mut Budget,
        key: &Key,
        request: &Acquire,
    ) -> Result<Asked, StoreError> {
        let mut pending = Self::pending(engine, key, request.token, Release::Abandoned);
        let acquired = budget.spend(engine.store.acquire(key, request)).await?;
        if let Acquired::Granted(grant) = acquired {
            pending.grant = grant;
            return Ok(Asked::Granted(pending));
        }
        pending.when_dropped = None;
        Ok(Asked::Other(acquired))
    }

    /// Marks an entry with a write intent.
    pub(crate) async fn intend(
        engine: &Arc<Engine>,
        budget: &mut Budget,
        key: &Key,
        request: &Acquire,
    ) -> Result<Self, StoreError> {
        let mut pending = Self::pending(engine, key, request.token, Release::Withdrawn);
        pending.grant = budget.spend(engine.store.intend(key, request)).await?;
        Ok(pending)
    }

    fn pending(engine: &Arc<Engine>, key: &Key, token: Token, when_dropped: Release) -> Self {
        Self {
            engine: engine.clone(),
            key: key.clone(),
            grant: Grant::pending(token),
            when_dropped: Some(when_dropped),
        }
    }

    pub(super) fn token(&self) -> Token {
        self.grant.token
    }

    /// Whether this is of that entry.
    pub(crate) fn is_of(&self, engine: &Arc<Engine>, key: &Key) -> bool {
        Arc::ptr_eq(&self.engine, engine) && self.key == *key
    }

    /// The write has begun: whatever comes of it, it will end by a commit or a deletion, which
    /// take care of the intent.
    pub(crate) fn begun(&mut self) -> Grant {
        self.when_dropped = None;
        self.grant
    }

    /// Stores the loaded value; whether the lease still stood.
    pub(super) async fn fill(
        mut self,
        budget: &mut Budget,
        envelope: Bytes,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let store = &self.engine.store;
        let filled = match self.engine.is_broken(crate::broken::Rule::Fence) {
            false => {
                budget
                    .spend(store.fill(&self.key, &self.grant, envelope, ttl))
                    .await?
            }
            true => budget
                .spend(store.put(&self.key, envelope, ttl))
                .await
                .map(|()| true)?,
        };
        self.when_dropped = None;
        Ok(filled)
    }

    /// Gives up for this reason.
    pub(crate) async fn end(mut self, budget: &mut Budget, how: Release) {
        self.when_dropped = Some(how);
        let release = self.engine.store.release(&self.key, &self.grant.token, how);
        if budget.spend(release).await.is_ok() {
            self.when_dropped = None;
        }
    }

    /// Renews the lease for as long as it is polled. In the embedded store it stands long enough.
    pub(super) fn upkeep(&self, lease: Duration, limit: Duration) -> Option<Upkeep> {
        if !self.engine.store.is_shared() || Handle::try_current().is_err() {
            return None;
        }
        let (engine, key, grant) = (self.engine.clone(), self.key.clone(), self.grant);
        Some(Box::pin(async move {
            // Twice in each length of a lease.
            for _ in 0..2 * LONGEST {
                sleep(lease / 2).await;
                let renewed = timeout(limit, engine.store.renew(&key, &grant, lease)).await;
                if matches!(renewed, Ok(Ok(false))) {
                    break;
                }
            }
        }))
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(how) = self.when_dropped {
            let (engine, key, token) = (self.engine.clone(), self.key.clone(), self.grant.token);
            let limit = engine.policy.timeout;
            self.engine.in_background(limit, async move {
                // Unreleased, it ends at its deadline.
                let _ = engine.store.release(&key, &token, how).await;
            });
        }
    }
}
