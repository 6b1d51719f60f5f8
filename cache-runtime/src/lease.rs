//! Leases: the right to load a key, recorded in the entry itself.
//!
//! A lease is a token and a deadline in the header of the entry, so whatever deletes or overwrites
//! the entry ends the lease with it, and a fill that finds its token gone is refused.

use std::time::Duration;

use crate::codec::TypeIdentity;

/// A number of the caller's own, by which it knows its lease again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) [u8; 16]);

impl Token {
    pub(crate) fn random() -> Self {
        todo!()
    }
}

/// What the header of an entry says about who works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub kind: LeaseKind,
    pub token: Token,
    /// Milliseconds since the Unix epoch by the clock of the server.
    pub deadline_ms: u64,
}

/// What a lease is for: the byte in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseKind {
    /// 1: a load. Until the deadline nobody else loads. After it the lease may be taken over; until
    /// it is, its holder may still fill.
    Load,
    /// 2: a write. Until the deadline nobody fills.
    Intent,
    /// 3: a load that ended without a value to store. Until the deadline whoever has an old value
    /// does not try again.
    Ended,
}

/// Tells one version of an entry from the next: its check and its creation, bytes 40..56.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(pub(crate) [u8; 16]);

/// A caller asks for the lease of a key.
#[derive(Debug, Clone)]
pub struct Acquire {
    pub token: Token,
    pub identity: TypeIdentity,
    /// How long it stands unless renewed.
    pub lease: Duration,
    /// How long the key is kept if there is no value: as long as one would be, so that no eviction
    /// policy prefers leases to values.
    pub hold: Duration,
    /// The entry that the caller has read and cannot use; none if there was none, or only a lease.
    pub rejected: Option<Stamp>,
    /// Whatever is there and whoever holds it: a refresh.
    pub force: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// The caller loads. A value that may still be served stays readable.
    Granted(Grant),
    /// There is a fresh value that the caller has not seen: the whole envelope.
    Value(bytes::Bytes),
    /// Somebody else loads ([`LeaseKind::Load`]) or writes ([`LeaseKind::Intent`]).
    Busy {
        kind: LeaseKind,
        token: Token,
        /// Until its deadline.
        left: Duration,
    },
}

/// A lease or an intent that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub token: Token,
    /// The connection that it was granted on. On any other it is void: the server may have
    /// restarted in between from a copy that knows the lease but not the deletions since.
    pub(crate) connection: u64,
}

impl Grant {
    /// What was asked for under this token and is not granted yet.
    pub(crate) fn pending(token: Token) -> Self {
        Self {
            token,
            connection: 0,
        }
    }
}

/// How a lease is given up without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The holder was cancelled or panicked: the next one may take over at once.
    Abandoned,
    /// The load ended without a value to store: whoever waits for it loads by itself. Whoever has an
    /// old value does not try again for this long.
    Ended(Duration),
    /// The load has shown that there is nothing to store: the old value goes too. Whoever waits for
    /// it loads by itself.
    Emptied,
    /// An intent whose write did not happen: the old value is what it was.
    Withdrawn,
}
