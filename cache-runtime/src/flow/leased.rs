//! [`Leased`]: a caller's hold on a lease or an intent, given up on every way out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::{Budget, Company, Engine};
use crate::call::Upkeep;
use crate::envelope::Generation;
use crate::error::StoreError;
use crate::key::Key;
use crate::lease::{Acquire, Acquired, Grant, Release};
use crate::place::{Mark, Place};

/// A lease lives for at most this many times its length: a load that hangs must not keep its key
/// for ever.
pub(super) const LONGEST: u32 = 60;

/// A grant, and the generations that the entry's tags had when it was given: what is stored under
/// it is current as long as they are.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) grant: Grant,
    pub(crate) generations: Vec<Generation>,
    /// The generations are kept for a value that lives this long.
    pub(crate) hold: Duration,
}

/// A lease or an intent that was asked for. Dropped, it is given up, granted or not: the store
/// works through the commands of one key in order, so the release undoes a grant that nobody saw.
#[derive(Debug)]
pub(crate) struct Leased {
    engine: Arc<Engine>,
    key: Key,
    held: Held,
    when_dropped: Option<Release>,
}

/// What came of asking for a lease.
pub(super) enum Asked {
    Granted(Leased),
    /// With the generations of the tags, in which a value may be current.
    Other(Acquired, Vec<Generation>),
}

impl Leased {
    /// Asks for the lease of an entry, which may be one of a batch.
    pub(super) async fn acquire(
        engine: &Arc<Engine>,
        budget: &mut Budget,
        place: &Place,
        request: &Acquire,
        company: Option<&Company>,
    ) -> Result<Asked, StoreError> {
        let Place { key, tags, .. } = place;
        let mut pending = Self::pending(engine, key, request, Release::Abandoned);
        let acquired = engine.store.acquire(key, request);
        let (acquired, generations) = budget
            .spend(with_generations(engine, tags, request, acquired, company))
            .await?;
        if let Acquired::Granted(grant) = acquired {
            pending.grant(grant, generations);
            return Ok(Asked::Granted(pending));
        }
        pending.when_dropped = None;
        Ok(Asked::Other(acquired, generations))
    }

    /// Marks an entry with a write intent.
    pub(crate) async fn intend(
        engine: &Arc<Engine>,
        budget: &mut Budget,
        place: &Place,
        request: &Acquire,
    ) -> Result<Self, StoreError> {
        let Place { key, tags, .. } = place;
        let mut pending = Self::pending(engine, key, request, Release::Withdrawn);
        let intended = engine.store.intend(key, request);
        let (grant, generations) = budget
            .spend(with_generations(engine, tags, request, intended, None))
            .await?;
        pending.grant(grant, generations);
        Ok(pending)
    }

    fn pending(engine: &Arc<Engine>, key: &Key, request: &Acquire, when_dropped: Release) -> Self {
        Self {
            engine: engine.clone(),
            key: key.clone(),
            held: Held {
                grant: Grant::pending(request.token),
                generations: Vec::new(),
                hold: request.hold,
            },
            when_dropped: Some(when_dropped),
        }
    }

    fn grant(&mut self, grant: Grant, generations: Vec<Generation>) {
        self.held.grant = grant;
        self.held.generations = generations;
    }

    /// By which those who share the load know that nothing was invalidated since.
    pub(super) fn mark(&self) -> Mark {
        Mark::new(self.held.grant.token, &self.held.generations)
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// Whether this is of that entry.
    pub(crate) fn is_of(&self, engine: &Arc<Engine>, key: &Key) -> bool {
        Arc::ptr_eq(&self.engine, engine) && self.key == *key
    }

    /// The write has begun: whatever comes of it, it will end by a commit or a deletion, which
    /// take care of the intent.
    pub(crate) fn begun(&mut self) -> Held {
        self.when_dropped = None;
        self.held.clone()
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
                    .spend(store.fill(&self.key, &self.held.grant, envelope, ttl))
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
        let token = self.held.grant.token;
        let release = self.engine.store.release(&self.key, &token, how);
        if budget.spend(release).await.is_ok() {
            self.when_dropped = None;
        }
    }

    /// Renews the lease for as long as it is polled. In the embedded store it stands long enough.
    pub(super) fn upkeep(&self, lease: Duration, limit: Duration) -> Option<Upkeep> {
        if !self.engine.store.is_shared() || Handle::try_current().is_err() {
            return None;
        }
        let (engine, key, grant) = (self.engine.clone(), self.key.clone(), self.held.grant);
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

/// Asks the store for both at once.
async fn with_generations<T>(
    engine: &Engine,
    tags: &[Key],
    request: &Acquire,
    asked: impl Future<Output = Result<T, StoreError>>,
    company: Option<&Company>,
) -> Result<(T, Vec<Generation>), StoreError> {
    if tags.is_empty() {
        return Ok((asked.await?, Vec::new()));
    }
    // As long as the value that will be stored, and the load before it.
    let load = request.lease.saturating_mul(LONGEST);
    let kept = request.hold.saturating_add(load);
    match company {
        Some(company) => try_join(asked, company.generations(&engine.store, tags, kept)).await,
        None => try_join(asked, engine.store.generations(tags, kept)).await,
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(how) = self.when_dropped {
            let (engine, key) = (self.engine.clone(), self.key.clone());
            let token = self.held.grant.token;
            let limit = engine.policy.timeout;
            self.engine.in_background(limit, async move {
                // Unreleased, it ends at its deadline.
                let _ = engine.store.release(&key, &token, how).await;
            });
        }
    }
}
