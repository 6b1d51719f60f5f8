//! What is stored around a payload.
use crate::codec::TypeIdentity;
use bytes::Bytes;
use std::time::Duration;
pub(crate) const HEADER_LEN: usize = 80;
#[derive(Debug, Default)]
pub(crate) struct Spans {
    pub(crate) fresh: Duration,
    pub(crate) stale: Duration,
}
#[derive(Debug, Default)]
pub(crate) struct Meta {
    pub(crate) spans: Spans,
}
pub(crate) struct Opened {
    pub(crate) payload: Bytes,
}
/// Why bytes are not an intact entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejected {
    Truncated,
    Foreign,
    FutureFormat(u8),
    OtherType,
    NoValue,
    Corrupt,
}
pub(crate) fn start() -> Vec<u8> {
    vec![0; HEADER_LEN]
}
pub(crate) fn seal(mut b: Vec<u8>, _key: &str, id: TypeIdentity, _m: &Meta) -> Bytes {
    b[4..12].copy_from_slice(&id.to_u64().to_le_bytes());
    b.into()
}
pub(crate) fn open(b: &Bytes, _key: &str, id: TypeIdentity) -> Result<Opened, Rejected> {
    if b.len() < HEADER_LEN {
        return Err(Rejected::Truncated);
    }
    if b[4..12] != id.to_u64().to_le_bytes() {
        return Err(Rejected::OtherType);
    }
    Ok(Opened {
        payload: b.slice(HEADER_LEN..),
    })
}
