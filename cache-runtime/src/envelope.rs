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
//! | 12 | lease kind: 0 none, 1 load lease, 2 write intent, 3 ended without a value | no |
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

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::codec::TypeIdentity;

/// The format this crate writes. It is part of every type identity.
pub(crate) const FORMAT: u8 = 1;

pub(crate) const MAGIC: [u8; 3] = *b"CRE";
pub(crate) const HEADER: usize = 80;
/// Magic, format and type identity.
pub(crate) const PREFIX: usize = 12;
const GENERATION: usize = 16;
const VALUE_PRESENT: u8 = 1;

pub(crate) type Header = [u8; HEADER];

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

impl Meta {
    /// What may be done with the value at a time of the server's clock.
    #[must_use]
    pub fn age(&self, now_ms: u64) -> Age {
        if self.created_ms == 0 {
            return Age::Fresh {
                left: Duration::MAX,
            };
        }
        let stales = self
            .created_ms
            .saturating_add(milliseconds(self.spans.fresh));
        let dies = stales.saturating_add(milliseconds(self.spans.stale));
        if now_ms < stales {
            Age::Fresh {
                left: Duration::from_millis(stales - now_ms),
            }
        } else if now_ms < dies {
            Age::Stale {
                by: Duration::from_millis(now_ms - stales),
            }
        } else {
            Age::Dead
        }
    }
}

/// How old a value is, compared with its spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It may be served.
    Fresh {
        /// For this long; [`Duration::MAX`] if it was not stamped and lives as long as its key.
        left: Duration,
    },
    /// It may be served while, or if, a load cannot help.
    Stale {
        /// How long it has been so.
        by: Duration,
    },
    /// It may not be served.
    Dead,
}

/// A number of the caller's own, by which it knows its lease again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub(crate) [u8; 16]);

impl Token {
    /// A token that no other call gives, in this process or another.
    #[must_use]
    pub fn random() -> Self {
        // Keyed by the operating system's randomness, once per process.
        static HASHERS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        static COUNTER: AtomicU64 = AtomicU64::new(0);

        // A forked process has the keys and the counter of its parent, but not the number; a machine
        // restored from a snapshot has all three, at another time.
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let unique = (std::process::id(), number, SystemTime::now());
        let [low, high] = HASHERS.each_ref().map(|hasher| hasher.hash_one(unique));
        let token = u128::from(high) << 64 | u128::from(low);
        Self(token.to_le_bytes())
    }
}

/// What the header of an entry says about who works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub kind: LeaseKind,
    /// Whose it is.
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

impl LeaseKind {
    /// The kind of a byte in a header; none for 0 and what newer formats may add.
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Load),
            2 => Some(Self::Intent),
            3 => Some(Self::Ended),
            _ => None,
        }
    }

    pub(crate) fn to_byte(self) -> u8 {
        match self {
            Self::Load => 1,
            Self::Intent => 2,
            Self::Ended => 3,
        }
    }
}

/// Tells one version of an entry from the next: its check and its creation, bytes 40..56.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(pub(crate) [u8; 16]);

/// The generation of one tag when the load began: random, and another one after each invalidation.
pub type Generation = [u8; GENERATION];

/// An envelope that holds the value of the right key and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// To the end of the envelope.
    pub payload: &'a [u8],
    /// Generations of the value's tags, in the order of the tags.
    pub generations: &'a [Generation],
    /// The rest of the header.
    pub meta: Meta,
    /// Who works on the entry, or did; the deadline may be over.
    pub lease: Option<Lease>,
    /// Tells this version of the entry from others.
    pub stamp: Stamp,
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
    vec![0; HEADER]
}

/// Puts the generations of the value's tags, at most `u16::MAX` of them, between the header and
/// the payload of a `buffer` from [`start`]. They are known only after the value is encoded.
pub fn tag(buffer: &mut Vec<u8>, generations: &[Generation]) {
    let generations = generations
        .get(..usize::from(u16::MAX))
        .unwrap_or(generations);
    if !generations.is_empty() && buffer.len() >= HEADER {
        put(buffer, 76, (generations.len() as u16).to_le_bytes());
        let bytes = generations.as_flattened().iter().copied();
        buffer.splice(HEADER..HEADER, bytes);
    }
}

/// Fills in the header of a `buffer` from [`start`] with the payload behind.
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
pub fn open<'a>(
    bytes: &'a [u8],
    key: &str,
    identity: TypeIdentity,
) -> Result<Opened<'a>, Rejected> {
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
    if !has_value(header) {
        return Err(Rejected::NoValue);
    }
    let tags = usize::from(u16::from_le_bytes(field(header, 76)));
    let Some((generations, payload)) = content.split_at_checked(tags * GENERATION) else {
        return Err(Rejected::Truncated);
    };
    if u64::from_le_bytes(field(header, 40)) != check(header, content, key) {
        return Err(Rejected::Corrupt);
    }
    Ok(Opened {
        payload,
        generations: generations.as_chunks().0,
        meta: meta(header),
        lease: lease_of(header),
        stamp: stamp_of(header),
    })
}

/// The type and the lease of an entry of any format, with a value or without; whether the lease
/// still stands is for the deadline to say.
#[must_use]
pub fn lease(bytes: &[u8]) -> Option<(TypeIdentity, Lease)> {
    let header = header(bytes)?;
    Some((identity(header), lease_of(header)?))
}

/// The stamp of the value in `bytes`, sound or not; none if they hold no value of this format.
#[must_use]
pub fn stamp(bytes: &[u8]) -> Option<Stamp> {
    let header = header(bytes)?;
    (field(header, 3) == [FORMAT] && has_value(header)).then(|| stamp_of(header))
}

/// The header of an envelope of any format.
pub(crate) fn header(bytes: &[u8]) -> Option<&Header> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    (field(header, 0) == MAGIC).then_some(header)
}

/// What all entries of this format and one type begin with.
pub(crate) fn prefix(identity: TypeIdentity) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    put(&mut prefix, 0, MAGIC);
    put(&mut prefix, 3, [FORMAT]);
    put(&mut prefix, 4, identity.to_u64().to_le_bytes());
    prefix
}

/// The type that an entry of any format is for.
pub(crate) fn identity(header: &Header) -> TypeIdentity {
    TypeIdentity::from_u64(u64::from_le_bytes(field(header, 4)))
}

/// An entry that holds nothing but a lease.
pub(crate) fn only_lease(identity: TypeIdentity, lease: &Lease) -> Header {
    let mut header = [0; HEADER];
    put(&mut header, 0, prefix(identity));
    put_lease(&mut header, Some(lease));
    header
}

/// Whether an entry of any format has a value, as opposed to a lease alone.
pub(crate) fn has_value(header: &Header) -> bool {
    let [flags] = field(header, 13);
    flags & VALUE_PRESENT != 0
}

pub(crate) fn meta(header: &Header) -> Meta {
    let [codec_id] = field(header, 14);
    Meta {
        created_ms: u64::from_le_bytes(field(header, 48)),
        spans: Spans {
            fresh: Duration::from_millis(u64::from_le_bytes(field(header, 56))),
            stale: Duration::from_millis(u64::from_le_bytes(field(header, 64))),
        },
        load_cost: Duration::from_millis(u64::from(u32::from_le_bytes(field(header, 72)))),
        codec_id,
    }
}

pub(crate) fn stamp_of(header: &Header) -> Stamp {
    Stamp(field(header, 40))
}

pub(crate) fn lease_of(header: &Header) -> Option<Lease> {
    let [kind] = field(header, 12);
    Some(Lease {
        kind: LeaseKind::from_byte(kind)?,
        token: Token(field(header, 16)),
        deadline_ms: u64::from_le_bytes(field(header, 32)),
    })
}

/// Replaces the lease and nothing else.
pub(crate) fn put_lease(header: &mut Header, lease: Option<&Lease>) {
    put(header, 12, [lease.map_or(0, |lease| lease.kind.to_byte())]);
    put(header, 16, lease.map_or([0; 16], |lease| lease.token.0));
    let deadline_ms = lease.map_or(0, |lease| lease.deadline_ms);
    put(header, 32, deadline_ms.to_le_bytes());
}

/// What of an envelope is before and after the time of its creation, which the store stamps; none
/// if it is no envelope.
pub(crate) fn around_creation(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    header(bytes)?;
    Some((bytes.get(..48)?, bytes.get(56..)?))
}

/// Stamps the creation.
pub(crate) fn put_created(header: &mut Header, created_ms: u64) {
    put(header, 48, created_ms.to_le_bytes());
}

/// Each part seeds the hash of the next, so that nothing moves from one into another; the lengths
/// are part of each hash.
fn check(header: &Header, content: &[u8], key: &str) -> u64 {
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
fn field<const N: usize>(header: &Header, at: usize) -> [u8; N] {
    header
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

#[cfg(test)]
mod tests;
