//! How values become bytes.
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// A way to encode values.
pub trait Codec: 'static {
    /// Part of the type identity.
    const NAME: &'static str;
    /// Whether fields are found by position.
    const POSITIONAL: bool = false;
    /// Appends the encoded value.
    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Decodes all of `bytes`.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError>;
}

/// Why a codec refused.
#[derive(Debug, Clone)]
pub struct CodecError(String);
impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for CodecError {}

/// MessagePack with field names.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessagePack;
/// JSON.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl Codec for MessagePack {
    const NAME: &'static str = "MessagePack";
    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        rmp_serde::encode::write_named(out, value).map_err(|e| CodecError(e.to_string()))
    }
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        rmp_serde::from_slice(bytes).map_err(|e| CodecError(e.to_string()))
    }
}
impl Codec for Json {
    const NAME: &'static str = "Json";
    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(out, value).map_err(|e| CodecError(e.to_string()))
    }
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|e| CodecError(e.to_string()))
    }
}

/// What tells value types apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeIdentity(u64);
impl TypeIdentity {
    pub(crate) fn from_u64(n: u64) -> Self {
        Self(n)
    }
    pub(crate) fn to_u64(self) -> u64 {
        self.0
    }
}
pub(crate) fn type_identity<T: DeserializeOwned + 'static, C: Codec>()
-> Result<TypeIdentity, CodecError> {
    let name = format!("{}/{}", std::any::type_name::<T>(), C::NAME);
    Ok(TypeIdentity(xxhash_rust::xxh3::xxh3_64(name.as_bytes())))
}
