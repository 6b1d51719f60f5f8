//! [`Rules`]: whether a value is stored, for how long, and as which bytes.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Codec, CodecError, CodecErrorKind, codec_id, encode_checked};
use crate::envelope;
use crate::observe::NotStored;

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
    pub(crate) ttl: Duration,
}

/// Whether a value is stored, and for how long.
pub(crate) struct Rules<V> {
    pub(crate) ttl: Ttl<V>,
    /// Caches `None`, this long.
    pub(crate) none_ttl: Option<Duration>,
    /// `stale_while_revalidate`: how long after its `ttl` a value is served while it is loaded anew.
    pub(crate) swr: Duration,
    /// `stale_if_error`: how long after its `ttl` a value stands in for a load that fails.
    pub(crate) sie: Duration,
    pub(crate) cache_if: Option<fn(&V) -> bool>,
    pub(crate) is_none: fn(&V) -> bool,
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
            swr: Duration::ZERO,
            sie: Duration::ZERO,
            cache_if: None,
            is_none: |_| false,
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
                ttl,
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
