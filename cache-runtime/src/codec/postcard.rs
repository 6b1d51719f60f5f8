//! The smallest positional codec.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bounded::Bounded;
use super::guard::{Refusals, Rules};
use super::{Codec, CodecError, CodecErrorKind, identity};

/// Postcard: no field names, the smallest and fastest. Positional, so a deploy that changes the
/// structure of the type begins with misses, and types with `flatten`, untagged or internally
/// tagged enums, `serde_json::Value` or fields that are sometimes skipped are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Postcard;

impl Codec for Postcard {
    const NAME: &'static str = "Postcard";
    const POSITIONAL: bool = true;

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let shape = identity::known_shape::<T>();
        let rules = Rules {
            positional: true,
            shape: shape.as_deref(),
            ..Rules::new(Self::NAME)
        };
        Refusals::around(&rules, value, out, |value, out| {
            postcard::serialize_with_flavor(&value, Append(out))
        })
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let mut deserializer = postcard::Deserializer::from_bytes(bytes);
        let value = T::deserialize(Bounded::new(&mut deserializer, bytes.len()))
            .map_err(|error| decode_error(error.to_string()))?;
        match deserializer.finalize() {
            Ok([]) => Ok(value),
            _ => Err(decode_error("bytes are left over")),
        }
    }
}

fn decode_error(detail: impl Into<std::borrow::Cow<'static, str>>) -> CodecError {
    CodecError::new(CodecErrorKind::Decode, Postcard::NAME, detail)
}

/// Appends to a vector that is not ours; postcard's own flavors begin an empty one.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
