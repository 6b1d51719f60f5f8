//! [`NearRule`]: how copies of a function's values are kept and handed out.

use std::sync::Arc;
use std::time::Duration;

use super::copy::AnyValue;
use super::ticks::nanos;
use super::{Filling, Near};
use crate::place::Place;

/// How a function's values are kept.
#[derive(Debug)]
pub(crate) struct NearRule<V> {
    /// No longer than this, in nanoseconds.
    pub(super) ttl: u64,
    share: fn(&V) -> AnyValue,
    pub(super) take: fn(AnyValue) -> Option<V>,
}

impl<V> Clone for NearRule<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for NearRule<V> {}

/// A value that is cloned: so that a `T` is no copy for functions that return an `Arc<T>`, which the
/// store tells apart, too.
struct Own<V>(V);

/// What copies can be kept of.
#[diagnostic::on_unimplemented(
    message = "`near` cannot keep copies of `{Self}`",
    label = "copies are cloned for each call, in whichever thread",
    note = "derive `Clone` for `{Self}` and let it be `Send` and `Sync`, or return an `Arc` of it"
)]
pub trait NearValue: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> NearValue for V {}

impl<V: NearValue> NearRule<V> {
    /// Each call gets a clone.
    #[inline]
    pub(crate) fn cloned(ttl: Duration) -> Self {
        Self {
            ttl: nanos(ttl),
            share: |value| Arc::new(Own(value.clone())),
            take: |value| {
                value
                    .downcast_ref()
                    .map(|Own(value): &Own<V>| value.clone())
            },
        }
    }
}

impl<T: Send + Sync + 'static> NearRule<Arc<T>> {
    /// All calls get the same.
    #[inline]
    pub(crate) fn shared(ttl: Duration) -> Self {
        Self {
            ttl: nanos(ttl),
            share: |value| value.clone(),
            take: |value| value.downcast::<T>().ok(),
        }
    }
}

impl<V> NearRule<V> {
    /// Keeps a copy of what was read and decoded from so many bytes.
    pub(crate) fn keep(
        &self,
        near: &Near,
        place: &Place,
        filling: Filling,
        value: &V,
        bytes: usize,
    ) {
        near.fill(place, filling, (self.share)(value), bytes);
    }
}
