//! How values become bytes and back, and what tells the bytes of two types apart.
//!
//! ```text
//! Codec            one file per codec: message_pack · json · postcard · bincode
//! identity         64 bits that name (type, codec, format) and, for positional codecs, the structure
//! trace → shape    the structure of a type, seen through its `Deserialize`
//! guard            around every codec's serializer: what would not read back is refused
//! bounded          around every deserializer: garbage neither exhausts the stack nor the memory
//! ```

mod bounded;
mod error;
mod guard;
mod identity;
mod json;
mod message_pack;
mod postcard;
mod shape;
mod trace;

#[cfg(feature = "bincode")]
mod bincode;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
pub use self::error::{CodecError, CodecErrorKind};
pub(crate) use self::identity::codec_id;
pub use self::identity::{TypeIdentity, type_identity};
pub use self::json::Json;
pub use self::message_pack::MessagePack;
pub use self::postcard::Postcard;

/// Levels of nesting a stored value may have: structs, sequences, maps, `Some`, newtypes and enum
/// variants with content each count as one. Decoding recurses once per level on the caller's
/// stack, so this is what keeps hostile bytes from exhausting it; `encode` refuses deeper values,
/// as they would never be read back.
///
/// `serde_json` fixes the number: its own limit is 128, reached before the innermost level.
const DEPTH_LIMIT: u16 = 127;

/// A way to turn values into bytes and back.
///
/// The codecs of this crate are [`MessagePack`] (the default), [`Json`], [`Postcard`] and, with
/// the feature `bincode`, `Bincode`. Implement the trait to bring another one:
///
/// ```
/// use cache_runtime::{Codec, CodecError, CodecErrorKind};
/// use serde::{Serialize, de::DeserializeOwned};
///
/// struct PrettyJson;
///
/// impl Codec for PrettyJson {
///     const NAME: &'static str = "PrettyJson";
///
///     fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         serde_json::to_writer_pretty(out, value)
///             .map_err(|error| CodecError::new(CodecErrorKind::Encode, Self::NAME, error.to_string()))
///     }
///
///     fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
///         serde_json::from_slice(bytes)
///             .map_err(|error| CodecError::new(CodecErrorKind::Decode, Self::NAME, error.to_string()))
///     }
/// }
///
/// let mut bytes = Vec::new();
/// PrettyJson::encode(&[1, 2], &mut bytes)?;
/// assert_eq!(PrettyJson::decode::<Vec<u8>>(&bytes)?, [1, 2]);
/// # Ok::<(), CodecError>(())
/// ```
pub trait Codec: 'static {
    /// Part of the type identity: entries written by a codec of another name are never decoded by
    /// this one. Change it when the bytes change.
    const NAME: &'static str;

    /// Whether fields are told apart by position only. The type identity then holds a fingerprint
    /// of the type's structure, and types whose structure cannot be seen are refused.
    const POSITIONAL: bool = false;

    /// Appends `value` to `out`, which holds the envelope's header already.
    ///
    /// # Errors
    ///
    /// [`CodecErrorKind::Unfaithful`] if the bytes would not decode to an equal value,
    /// [`CodecErrorKind::Encode`] if there are none. What `out` holds after its first part is
    /// then unspecified; the codecs of this crate leave it as it was.
    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads a value back from all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`CodecErrorKind::Decode`] for anything that is not exactly one encoded `T`, bytes left
    /// over included.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError>;
}

/// Appends `value` to `out` like [`Codec::encode`], then decodes it once, so that a type whose
/// `Deserialize` cannot read what its `Serialize` wrote is noticed now and not at every hit.
///
/// It may also read something else: the first variant of an untagged type that fits. So what was
/// read is written once more, and has to give the same bytes, but for their order, which hash maps
/// do not keep. Codecs of users may compress, and are not compared.
///
/// What a codec sees of a value while writing does not tell everything: serde buffers what it
/// reads inside `flatten`, untagged and internally tagged types in a form without 128-bit
/// integers, and in JSON with text for all keys of maps.
///
/// # Errors
///
/// As [`Codec::encode`]; [`CodecErrorKind::Unfaithful`] if decoding fails. `out` may then hold the
/// useless bytes.
pub(crate) fn encode_checked<T: Serialize + DeserializeOwned, C: Codec>(
    value: &T,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = out.len();
    C::encode(value, out)?;
    let written = out.get(start..).unwrap_or_default();
    match C::decode::<T>(written) {
        Ok(read) if codec_id::<C>() == 0 || is_written_as::<T, C>(&read, written) => Ok(()),
        Ok(_) => Err(CodecError::new(
            CodecErrorKind::Unfaithful,
            C::NAME,
            "its `Deserialize` reads another value than its `Serialize` wrote: where a variant of \
             an untagged type also fits the values of a later one, name the variants (remove \
             `#[serde(untagged)]`) or put the later one first",
        )),
        Err(error) => Err(CodecError::new(
            CodecErrorKind::Unfaithful,
            C::NAME,
            format!(
                "its `Deserialize` does not read what its `Serialize` wrote ({error}): keep 128-bit \
                 integers, and with `codec = Json` maps whose keys are not text, out of `flatten`, \
                 untagged and internally tagged types, or store them as text"
            ),
        )),
    }
}

/// Whether `value` is written as these bytes, in whatever order.
fn is_written_as<T: Serialize, C: Codec>(value: &T, bytes: &[u8]) -> bool {
    let count = |bytes: &[u8]| {
        let mut counts = [0_usize; 256];
        for byte in bytes {
            if let Some(count) = counts.get_mut(usize::from(*byte)) {
                *count += 1;
            }
        }
        counts
    };
    let mut again = Vec::with_capacity(bytes.len());
    C::encode(value, &mut again).is_ok() && (again == bytes || count(&again) == count(bytes))
}
