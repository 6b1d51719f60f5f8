//! What [`single_flight`](crate::single_flight) needs of the machine. The model checker in
//! `tests/exploration` puts its own in this place and runs every interleaving.

pub(crate) use std::hash::RandomState as HashState;
pub(crate) use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

pub(crate) use parking_lot::Mutex;

/// A point in the order in which this process loads, which is all that decides who may share a load.
///
/// Counted, and not read off a clock: that takes longer, at every hit, and two readings may be equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// On a cache line of its own: every call reads it.
#[repr(align(128))]
struct Moments(AtomicU64);

static MOMENTS: Moments = Moments(AtomicU64::new(0));

impl Moment {
    /// Not before any that was [made](Self::next) earlier, in whichever thread.
    pub(crate) fn now() -> Self {
        Self(MOMENTS.0.load(SeqCst))
    }

    /// After all that were made or read earlier, in whichever thread.
    pub(crate) fn next() -> Self {
        Self(MOMENTS.0.fetch_add(1, SeqCst) + 1)
    }
}
