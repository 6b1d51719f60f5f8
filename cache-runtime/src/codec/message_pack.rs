//! The default codec.

use rmp_serde::decode::Error;
use rmp_serde::{Deserializer, Serializer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounded::Bounded;
use super::guard::{Refusals, Rules};
use super::{Codec, CodecError, CodecErrorKind, DEPTH_LIMIT};

/// MessagePack with field names, the default: compact, and a struct whose fields were reordered,
/// removed or given a `#[serde(default)]` still reads what was stored before.
///
/// Types that serialize differently for people and for machines (IP addresses, UUIDs) use the
/// form for people. Inside `flatten`, untagged and internally tagged types serde always *reads*
/// that form, so anything else written there would not read back.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessagePack;

impl Codec for MessagePack {
    const NAME: &'static str = "MessagePack";

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let rules = Rules {
            null_is_none: true,
            ..Rules::new(Self::NAME)
        };
        Refusals::around(&rules, value, out, |value, out| {
            let mut serializer = Serializer::new(out).with_struct_map().with_human_readable();
            value.serialize(&mut serializer)
        })
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let mut deserializer = Deserializer::from_read_ref(bytes).with_human_readable();
        // The limit inside rmp-serde does not see enum variants; `Bounded` does.
        deserializer.set_max_depth(usize::from(DEPTH_LIMIT) + 1);
        let value = T::deserialize(Bounded::new(&mut deserializer, bytes.len()))
            .map_err(|error| decode_error(error.to_string()))?;
        // Nothing else tells how much was read: with nothing left, the next marker is missing.
        match bool::deserialize(&mut deserializer) {
            Err(Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(decode_error("bytes are left over")),
        }
    }
}

fn decode_error(detail: impl Into<std::borrow::Cow<'static, str>>) -> CodecError {
    CodecError::new(CodecErrorKind::Decode, MessagePack::NAME, detail)
}
