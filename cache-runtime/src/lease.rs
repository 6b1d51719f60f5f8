//! Leases: the right to load a key, recorded in the entry itself.
//!
//! A lease is a token and a deadline in the header of the entry, so whatever deletes or overwrites
//! the entry ends the lease with it, and a fill that finds its token gone is refused.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;

use crate::codec::TypeIdentity;
use crate::envelope::{self, Spans};

/// A number of the caller's own, by which it knows its lease again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) [u8; 16]);

impl Token {
    /// A token that no other call of any process has: 128 bits from two hashers with random keys.
    #[must_use]
    pub fn random() -> Self {
        static KEYS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [(); 2].map(|()| RandomState::new()));
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Relaxed);
        let mut token = [0; 16];
        for (half, keys) in token.as_chunks_mut::<8>().0.iter_mut().zip(&*KEYS) {
            *half = keys.hash_one(number).to_le_bytes();
        }
        Self(token)
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
#[repr(u8)]
pub enum LeaseKind {
    /// 1: a load. Until the deadline nobody else loads. After it the lease may be taken over; until
    /// it is, its holder may still fill.
    Load = 1,
    /// 2: a write. Until the deadline nobody fills.
    Intent = 2,
    /// 3: a load that ended without a value to store. Until the deadline whoever has an old value
    /// does not try again.
    Ended = 3,
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
    Value(Bytes),
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

/// What an operation makes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// These bytes, to be kept for that long.
    Write(Bytes, Keep),
    /// The entry is gone.
    Delete,
}

/// How long an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    For(Duration),
    /// As long as before, but at least this long.
    AtLeast(Duration),
    /// As long as before, but at most this long.
    AtMost(Duration),
}

/// Asks for the lease of what holds `entry`.
pub(crate) fn acquire(entry: Option<&Bytes>, now: u64, request: &Acquire) -> (Effect, Acquired) {
    let held = entry.and_then(|bytes| Held::of(bytes, request.identity));
    if let Some(held) = held.as_ref().filter(|_| !request.force) {
        if held.is_fresh(now) && Some(held.stamp()) != request.rejected {
            return (Effect::None, Acquired::Value(held.bytes.clone()));
        }
        if let Some(lease) = held
            .lease()
            .filter(|lease| lease.kind != LeaseKind::Ended && now < lease.deadline_ms)
        {
            let left = Duration::from_millis(lease.deadline_ms - now);
            let (kind, token) = (lease.kind, lease.token);
            return (Effect::None, Acquired::Busy { kind, token, left });
        }
    }
    let lease = Lease {
        kind: LeaseKind::Load,
        token: request.token,
        deadline_ms: after(now, request.lease),
    };
    let hold = request.hold.max(request.lease);
    let effect = match held.filter(|held| held.may_be_served(now)) {
        Some(held) => Effect::Write(held.leased(Some(&lease)), Keep::AtLeast(hold)),
        None => Effect::Write(envelope::only(request.identity, &lease), Keep::For(hold)),
    };
    (effect, Acquired::Granted(Grant::pending(request.token)))
}

/// Stores a loaded value under the lease with this token.
pub(crate) fn fill(
    entry: Option<&Bytes>,
    now: u64,
    token: &Token,
    envelope: &Bytes,
    ttl: Duration,
) -> (Effect, bool) {
    match stands(entry, token, &[LeaseKind::Load]) {
        true => (stored(envelope, now, ttl), true),
        false => (Effect::None, false),
    }
}

/// Lets a lease stand for this long from now.
pub(crate) fn renew(
    entry: Option<&Bytes>,
    now: u64,
    token: &Token,
    length: Duration,
) -> (Effect, bool) {
    let Some(bytes) = entry.filter(|_| stands(entry, token, &[LeaseKind::Load])) else {
        return (Effect::None, false);
    };
    let lease = Lease {
        kind: LeaseKind::Load,
        token: *token,
        deadline_ms: after(now, length),
    };
    let renewed = envelope::with_lease(bytes, Some(&lease));
    (Effect::Write(renewed, Keep::AtLeast(length)), true)
}

/// Gives up a lease or an intent.
pub(crate) fn release(entry: Option<&Bytes>, now: u64, token: &Token, how: Release) -> Effect {
    let held = [LeaseKind::Load, LeaseKind::Intent];
    let Some(bytes) = entry.filter(|_| stands(entry, token, &held)) else {
        return Effect::None;
    };
    let with = |kind, deadline_ms| Lease {
        kind,
        token: *token,
        deadline_ms,
    };
    let valued = envelope::has_value(bytes);
    match how {
        Release::Abandoned => {
            let kind = envelope::lease(bytes).map_or(LeaseKind::Load, |(_, lease)| lease.kind);
            let abandoned = envelope::with_lease(bytes, Some(&with(kind, 0)));
            Effect::Write(abandoned, Keep::AtLeast(Duration::ZERO))
        }
        Release::Ended(retry) => {
            let ended = with(LeaseKind::Ended, after(now, retry));
            let keep = match valued {
                true => Keep::AtLeast(Duration::ZERO),
                false => Keep::For(retry.max(TOLD)),
            };
            Effect::Write(envelope::with_lease(bytes, Some(&ended)), keep)
        }
        Release::Emptied => match envelope::lease(bytes) {
            Some((identity, _)) => {
                let ended = with(LeaseKind::Ended, now);
                Effect::Write(envelope::only(identity, &ended), Keep::For(TOLD))
            }
            None => Effect::Delete,
        },
        Release::Withdrawn if valued => {
            let free = envelope::with_lease(bytes, None);
            Effect::Write(free, Keep::AtLeast(Duration::ZERO))
        }
        Release::Withdrawn => Effect::Delete,
    }
}

/// Marks an entry with a write intent.
pub(crate) fn intend(entry: Option<&Bytes>, now: u64, request: &Acquire) -> Effect {
    let lease = Lease {
        kind: LeaseKind::Intent,
        token: request.token,
        deadline_ms: after(now, request.lease),
    };
    let hold = request.hold.max(request.lease);
    match entry.filter(|bytes| envelope::is_envelope(bytes)) {
        Some(bytes) => {
            let marked = envelope::with_lease(bytes, Some(&lease));
            Effect::Write(marked, Keep::AtLeast(hold))
        }
        None => Effect::Write(envelope::only(request.identity, &lease), Keep::For(hold)),
    }
}

/// Stores a written value under the intent with this token, or deletes the entry.
pub(crate) fn commit(
    entry: Option<&Bytes>,
    now: u64,
    token: &Token,
    envelope: &Bytes,
    ttl: Duration,
) -> (Effect, bool) {
    match stands(entry, token, &[LeaseKind::Intent]) {
        true => (stored(envelope, now, ttl), true),
        false => (Effect::Delete, false),
    }
}

/// Ends the freshness of a value, and whatever lease there is.
pub(crate) fn expire(entry: Option<&Bytes>, now: u64) -> Effect {
    let Some(bytes) = entry else {
        return Effect::None;
    };
    let Some(spans) = envelope::spans(bytes).filter(|spans| !spans.stale.is_zero()) else {
        return Effect::Delete;
    };
    let fresh = u64::try_from(spans.fresh.as_millis()).unwrap_or(u64::MAX);
    let created = envelope::created(bytes);
    let expired = match created == 0 || now < created.saturating_add(fresh) {
        true => envelope::with_created(bytes, now.saturating_sub(fresh)),
        false => bytes.clone(),
    };
    let expired = envelope::with_lease(&expired, None);
    Effect::Write(expired, Keep::AtMost(spans.stale))
}

/// Deletes an entry and lets nothing be filled for this long.
pub(crate) fn hold_off(now: u64, identity: TypeIdentity, span: Duration) -> Effect {
    let lease = Lease {
        kind: LeaseKind::Intent,
        token: Token::random(),
        deadline_ms: after(now, span),
    };
    Effect::Write(envelope::only(identity, &lease), Keep::For(span))
}

/// How long it can be seen that a load ended without a value, by those who wait for it.
const TOLD: Duration = Duration::from_secs(5);

fn stored(envelope: &Bytes, now: u64, ttl: Duration) -> Effect {
    Effect::Write(envelope::with_created(envelope, now), Keep::For(ttl))
}

fn stands(entry: Option<&Bytes>, token: &Token, kinds: &[LeaseKind]) -> bool {
    let lease = entry.and_then(envelope::lease);
    lease.is_some_and(|(_, lease)| lease.token == *token && kinds.contains(&lease.kind))
}

fn after(now: u64, span: Duration) -> u64 {
    now.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// An entry of the right type and format.
struct Held<'a> {
    bytes: &'a Bytes,
}

impl<'a> Held<'a> {
    fn of(bytes: &'a Bytes, identity: TypeIdentity) -> Option<Self> {
        envelope::is_of(bytes, identity).then_some(Self { bytes })
    }

    fn stamp(&self) -> Stamp {
        envelope::stamp(self.bytes).unwrap_or(Stamp([0; 16]))
    }

    fn lease(&self) -> Option<Lease> {
        envelope::lease(self.bytes).map(|(_, lease)| lease)
    }

    fn is_fresh(&self, now: u64) -> bool {
        self.is_younger_than(now, |spans| spans.fresh)
    }

    fn may_be_served(&self, now: u64) -> bool {
        self.is_younger_than(now, |spans| spans.fresh.saturating_add(spans.stale))
    }

    fn is_younger_than(&self, now: u64, span: impl Fn(&Spans) -> Duration) -> bool {
        let created = envelope::created(self.bytes);
        envelope::spans(self.bytes)
            .is_some_and(|spans| created == 0 || now < after(created, span(&spans)))
    }

    fn leased(&self, lease: Option<&Lease>) -> Bytes {
        envelope::with_lease(self.bytes, lease)
    }
}
