//! [`Engine`]: what all calls of one cache share.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::Budget;
use super::invalidation::Unacknowledged;
use super::leased::Held;
use super::sight::{Seen, Sight};
use crate::broken::{Broken, Rule};
use crate::cache::Cache;
use crate::call::CacheId;
use crate::envelope::{self, Generation, Meta, Rejected};
use crate::error::{CacheError, StoreError};
use crate::invalidate::Unconfirmed;
use crate::key::Key;
use crate::near::NearHandle;
use crate::observe::StatsTable;
use crate::place::Place;
use crate::policy::Policy;
use crate::rules::{Encoded, Verdict};
use crate::single_flight::Flights;
use crate::store::{Found, Store};

/// What all calls of one cache share: not on the cache line on which they are counted.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) namespace: String,
    pub(crate) policy: Policy,
    pub(crate) value_limit: usize,
    pub(crate) flights: Arc<Flights>,
    pub(crate) unconfirmed: Unconfirmed,
    pub(crate) stats: StatsTable,
    /// Loads and releases that nobody waits for.
    pub(crate) background: TaskTracker,
    pub(crate) broken: Broken,
    /// Copies of what is in Redis.
    pub(crate) near: Option<NearHandle>,
    /// There is no usable configuration: every call goes to its origin.
    pub(crate) misconfigured: bool,
    /// The cache is shut down: nobody will confirm anything any more.
    pub(crate) closed: AtomicBool,
}

/// A value ready for the store, and its payload for the waiters; both share one buffer.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) envelope: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) ttl: Duration,
}

/// An entry that is made outdated.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) place: Place,
    /// How long nothing is stored afterwards.
    pub(crate) hold_off: Duration,
}

/// The creation time of a value that was stored before the store has told its time.
const NOT_STAMPED: u64 = 0;

/// The largest envelope that is stored, in bytes.
const VALUE_LIMIT: usize = 1 << 20;

impl Engine {
    /// An engine with the defaults.
    pub(crate) fn new(store: Store, namespace: &str) -> Self {
        Self {
            store,
            namespace: namespace.to_owned(),
            policy: Policy::DEFAULT,
            value_limit: VALUE_LIMIT,
            flights: Arc::new(Flights::new()),
            unconfirmed: Unconfirmed::default(),
            stats: StatsTable::default(),
            background: TaskTracker::new(),
            broken: Broken::default(),
            near: None,
            misconfigured: false,
            closed: AtomicBool::new(false),
        }
    }

    /// While the engine lives, no other has this address.
    pub(crate) fn id(&self) -> CacheId {
        CacheId(std::ptr::from_ref(self).addr())
    }

    /// Whether a test has switched this rule off.
    pub(crate) fn is_broken(&self, rule: Rule) -> bool {
        self.broken.has(rule)
    }

    /// The intact payload of this key and type, if it is fresh or was not fresh for less than
    /// `stale`.
    ///
    /// # Errors
    /// If the store does not answer within the budget.
    pub(crate) async fn look_up(
        &self,
        budget: &mut Budget,
        place: &Place,
        stale: Duration,
    ) -> Result<Option<Bytes>, StoreError> {
        let time = budget.begin()?;
        let found = self.store.look_up_within(&place.key, &place.tags, &time);
        let found = found.await?;
        Ok(match self.see(&mut Seen::default(), found, place) {
            Ok(Some(Sight::Fresh { payload, .. })) => Some(payload),
            Ok(Some(Sight::Stale { payload, by })) if by < stale => Some(payload),
            Ok(_) | Err(_) => None,
        })
    }

    /// What a look-up shows; no sight if there is no entry.
    pub(super) fn see(
        &self,
        seen: &mut Seen,
        found: Found,
        place: &Place,
    ) -> Result<Option<Sight>, Rejected> {
        let Some(envelope) = found.envelope else {
            *seen = Seen::default();
            return Ok(None);
        };
        let mut generations = found.generations;
        if self.is_broken(Rule::Generations) {
            let opened = envelope::open(&envelope, place.key.as_str(), place.identity);
            generations = opened.ok().map(|opened| opened.generations.to_vec());
        }
        seen.look(envelope, generations.as_deref(), place, found.now)
            .map(Some)
    }

    /// Whether an invalidation that is not confirmed hides what the store holds there.
    pub(crate) fn hides(&self, place: &Place) -> bool {
        let hidden = |key| self.unconfirmed.covers(key);
        hidden(&place.key) || place.tags.iter().any(hidden)
    }

    /// `load_cost` is what the origin took for it; zero if the value does not come from there.
    ///
    /// Stamped with what is known of the store's clock. A fill replaces that by the clock itself.
    pub(crate) fn seal(
        &self,
        mut encoded: Encoded,
        place: &Place,
        generations: &[Generation],
        load_cost: Duration,
    ) -> Sealed {
        let now = self.store.now();
        let spans = encoded.spans;
        let meta = Meta {
            created_ms: now.unwrap_or(NOT_STAMPED),
            spans,
            load_cost,
            codec_id: encoded.codec_id,
        };
        let size = encoded.buffer.len().saturating_sub(envelope::HEADER);
        envelope::tag(&mut encoded.buffer, generations);
        let (key, identity) = (place.key.as_str(), place.identity);
        let envelope = envelope::seal(encoded.buffer, key, identity, &meta);
        let payload = envelope.slice(envelope.len().saturating_sub(size)..);
        Sealed {
            envelope,
            payload,
            // What is not stamped counts as fresh to its end.
            ttl: now.map_or(spans.fresh, |_| spans.fresh.saturating_add(spans.stale)),
        }
    }

    /// Writes a value over whatever the entry holds; the last writer wins. A value that is not to
    /// be stored deletes the entry: what it holds is outdated either way.
    pub(crate) async fn put(
        self: &Arc<Self>,
        budget: &mut Budget,
        place: &Place,
        verdict: Verdict,
    ) -> Result<(), CacheError> {
        let Place { key, tags, .. } = place;
        let write = Unacknowledged::new(self, std::slice::from_ref(key));
        // Before anything else is done: the value is as current as they are.
        let generations = match &verdict {
            Verdict::Store(encoded) if !tags.is_empty() => {
                let kept = encoded.spans.fresh.saturating_add(encoded.spans.stale);
                budget.spend(self.store.generations(tags, kept)).await?
            }
            _ => Vec::new(),
        };
        let written = match self.storable(place, &generations, verdict) {
            Ok(Some(sealed)) => {
                let put = self.store.put(key, sealed.envelope, sealed.ttl);
                let keys = std::slice::from_ref(key);
                self.fenced(budget, keys, put)
                    .await
                    .map_err(CacheError::from)
            }
            Ok(None) => self.delete(budget, std::slice::from_ref(key)).await,
            Err(error) => {
                self.delete(budget, std::slice::from_ref(key)).await?;
                Err(error)
            }
        };
        if !matches!(written, Err(CacheError::Store(_))) {
            write.acknowledge();
        }
        written
    }

    /// Stores what a write has made of the origin, if nothing else has happened to the entry since
    /// the intent; otherwise, and without an intent, deletes it: which of two writes the origin
    /// holds is not known here.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        budget: &mut Budget,
        target: &Target,
        verdict: Verdict,
        intent: Option<Held>,
    ) -> Result<(), CacheError> {
        let place = &target.place;
        if self.is_broken(Rule::Intent) {
            return self.put(budget, place, verdict).await;
        }
        let storable = |held: &Held| self.storable(place, &held.generations, verdict);
        if let Some(held) = intent
            && let Ok(Some(sealed)) = storable(&held)
        {
            let (key, grant) = (&place.key, held.grant);
            let write = Unacknowledged::new(self, std::slice::from_ref(key));
            // If this fails, the value is of use for as long as they are kept.
            let _ = self
                .keep_generations(budget, place, &held, sealed.ttl)
                .await;
            let commit = self.store.commit(key, &grant, sealed.envelope, sealed.ttl);
            let stored = self
                .fenced(budget, std::slice::from_ref(key), commit)
                .await?;
            // Stored or deleted, it is confirmed; a repetition would end the hold-off below.
            write.acknowledge();
            if stored || target.hold_off.is_zero() {
                return Ok(());
            }
        }
        self.outdate(budget, target).await
    }

    /// Keeps the generations of a value that lives longer than was to be expected, as the value
    /// itself has said.
    pub(super) async fn keep_generations(
        &self,
        budget: &mut Budget,
        place: &Place,
        held: &Held,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        if ttl > held.hold && !place.tags.is_empty() {
            budget
                .spend(self.store.generations(&place.tags, ttl))
                .await?;
        }
        Ok(())
    }

    /// The value as it is to be stored; none if it is not to be.
    fn storable(
        &self,
        place: &Place,
        generations: &[Generation],
        verdict: Verdict,
    ) -> Result<Option<Sealed>, CacheError> {
        let encoded = match verdict {
            Verdict::Store(encoded) => encoded,
            Verdict::Leave(_) => return Ok(None),
            Verdict::Refuse(error) => return Err(error.into()),
        };
        let sealed = self.seal(encoded, place, generations, Duration::ZERO);
        let (size, limit) = (sealed.envelope.len(), self.value_limit);
        if size > limit {
            return Err(CacheError::ValueTooLarge { size, limit });
        }
        Ok(Some(sealed))
    }

    /// Deletes entries. When this returns `Ok`, the store has confirmed it; otherwise this process
    /// bypasses the cache for these keys until a repetition in the background is confirmed.
    pub(crate) async fn invalidate(
        self: &Arc<Self>,
        budget: &mut Budget,
        keys: &[Key],
    ) -> Result<(), CacheError> {
        let write = Unacknowledged::new(self, keys);
        self.delete(budget, keys).await?;
        write.acknowledge();
        Ok(())
    }

    /// Deletes an entry and lets nothing be stored in it for as long as its policy says.
    pub(crate) async fn outdate(
        self: &Arc<Self>,
        budget: &mut Budget,
        target: &Target,
    ) -> Result<(), CacheError> {
        let Target { place, hold_off } = target;
        let Place { key, identity, .. } = place;
        let keys = std::slice::from_ref(key);
        if hold_off.is_zero() {
            return self.invalidate(budget, keys).await;
        }
        let write = Unacknowledged::new(self, keys);
        let held_off = self.store.hold_off(key, *identity, *hold_off);
        self.fenced(budget, keys, held_off).await?;
        write.acknowledge();
        Ok(())
    }

    /// Ends the freshness of an entry. Calls may still share what is under way if they trust this
    /// process alone, hence the fence.
    pub(crate) async fn expire(&self, budget: &mut Budget, key: &Key) -> Result<(), CacheError> {
        let expired = self.store.expire(key);
        let keys = std::slice::from_ref(key);
        Ok(self.fenced(budget, keys, expired).await?)
    }

    async fn delete(&self, budget: &mut Budget, keys: &[Key]) -> Result<(), CacheError> {
        self.fenced(budget, keys, self.store.delete(keys)).await?;
        Ok(())
    }

    /// Changes entries, with a fence before it, and another after it: a load that started in between
    /// may have read what was deleted next.
    async fn fenced<T>(
        &self,
        budget: &mut Budget,
        keys: &[Key],
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.fence(keys);
        let changed = budget.spend(change).await?;
        self.fence(keys);
        Ok(changed)
    }

    /// Nobody who comes from now on shares the loads of this process that are under way.
    pub(super) fn fence(&self, keys: &[Key]) {
        for key in keys {
            match self.is_tag(key) {
                true => self.flights.fence_tagged(key),
                false => self.flights.fence(key),
            }
            self.changed_nearby(key);
        }
    }

    /// The copy in this process, if there is one, is of no use any more.
    pub(super) fn changed_nearby(&self, key: &Key) {
        if let Some(near) = &self.near {
            near.changed(key.as_str());
        }
    }

    /// The beginning of the keys of tags. No template can render it: the macro refuses one that
    /// begins with `%`, and a rendered `%` is always followed by two hexadecimal digits.
    pub(crate) const TAG: &str = "%tag:";

    fn is_tag(&self, key: &Key) -> bool {
        let rendered = key.as_str().strip_prefix(&self.namespace);
        let rendered = rendered.and_then(|key| key.strip_prefix(':'));
        rendered.is_some_and(|key| key.starts_with(Self::TAG))
    }

    /// Does something for as long as it may take, whatever becomes of the caller; in the embedded
    /// store at once. Outside a runtime only what is done at once is done.
    pub(crate) fn in_background(
        &self,
        limit: Duration,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let runtime = Handle::try_current().ok();
        if self.store.is_shared() && runtime.is_none() {
            // The first step towards a server arms a timer, which would panic here.
            return;
        }
        let mut work = Box::pin(work);
        let first = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let (true, Some(runtime)) = (first.is_pending(), runtime) {
            let work = async move {
                let _ = timeout(limit, work).await;
            };
            self.background.spawn_on(work, &runtime);
        }
    }

    /// Runs a load in the background, under the same cache as its caller.
    pub(crate) fn detach(&self, load: impl Future<Output = ()> + Send + 'static) {
        let load: Pin<Box<dyn Future<Output = ()> + Send>> = match Cache::scoped() {
            Some(cache) => Box::pin(cache.scope(load)),
            None => Box::pin(load),
        };
        // Without a runtime it is dropped, which abandons it.
        if let Ok(runtime) = Handle::try_current() {
            self.background.spawn_on(load.in_current_span(), &runtime);
        }
    }
}
