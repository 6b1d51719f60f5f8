//! bincode 2, for those who have it already.

use bincode::config::{self, Configuration};
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer};
use std::marker::PhantomData;

use super::bounded::Bounded;
use super::guard::{Refusals, Rules};
use super::{Codec, CodecError, CodecErrorKind, identity};

/// bincode 2 in its standard configuration: positional, with the same limits as
/// [`Postcard`](super::Postcard), which is the one to choose unless bincode is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bincode;

const CONFIG: Configuration = config::standard();

impl Codec for Bincode {
    const NAME: &'static str = "Bincode";
    const POSITIONAL: bool = true;

    fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let shape = identity::known_shape::<T>();
        let rules = Rules {
            positional: true,
            shape: shape.as_deref(),
            ..Rules::new(Self::NAME)
        };
        Refusals::around(&rules, value, out, |value, out| {
            bincode::serde::encode_into_std_write(value, out, CONFIG)
        })
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let seed = BoundedSeed {
            length: bytes.len(),
            value: PhantomData,
        };
        match bincode::serde::seed_decode_from_slice(seed, bytes, CONFIG) {
            Ok((value, read)) if read == bytes.len() => Ok(value),
            Ok(_) => Err(decode_error("bytes are left over")),
            // The text of this error holds whatever the type's `Deserialize` said.
            Err(DecodeError::OtherString(detail)) => Err(decode_error(detail)),
            Err(error) => Err(decode_error(error.to_string())),
        }
    }
}

fn decode_error(detail: impl Into<std::borrow::Cow<'static, str>>) -> CodecError {
    CodecError::new(CodecErrorKind::Decode, Bincode::NAME, detail)
}

/// Puts [`Bounded`] around the deserializer, which bincode hands to nothing but a seed.
struct BoundedSeed<T> {
    length: usize,
    value: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for BoundedSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(Bounded::new(deserializer, self.length))
    }
}
