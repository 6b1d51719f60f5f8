//! An entry as it is stored: a header, the generations of its tags, the payload.
//!
//! Format 1, little-endian. The offsets of everything up to the lease's deadline are the same in
//! all formats, so that scripts and older processes handle the leases of newer ones.
//!
//! | bytes | what | in the check |
//! | --- | --- | --- |
//! | 0..3 | magic `CRE` | compared |
//! | 3 | format, 1 | compared |
//! | 4..12 | [`TypeIdentity`] | compared, and yes |
//! | 12 | lease kind: 0 none, 1 load lease, 2 write intent | no |
//! | 13 | flags; bit 0: a value is present | yes |
//! | 14 | codec: 0 of a user, 1 MessagePack, 2 Json, 3 Postcard, 4 Bincode | yes |
//! | 15 | reserved, 0 | yes |
//! | 16..32 | token of the lease | no |
//! | 32..40 | deadline of the lease, ms, server clock | no |
//! | 40..48 | the check: xxh3-64 of the key and all that says yes here | itself |
//! | 48..56 | creation, ms, server clock; 0: not stamped | no |
//! | 56..64 | fresh span, ms | yes |
//! | 64..72 | stale span, ms | yes |
//! | 72..76 | cost of the load, ms | yes |
//! | 76..78 | number of tags | yes |
//! | 78..80 | reserved, 0 | yes |
//! | 80.. | 16 bytes for each tag, then the payload to the end | yes |
//!
//! The check leaves out what changes in place, as scripts cannot compute it: the lease, which is
//! taken, renewed and released while the old value stays readable, and the creation, which is
//! stamped by the clock of the server. A fault in these bytes shows the right value of the right
//! key: a lease that is void or ends at another time costs at most one load more or one wait, and
//! a wrong age ends with the key's own TTL in the store.
//!
//! The key is part of the check and is not stored: bytes copied to another key are refused there.

use bytes::Bytes;
use std::time::Duration;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::codec::TypeIdentity;
use crate::lease::{Lease, LeaseKind, Stamp, Token};

/// The format this crate writes. It is part of every type identity.
pub(crate) const FORMAT: u8 = 1;

const MAGIC: [u8; 3] = *b"CRE";
pub(crate) const HEADER: usize = 80;
const GENERATION: usize = 16;
const VALUE_PRESENT: u8 = 1;

/// What a caller may do with a value of some age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// From creation on, it is simply served. Stored in milliseconds, rounded up.
    pub fresh: Duration,
    /// After that, it may be served while, or if, a load cannot help. Stored like `fresh`.
    pub stale: Duration,
}

/// What an envelope says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Milliseconds since the Unix epoch by the clock of the server; 0 if it was not stamped.
    pub created_ms: u64,
    /// How long the value may be served.
    pub spans: Spans,
    /// How long the origin took, in whole milliseconds, at most 49 days.
    pub load_cost: Duration,
    /// The codec of the payload, for people who read the bytes; 0 for codecs of users.
    pub codec_id: u8,
}

/// The generation of one tag when the load began.
pub(crate) type Generation = [u8; GENERATION];

/// An envelope that holds the value of the right key and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Shares the memory of the whole envelope.
    pub payload: Bytes,
    /// Generations of the value's tags, in the order of the tags.
    pub(crate) generations: Vec<Generation>,
    /// The rest of the header.
    pub meta: Meta,
}

/// Why bytes from the store are not the value asked for. Each is a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Less than a header, or less than the tags it announces.
    #[error("the envelope is cut off")]
    Truncated,
    /// Something else than an envelope.
    #[error("not an envelope")]
    Foreign,
    /// An envelope of a newer version of this crate.
    #[error("envelope format {0} is newer than this program")]
    FutureFormat(u8),
    /// The value of another type, or another structure, or from another codec.
    #[error("the value is of another type or codec")]
    OtherType,
    /// Only a lease.
    #[error("the entry holds no value")]
    NoValue,
    /// The check does not match: damaged, or stored for another key.
    #[error("the check does not match the key and the content")]
    Corrupt,
}

/// Room for the header; the codec appends the payload after it.
#[must_use]
pub fn start() -> Vec<u8> {
    start_tagged(&[])
}

/// Room for the header, then the generations of the value's tags, at most `u16::MAX` of them; the
/// codec appends the payload after them.
#[must_use]
pub(crate) fn start_tagged(generations: &[Generation]) -> Vec<u8> {
    let generations = generations
        .get(..usize::from(u16::MAX))
        .unwrap_or(generations);
    let mut buffer = vec![0; HEADER];
    put(&mut buffer, 76, (generations.len() as u16).to_le_bytes());
    buffer.extend_from_slice(generations.as_flattened());
    buffer
}

/// Fills in the header of a `buffer` from [`start`] with the payload behind, whether it
/// has room for generations or not.
#[must_use]
pub fn seal(mut buffer: Vec<u8>, key: &str, identity: TypeIdentity, meta: &Meta) -> Bytes {
    if buffer.len() < HEADER {
        buffer.resize(HEADER, 0);
    }
    put(&mut buffer, 0, MAGIC);
    put(&mut buffer, 3, [FORMAT]);
    put(&mut buffer, 4, identity.to_u64().to_le_bytes());
    put(&mut buffer, 13, [VALUE_PRESENT]);
    put(&mut buffer, 14, [meta.codec_id]);
    put(&mut buffer, 48, meta.created_ms.to_le_bytes());
    put(
        &mut buffer,
        56,
        milliseconds(meta.spans.fresh).to_le_bytes(),
    );
    put(
        &mut buffer,
        64,
        milliseconds(meta.spans.stale).to_le_bytes(),
    );
    let cost = u32::try_from(meta.load_cost.as_millis()).unwrap_or(u32::MAX);
    put(&mut buffer, 72, cost.to_le_bytes());
    if let Some((header, content)) = buffer.split_first_chunk::<HEADER>() {
        let check = check(header, content, key);
        put(&mut buffer, 40, check.to_le_bytes());
    }
    Bytes::from(buffer)
}

/// The value in `bytes`, if they are the envelope of a value of `key` and `identity`.
///
/// # Errors
///
/// Anything else is told apart by [`Rejected`]; no bytes make this panic.
pub fn open(bytes: &Bytes, key: &str, identity: TypeIdentity) -> Result<Opened, Rejected> {
    let known = bytes.len().min(MAGIC.len());
    if bytes.get(..known) != MAGIC.get(..known) {
        return Err(Rejected::Foreign);
    }
    match bytes.get(3) {
        None => return Err(Rejected::Truncated),
        Some(&FORMAT) => {}
        Some(0) => return Err(Rejected::Foreign),
        Some(&newer) => return Err(Rejected::FutureFormat(newer)),
    }
    let Some((header, content)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(Rejected::Truncated);
    };
    if u64::from_le_bytes(field(header, 4)) != identity.to_u64() {
        return Err(Rejected::OtherType);
    }
    let [flags, codec_id] = field(header, 13);
    if flags & VALUE_PRESENT == 0 {
        return Err(Rejected::NoValue);
    }
    let tags = usize::from(u16::from_le_bytes(field(header, 76)));
    let Some((generations, _)) = content.split_at_checked(tags * GENERATION) else {
        return Err(Rejected::Truncated);
    };
    if u64::from_le_bytes(field(header, 40)) != check(header, content, key) {
        return Err(Rejected::Corrupt);
    }
    Ok(Opened {
        payload: bytes.slice(HEADER + generations.len()..),
        generations: generations.as_chunks().0.to_vec(),
        meta: Meta {
            created_ms: u64::from_le_bytes(field(header, 48)),
            spans: Spans {
                fresh: Duration::from_millis(u64::from_le_bytes(field(header, 56))),
                stale: Duration::from_millis(u64::from_le_bytes(field(header, 64))),
            },
            load_cost: Duration::from_millis(u64::from(u32::from_le_bytes(field(header, 72)))),
            codec_id,
        },
    })
}

/// A header without a value: an entry that holds only a lease.
pub(crate) fn only(identity: TypeIdentity, lease: &Lease) -> Bytes {
    let mut buffer = vec![0; HEADER];
    put(&mut buffer, 0, MAGIC);
    put(&mut buffer, 3, [FORMAT]);
    put(&mut buffer, 4, identity.to_u64().to_le_bytes());
    put_lease(&mut buffer, Some(lease));
    buffer.into()
}

/// The same entry with this lease or none.
pub(crate) fn with_lease(bytes: &Bytes, lease: Option<&Lease>) -> Bytes {
    let mut buffer = bytes.to_vec();
    put_lease(&mut buffer, lease);
    buffer.into()
}

/// The same entry, created then.
pub(crate) fn with_created(bytes: &Bytes, created_ms: u64) -> Bytes {
    let mut buffer = bytes.to_vec();
    put(&mut buffer, 48, created_ms.to_le_bytes());
    buffer.into()
}

fn put_lease(buffer: &mut [u8], lease: Option<&Lease>) {
    let (kind, token, deadline_ms) = lease.map_or((0, [0; 16], 0), |lease| {
        (lease.kind as u8, lease.token.0, lease.deadline_ms)
    });
    put(buffer, 12, [kind]);
    put(buffer, 16, token);
    put(buffer, 32, deadline_ms.to_le_bytes());
}

/// Whether this is an envelope of whatever type and format.
pub(crate) fn is_envelope(bytes: &Bytes) -> bool {
    header(bytes).is_some()
}

/// Whether this is an envelope of this type, in the format of this crate.
pub(crate) fn is_of(bytes: &Bytes, identity: TypeIdentity) -> bool {
    header(bytes).is_some_and(|header| {
        field(header, 3) == [FORMAT] && u64::from_le_bytes(field(header, 4)) == identity.to_u64()
    })
}

/// Whether the entry holds a value.
pub(crate) fn has_value(bytes: &Bytes) -> bool {
    header(bytes).is_some_and(|header| field::<1>(header, 13)[0] & VALUE_PRESENT != 0)
}

/// The lease in an envelope of whatever format, and the type it is for.
pub(crate) fn lease(bytes: &Bytes) -> Option<(TypeIdentity, Lease)> {
    let header = header(bytes)?;
    let kind = match field(header, 12) {
        [1] => LeaseKind::Load,
        [2] => LeaseKind::Intent,
        [3] => LeaseKind::Ended,
        _ => return None,
    };
    let lease = Lease {
        kind,
        token: Token(field(header, 16)),
        deadline_ms: u64::from_le_bytes(field(header, 32)),
    };
    let identity = TypeIdentity::from_u64(u64::from_le_bytes(field(header, 4)));
    Some((identity, lease))
}

/// What tells this version of the entry from others.
pub(crate) fn stamp(bytes: &Bytes) -> Option<Stamp> {
    header(bytes).map(|header| Stamp(field(header, 40)))
}

/// When the value was created, if there is one; 0: not stamped.
pub(crate) fn created(bytes: &Bytes) -> u64 {
    header(bytes).map_or(0, |header| u64::from_le_bytes(field(header, 48)))
}

/// How long the value may be served, if there is one.
pub(crate) fn spans(bytes: &Bytes) -> Option<Spans> {
    let header = header(bytes).filter(|_| has_value(bytes))?;
    let span = |at| Duration::from_millis(u64::from_le_bytes(field(header, at)));
    Some(Spans {
        fresh: span(56),
        stale: span(64),
    })
}

fn header(bytes: &Bytes) -> Option<&[u8; HEADER]> {
    bytes
        .first_chunk()
        .filter(|header| field(header, 0) == MAGIC)
}

/// Each part seeds the hash of the next, so that nothing moves from one into another; the lengths
/// are part of each hash.
fn check(header: &[u8; HEADER], content: &[u8], key: &str) -> u64 {
    let identity: [u8; 8] = field(header, 4);
    let flags: [u8; 3] = field(header, 13);
    let spans: [u8; 24] = field(header, 56);
    let mut fixed = [0; 35];
    put(&mut fixed, 0, identity);
    put(&mut fixed, 8, flags);
    put(&mut fixed, 11, spans);
    let hash = xxh3_64(key.as_bytes());
    let hash = xxh3_64_with_seed(&fixed, hash);
    xxh3_64_with_seed(content, hash)
}

/// Whole milliseconds, rounded up: a span of microseconds is not none at all.
fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Writes at a constant offset within a buffer that has room for a header.
fn put<const N: usize>(buffer: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = buffer.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}

/// Reads at a constant offset within a header.
fn field<const N: usize>(header: &[u8; HEADER], at: usize) -> [u8; N] {
    header
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

#[cfg(test)]
mod tests;
