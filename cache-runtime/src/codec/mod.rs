//! Codecs.

/// A value that could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[error("the value cannot be encoded")]
pub struct CodecError;
