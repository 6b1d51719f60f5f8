//! [`Engine`]: what all calls of one cache share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Budget;
use super::invalidation::Unacknowledged;
use crate::call::CacheId;
use crate::codec::TypeIdentity;
use crate::envelope::{self, Meta, Spans};
use crate::error::{CacheError, StoreError};
use crate::invalidate::Unconfirmed;
use crate::key::Key;
use crate::observe::{Miss, StatsTable};
use crate::policy::Policy;
use crate::rules::{Encoded, Verdict};
use crate::single_flight::{Flights, Moment};
use crate::store::Store;

/// What all calls of one cache share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) namespace: String,
    pub(crate) policy: Policy,
    pub(crate) value_limit: usize,
    pub(crate) flights: Arc<Flights>,
    pub(crate) unconfirmed: Unconfirmed,
    pub(crate) stats: StatsTable,
    /// There is no usable configuration: every call goes to its origin.
    pub(crate) misconfigured: bool,
}

/// A value ready for the store, and its payload for the waiters; both share one buffer.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) envelope: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) ttl: Duration,
}

/// Entries expire by the store's own clock, so nothing reads the creation time yet.
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
            misconfigured: false,
        }
    }

    /// While the engine lives, no other has this address.
    pub(crate) fn id(&self) -> CacheId {
        CacheId(std::ptr::from_ref(self).addr())
    }

    /// The intact payload of this key and type, or why there is none to serve.
    ///
    /// # Errors
    /// If the store does not answer within the budget.
    pub(crate) async fn look_up(
        &self,
        budget: &mut Budget,
        key: &Key,
        identity: TypeIdentity,
    ) -> Result<Result<Bytes, Miss>, StoreError> {
        let Some(envelope) = budget.spend(self.store.get(key)).await? else {
            return Ok(Err(Miss::Absent));
        };
        let opened = envelope::open(&envelope, key.as_str(), identity);
        Ok(opened.map(|opened| opened.payload).map_err(Miss::Rejected))
    }

    /// `load_cost` is what the origin took for it; zero if the value does not come from there.
    pub(crate) fn seal(
        encoded: Encoded,
        key: &Key,
        identity: TypeIdentity,
        load_cost: Duration,
    ) -> Sealed {
        let meta = Meta {
            created_ms: NOT_STAMPED,
            spans: Spans {
                fresh: encoded.ttl,
                stale: Duration::ZERO,
            },
            load_cost,
            codec_id: encoded.codec_id,
        };
        let envelope = envelope::seal(encoded.buffer, key.as_str(), identity, &meta);
        let payload = envelope.slice(envelope::HEADER.min(envelope.len())..);
        Sealed {
            envelope,
            payload,
            ttl: encoded.ttl,
        }
    }

    /// Writes a value over whatever the entry holds.
    ///
    /// A value that is not to be stored deletes the entry: what it holds is outdated either way.
    /// So does one that another write has overtaken since this one began: which of the two the
    /// origin holds is not known here.
    pub(crate) async fn put(
        self: &Arc<Self>,
        budget: &mut Budget,
        key: &Key,
        identity: TypeIdentity,
        verdict: Verdict,
        order: WriteOrder,
    ) -> Result<(), CacheError> {
        let write = Unacknowledged::new(self, std::slice::from_ref(key));
        let written = self.overwrite(budget, key, identity, verdict, order).await;
        if !matches!(written, Err(CacheError::Store(_))) {
            write.acknowledge();
        }
        written
    }

    async fn overwrite(
        &self,
        budget: &mut Budget,
        key: &Key,
        identity: TypeIdentity,
        verdict: Verdict,
        order: WriteOrder,
    ) -> Result<(), CacheError> {
        let result = match self.storable(key, identity, verdict) {
            Ok(Some(sealed)) => {
                if self.replace(budget, key, identity, sealed, order).await? {
                    return Ok(());
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.delete(budget, std::slice::from_ref(key)).await?;
        result
    }

    /// The value as it is to be stored; none if it is not to be.
    fn storable(
        &self,
        key: &Key,
        identity: TypeIdentity,
        verdict: Verdict,
    ) -> Result<Option<Sealed>, CacheError> {
        let encoded = match verdict {
            Verdict::Store(encoded) => encoded,
            Verdict::Leave(_) => return Ok(None),
            Verdict::Refuse(error) => return Err(error.into()),
        };
        let sealed = Self::seal(encoded, key, identity, Duration::ZERO);
        let (size, limit) = (sealed.envelope.len(), self.value_limit);
        if size > limit {
            return Err(CacheError::ValueTooLarge { size, limit });
        }
        Ok(Some(sealed))
    }

    /// Whether the value was written: not if another write has overtaken this one.
    async fn replace(
        &self,
        budget: &mut Budget,
        key: &Key,
        identity: TypeIdentity,
        sealed: Sealed,
        order: WriteOrder,
    ) -> Result<bool, StoreError> {
        let claimed = self
            .flights
            .claim(key, identity, order.began, order.written);
        let Some((lead, others)) = claimed else {
            return Ok(false);
        };
        let written = budget
            .spend(async {
                others.quiet().await;
                let Some(_fill) = lead.fill() else {
                    return Ok(false);
                };
                self.store.put(key, sealed.envelope, sealed.ttl).await?;
                Ok(true)
            })
            .await?;
        self.flights.fence(key);
        Ok(written)
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

    /// Outdates every load under way, then deletes.
    async fn delete(&self, budget: &mut Budget, keys: &[Key]) -> Result<(), StoreError> {
        let cut: Vec<_> = keys.iter().map(|key| self.flights.cut(key)).collect();
        budget
            .spend(async {
                for flights in &cut {
                    flights.quiet().await;
                }
                self.store.delete(keys).await
            })
            .await?;
        self.deleted(keys);
        Ok(())
    }

    /// A load that started while the deletion was on its way may have read the old entry just
    /// before it: nobody who comes from now on may join it.
    pub(super) fn deleted(&self, keys: &[Key]) {
        for key in keys {
            self.flights.fence(key);
        }
    }
}

/// Where a write stands among the writes of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteOrder {
    /// Before it changed the origin.
    began: Moment,
    /// When its values are written through; one moment for all of them.
    written: Moment,
}

impl WriteOrder {
    /// Of a value that is written whatever else happens: the last writer wins.
    pub(crate) fn last() -> Self {
        let now = Moment::next();
        Self {
            began: now,
            written: now,
        }
    }

    /// Of a write that began at `began` and has changed the origin.
    pub(crate) fn since(began: Moment) -> Self {
        Self {
            began,
            written: Moment::next(),
        }
    }
}
