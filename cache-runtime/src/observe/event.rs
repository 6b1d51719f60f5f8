//! [`Event`]: one step in the story of a call, in the order the steps happened.

use super::Outcome;
use crate::envelope::Rejected;
use crate::error::StoreErrorKind;

/// One step of a call; tests assert the list of a call's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A look-up found nothing to serve.
    Missed(Miss),
    /// The caller has the lease: it loads for the whole fleet.
    Leased,
    /// A load goes on in the background.
    Detached,
    /// The caller waits for another caller's load.
    Waited,
    /// The load waited for was abandoned or took too long.
    GaveUp,
    /// The origin is started.
    Load,
    /// The value is stored.
    Filled,
    /// The load has failed, and its caller gets an old value, or it ran in the background.
    Failed,
    /// The call is over.
    Ended(Outcome),
}

/// Why a look-up found nothing to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Miss {
    /// There is no entry.
    Absent,
    /// The value is no longer fresh.
    Expired,
    /// There is something, but not an intact entry of this key and type.
    Rejected(Rejected),
    /// A tag of the entry was invalidated since it was loaded.
    TagInvalidated,
    /// The payload does not decode to the type.
    Undecodable,
    /// An invalidation is not confirmed yet, so whatever the store holds may be outdated.
    Unconfirmed,
    /// The store did not answer in time or not with a value.
    Store(StoreErrorKind),
}
