//! Caching as a one-line decision.

mod codec;
#[doc(hidden)]
pub mod envelope;

#[cfg(feature = "bincode")]
pub use codec::Bincode;
pub use codec::{
    Codec, CodecError, CodecErrorKind, Json, MessagePack, Postcard, TypeIdentity, type_identity,
};
#[doc(hidden)]
pub use codec::{codec_id, encode_checked};
