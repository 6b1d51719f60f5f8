//! Leases: the right to load a key, recorded in the entry itself.
//!
//! A lease is a token and a deadline in the header of the entry, so whatever deletes or overwrites
//! the entry ends the lease with it, and a fill that finds its token gone is refused.
//!
//! The decisions at the end of this file are functions of an entry's bytes, a time and a request.
//! The embedded store carries them out; the scripts of Redis say the same in Lua.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::{
    codec::TypeIdentity,
    envelope::{self, Age, FORMAT, HEADER, Header},
};

pub use crate::envelope::{Lease, LeaseKind, Stamp, Token};

/// How long an entry that says only that a load ended is kept at least: long enough for everybody
/// who waited for the load to see it.
pub(crate) const ENDED_KEPT: Duration = Duration::from_secs(5);

/// A caller asks for the lease of a key.
#[derive(Debug, Clone)]
pub struct Acquire {
    /// The caller's own, by which it will know the lease again.
    pub token: Token,
    /// The type of the value that the caller will store.
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
    /// The caller has an old value: it does not try while loads fail ([`LeaseKind::Ended`]).
    pub has_old: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// The caller loads. A value that may still be served stays readable.
    Granted(Grant),
    /// There is a fresh value that the caller has not seen: the whole envelope.
    Value(Bytes),
    /// Somebody else loads ([`LeaseKind::Load`]) or writes ([`LeaseKind::Intent`]), or it is too
    /// early to try again ([`LeaseKind::Ended`]).
    Busy {
        /// Which of the two.
        kind: LeaseKind,
        /// Whose it is.
        token: Token,
        /// Until its deadline.
        left: Duration,
    },
}

/// A lease or an intent that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The token of the request.
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

/// What a decision does to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It stays as it is.
    Nothing,
    /// Its header is replaced; the rest stays.
    Patch(Header, Lifetime),
    /// It is replaced, and kept for so long.
    Put(Bytes, Duration),
    /// It goes.
    Delete,
}

/// How long a patched entry is kept from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// As long as before.
    Unchanged,
    AtLeast(Duration),
    AtMost(Duration),
    Exactly(Duration),
}

/// Asks for the lease of an entry, if any; the answer's grant is made for `connection`.
pub(crate) fn acquire(
    current: Option<&Bytes>,
    now_ms: u64,
    request: &Acquire,
    connection: u64,
) -> (Effect, Acquired) {
    let lease = Lease {
        kind: LeaseKind::Load,
        token: request.token,
        deadline_ms: after(now_ms, request.lease),
    };
    let granted = Acquired::Granted(Grant {
        token: request.token,
        connection,
    });
    let hold = request.hold.max(request.lease);
    let anew = Effect::Put(only_lease(request.identity, &lease), hold);
    let Some((envelope, header)) = current.and_then(|all| Some((all, envelope::header(all)?)))
    else {
        return (anew, granted);
    };
    if !header.starts_with(&envelope::prefix(request.identity)) {
        return (anew, granted);
    }
    let age = envelope::has_value(header).then(|| envelope::meta(header).age(now_ms));
    if !request.force {
        let unseen = request.rejected != Some(envelope::stamp_of(header));
        if unseen && matches!(age, Some(Age::Fresh { .. })) {
            return (Effect::Nothing, Acquired::Value(envelope.clone()));
        }
        if let Some(busy) = busy(header, now_ms, request.has_old) {
            return (Effect::Nothing, busy);
        }
    }
    if matches!(age, Some(Age::Fresh { .. } | Age::Stale { .. })) {
        let patch = Effect::Patch(with_lease(header, Some(&lease)), Lifetime::AtLeast(hold));
        (patch, granted)
    } else {
        (anew, granted)
    }
}

/// Whether somebody's lease or intent stands; for who has an old value, also whether loads fail.
fn busy(header: &Header, now_ms: u64, has_old: bool) -> Option<Acquired> {
    let lease = envelope::lease_of(header)?;
    let left = lease.deadline_ms.checked_sub(now_ms).filter(|&ms| ms > 0)?;
    (lease.kind != LeaseKind::Ended || has_old).then(|| Acquired::Busy {
        kind: lease.kind,
        token: lease.token,
        left: Duration::from_millis(left.min(MOST_LEFT)),
    })
}

/// The largest whole number that scripts can count to: a damaged deadline may be any.
const MOST_LEFT: u64 = (1 << 53) - 1;

/// Stores a loaded value if the lease has not been taken over; whether it did.
pub(crate) fn fill(
    current: Option<&Bytes>,
    now_ms: u64,
    token: &Token,
    envelope: &Bytes,
    ttl: Duration,
) -> (Effect, bool) {
    match (
        held(current, token, LeaseKind::Load),
        stamped(envelope, now_ms),
    ) {
        (Some(_), Some(envelope)) => (Effect::Put(envelope, ttl), true),
        _ => (Effect::Nothing, false),
    }
}

/// Lets a lease stand for `lease` from now; whether it is still there.
pub(crate) fn renew(
    current: Option<&Bytes>,
    now_ms: u64,
    token: &Token,
    lease: Duration,
) -> (Effect, bool) {
    let Some(header) = held(current, token, LeaseKind::Load) else {
        return (Effect::Nothing, false);
    };
    let renewed = Lease {
        kind: LeaseKind::Load,
        token: *token,
        deadline_ms: after(now_ms, lease),
    };
    let patch = with_lease(header, Some(&renewed));
    (Effect::Patch(patch, Lifetime::AtLeast(lease)), true)
}

/// Gives up a lease or an intent.
pub(crate) fn release(current: Option<&Bytes>, now_ms: u64, token: &Token, how: Release) -> Effect {
    let kinds = [LeaseKind::Load, LeaseKind::Intent];
    let held = kinds
        .into_iter()
        .find_map(|kind| Some((held(current, token, kind)?, kind)));
    let Some((header, kind)) = held else {
        return Effect::Nothing;
    };
    let (lease, lifetime) = match how {
        Release::Emptied => {
            let ended = Lease {
                kind: LeaseKind::Ended,
                token: *token,
                deadline_ms: now_ms,
            };
            let emptied = only_lease(envelope::identity(header), &ended);
            return Effect::Put(emptied, ENDED_KEPT);
        }
        Release::Abandoned => (Some((kind, 0)), Lifetime::Unchanged),
        Release::Ended(retry) if envelope::has_value(header) => {
            let ended = (LeaseKind::Ended, after(now_ms, retry));
            (Some(ended), Lifetime::Unchanged)
        }
        Release::Ended(retry) => {
            let ended = (LeaseKind::Ended, after(now_ms, retry));
            (Some(ended), Lifetime::Exactly(retry.max(ENDED_KEPT)))
        }
        Release::Withdrawn if envelope::has_value(header) => (None, Lifetime::Unchanged),
        Release::Withdrawn => return Effect::Delete,
    };
    let lease = lease.map(|(kind, deadline_ms)| Lease {
        kind,
        token: *token,
        deadline_ms,
    });
    Effect::Patch(with_lease(header, lease.as_ref()), lifetime)
}

/// Marks an entry with a write intent, whoever works on it.
pub(crate) fn intend(current: Option<&Bytes>, now_ms: u64, request: &Acquire) -> Effect {
    let intent = Lease {
        kind: LeaseKind::Intent,
        token: request.token,
        deadline_ms: after(now_ms, request.lease),
    };
    let header = current.and_then(|envelope| envelope::header(envelope));
    match header.filter(|header| envelope::has_value(header)) {
        Some(header) => Effect::Patch(with_lease(header, Some(&intent)), Lifetime::Unchanged),
        None => Effect::Put(
            only_lease(request.identity, &intent),
            request.hold.max(request.lease),
        ),
    }
}

/// Stores a written value if nothing has happened since the intent, otherwise deletes the entry;
/// whether it was stored.
pub(crate) fn commit(
    current: Option<&Bytes>,
    now_ms: u64,
    token: &Token,
    envelope: &Bytes,
    ttl: Duration,
) -> (Effect, bool) {
    match (
        held(current, token, LeaseKind::Intent),
        stamped(envelope, now_ms),
    ) {
        (Some(_), Some(envelope)) => (Effect::Put(envelope, ttl), true),
        _ => (Effect::Delete, false),
    }
}

/// Ends the freshness of a value and whatever lease there is.
pub(crate) fn expire(current: Option<&Bytes>, now_ms: u64) -> Effect {
    let header = current.and_then(|envelope| envelope::header(envelope));
    let Some(header) = header.filter(|header| {
        // The spans are where this format has them, and a lease alone has none.
        header.get(3) == Some(&FORMAT) && envelope::has_value(header)
    }) else {
        return Effect::Delete;
    };
    let meta = envelope::meta(header);
    if meta.spans.stale.is_zero() {
        return Effect::Delete;
    }
    let mut patch = with_lease(header, None);
    if !matches!(meta.age(now_ms), Age::Fresh { .. }) {
        return Effect::Patch(patch, Lifetime::Unchanged);
    }
    // Zero would be no stamp at all.
    match now_ms
        .checked_sub(millis(meta.spans.fresh))
        .filter(|&ms| ms > 0)
    {
        Some(created_ms) => {
            envelope::put_created(&mut patch, created_ms);
            Effect::Patch(patch, Lifetime::AtMost(meta.spans.stale))
        }
        None => Effect::Delete,
    }
}

/// Replaces an entry by an intent that nobody holds.
pub(crate) fn hold_off(
    now_ms: u64,
    identity: TypeIdentity,
    token: Token,
    span: Duration,
) -> Effect {
    let intent = Lease {
        kind: LeaseKind::Intent,
        token,
        deadline_ms: after(now_ms, span),
    };
    Effect::Put(only_lease(identity, &intent), span)
}

/// The header of an entry whose lease is of this kind and token; its deadline does not matter,
/// since nobody has taken it over.
fn held<'a>(current: Option<&'a Bytes>, token: &Token, kind: LeaseKind) -> Option<&'a Header> {
    let header = envelope::header(current?)?;
    let lease = envelope::lease_of(header)?;
    (lease.kind == kind && lease.token == *token).then_some(header)
}

fn with_lease(header: &Header, lease: Option<&Lease>) -> Header {
    let mut changed = *header;
    envelope::put_lease(&mut changed, lease);
    changed
}

fn only_lease(identity: TypeIdentity, lease: &Lease) -> Bytes {
    Bytes::copy_from_slice(&envelope::only_lease(identity, lease))
}

/// The envelope with its creation stamped; none if it is no envelope.
fn stamped(envelope: &Bytes, now_ms: u64) -> Option<Bytes> {
    envelope::header(envelope)?;
    let mut stamped = BytesMut::from(&envelope[..]);
    let header = stamped.first_chunk_mut::<HEADER>()?;
    envelope::put_created(header, now_ms);
    Some(stamped.freeze())
}

fn after(now_ms: u64, span: Duration) -> u64 {
    now_ms.saturating_add(millis(span))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_are_unique_across_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1_000).map(|_| Token::random()).collect::<Vec<_>>()))
            .collect();
        let tokens: HashSet<_> = threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect();
        assert_eq!(tokens.len(), 4_000);
    }

    #[test]
    fn both_halves_of_a_token_differ() {
        let tokens = [Token::random(), Token::random()].map(|Token(bytes)| bytes);
        let [one, other] = tokens.each_ref().map(|bytes| bytes.split_at(8));
        assert!(one.0 != other.0 && one.1 != other.1 && one.0 != one.1);
    }

    /// A creation of zero would say that the value was never stamped, and so is fresh for good.
    #[test]
    fn expiring_never_stamps_zero() {
        let meta = envelope::Meta {
            spans: envelope::Spans {
                fresh: Duration::from_secs(10),
                stale: Duration::from_secs(10),
            },
            ..envelope::meta(&[0; HEADER])
        };
        let identity = TypeIdentity::from_u64(1);
        let entry = envelope::seal(envelope::start(), "key", identity, &meta);
        assert_eq!(expire(Some(&entry), 10_000), Effect::Delete);
        let Effect::Patch(header, _) = expire(Some(&entry), 10_001) else {
            panic!("there is room for a creation")
        };
        assert_eq!(
            envelope::meta(&header).age(10_001),
            Age::Stale { by: Duration::ZERO }
        );
    }

    #[test]
    fn a_damaged_deadline_is_within_reach_of_scripts() {
        let lease = Lease {
            kind: LeaseKind::Load,
            token: Token([1; 16]),
            deadline_ms: u64::MAX,
        };
        let header = envelope::only_lease(TypeIdentity::from_u64(1), &lease);
        let Some(Acquired::Busy { left, .. }) = busy(&header, 1, false) else {
            panic!("the lease stands")
        };
        assert_eq!(left, Duration::from_millis(MOST_LEFT));
    }
}
