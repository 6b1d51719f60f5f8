//! What [`single_flight`](crate::single_flight) needs of the machine. The model checker in
//! `tests/exploration` puts its own in this place and runs every interleaving.

pub(crate) use std::hash::RandomState as HashState;
pub(crate) use std::sync::Arc;

pub(crate) use parking_lot::Mutex;

/// A point in time; what is read later is never smaller, in whichever thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(std::time::Instant);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(std::time::Instant::now())
    }
}
