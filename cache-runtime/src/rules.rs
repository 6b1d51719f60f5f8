//! [`Rules`]: whether a value is stored, for how long, and as which bytes.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Codec, CodecError, CodecErrorKind, codec_id, encode_checked};
use crate::envelope::{self, Spans};
use crate::near::NearRule;
use crate::observe::NotStored;
use crate::resilience::backoff::random;

/// How long an entry without a value is kept if the value itself says how long it lives.
const HOLD: Duration = Duration::from_secs(300);

impl Stale {
    /// How long an old value may be of any use.
    pub(crate) fn longest(&self) -> Duration {
        self.while_revalidate.max(self.if_error)
    }
}

/// What can be cached: everything serde can write and read back.
pub trait CacheValue: Serialize + DeserializeOwned + 'static {}

impl<T: Serialize + DeserializeOwned + 'static> CacheValue for T {}

/// Judges a value whose type is known to the caller only, with another time to live if one is given.
pub(crate) type Judge = Arc<dyn Fn(&dyn Any, Option<Duration>) -> Verdict + Send + Sync>;

/// What is to become of a value that was loaded or is to be written through.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Store it.
    Store(Encoded),
    /// Do not store it.
    Leave(NotStored),
    /// It cannot be stored: it would not read back.
    Refuse(CodecError),
}

/// A value to be stored, encoded.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// An envelope's buffer with the payload in it.
    pub(crate) buffer: Vec<u8>,
    pub(crate) codec_id: u8,
    pub(crate) spans: Spans,
}

impl Encoded {
    /// The same value, fresh for a time shortened at random by up to this part of it.
    pub(crate) fn jittered(mut self, jitter: f64) -> Self {
        if jitter > 0.0 {
            let taken = jitter.min(1.0) * f64::from(random()) / f64::from(u32::MAX);
            let fresh = self.spans.fresh.mul_f64(1.0 - taken);
            self.spans.fresh = fresh.max(Duration::from_millis(1));
        }
        self
    }
}

/// How long old values may be served.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stale {
    /// While a load in the background replaces them.
    pub(crate) while_revalidate: Duration,
    /// If the load fails.
    pub(crate) if_error: Duration,
}

/// Whether a value is stored, and for how long.
pub(crate) struct Rules<V> {
    pub(crate) ttl: Ttl<V>,
    /// Caches `None`, this long.
    pub(crate) none_ttl: Option<Duration>,
    pub(crate) stale: Stale,
    pub(crate) cache_if: Option<fn(&V) -> bool>,
    pub(crate) is_none: fn(&V) -> bool,
    /// Keeps copies in the process.
    pub(crate) near: Option<NearRule<V>>,
}

/// [`decode_any`] for entries.
pub(crate) type Decode = fn(&[u8]) -> Result<Box<dyn Any>, CodecError>;

/// How long a value is fresh.
pub(crate) enum Ttl<V> {
    Fixed(Duration),
    Of(fn(&V) -> Duration),
}

impl<V> Clone for Ttl<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Ttl<V> {}

impl<V> Clone for Rules<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Rules<V> {}

impl<V: CacheValue> Rules<V> {
    pub(crate) fn fixed(ttl: Duration) -> Self {
        Self {
            ttl: Ttl::Fixed(ttl),
            none_ttl: None,
            stale: Stale::default(),
            cache_if: None,
            is_none: |_| false,
            near: None,
        }
    }

    pub(crate) fn judge<C: Codec>(&self, value: &V) -> Verdict {
        let ttl = match self.lifetime(value) {
            Ok(ttl) => ttl,
            Err(reason) => return Verdict::Leave(reason),
        };
        let mut buffer = envelope::start();
        match encode_checked::<V, C>(value, &mut buffer) {
            Ok(()) => Verdict::Store(Encoded {
                buffer,
                codec_id: codec_id::<C>(),
                spans: Spans {
                    fresh: ttl,
                    stale: self.stale.longest(),
                },
            }),
            Err(error) => Verdict::Refuse(error),
        }
    }

    pub(crate) fn into_judge<C: Codec>(self) -> Judge {
        Arc::new(move |value, ttl| match value.downcast_ref::<V>() {
            Some(value) => {
                let ttl = ttl.map_or(self.ttl, Ttl::Fixed);
                Self { ttl, ..self }.judge::<C>(value)
            }
            None => Verdict::Refuse(CodecError::new(
                CodecErrorKind::Unsupported,
                C::NAME,
                "an entry holds the `Ok` value: for a `Result<T, E>` write `cache.entry::<T>(…)`",
            )),
        })
    }

    /// How long an entry is kept that holds nothing yet: about as long as its value would be.
    pub(crate) fn hold(&self) -> Duration {
        let fresh = match self.ttl {
            Ttl::Fixed(ttl) => ttl,
            Ttl::Of(_) => HOLD,
        };
        fresh.saturating_add(self.stale.longest())
    }

    /// Values that would live for less than a millisecond, the stores' unit, are not stored.
    fn lifetime(&self, value: &V) -> Result<Duration, NotStored> {
        let none = (self.is_none)(value);
        let ttl = match (none, self.none_ttl) {
            (true, None) => return Err(NotStored::None),
            _ if self.cache_if.is_some_and(|cache_if| !cache_if(value)) => {
                return Err(NotStored::Declined);
            }
            (true, Some(ttl)) => ttl,
            (false, _) => match self.ttl {
                Ttl::Fixed(ttl) => ttl,
                Ttl::Of(ttl) => ttl(value),
            },
        };
        if ttl < Duration::from_millis(1) {
            return Err(NotStored::NoTtl);
        }
        Ok(ttl)
    }
}

/// Decodes to a value whose type the caller knows.
pub(crate) fn decode_any<V: CacheValue, C: Codec>(
    payload: &[u8],
) -> Result<Box<dyn Any>, CodecError> {
    C::decode::<V>(payload).map(|value| Box::new(value) as Box<dyn Any>)
}
