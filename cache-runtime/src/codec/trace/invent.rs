//! Values for parts of a type that others follow.
//!
//! Which value to hand out is a choice, and the choices of one value are searched like a
//! combination lock: when one is refused, the last choice before the refusal is turned further.
//! A check stands right behind what it checks, so most are passed one at a time.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::Stop;

/// Texts that some checked type accepts; plain ones first.
const TEXTS: &[&str] = &[
    "",
    "a",
    "0",
    "1",
    "1970-01-01",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01 00:00:00",
    "1970-01-01 00:00:00 UTC",
    "1970-01-01T00:00:00+00:00[UTC]",
    "00:00:00",
    "00:00",
    "1970",
    "UTC",
    "+00:00",
    "PT0S",
    "1s",
    "00000000-0000-0000-0000-000000000000",
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "00000000000000000000000000",
    "127.0.0.1",
    "::1",
    "127.0.0.1:80",
    "[::1]:80",
    "10.0.0.0/8",
    "00:00:00:00:00:00",
    "http://localhost/",
    "localhost",
    "a@example.com",
    "+41446681800",
    "1.0",
    "1.0.0",
    ">=1.0.0",
    "EUR",
    "en",
    "en-US",
    "CH",
    "true",
    "A",
    "abc",
    "text/plain",
    "#000000",
    "/",
    "AAAA",
    "00",
    "000000000000000000000000",
    "0000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
];

const NUMBERS: &[i128] = &[
    0,
    1,
    2,
    10,
    100,
    1000,
    1970,
    86_400,
    1_000_000,
    1_700_000_000,
    -1,
];

const CHARS: &[char] = &['a', 'A', '0', ' '];

/// Lengths of checked byte strings: hashes, keys, addresses, identifiers.
const BYTES: &[usize] = &[0, 16, 1, 4, 6, 8, 12, 20, 24, 32, 33, 48, 64];

const ZEROS: [u8; 64] = [0; 64];

/// Nesting of invented values: enough for any that is not recursive without end.
const DEPTH: u8 = 32;

/// Parts of one invented value.
const PARTS: usize = 10_000;

/// Values tried for one part of a type.
const ATTEMPTS: usize = 4_000;

/// The choices of one value, in the order they are made.
#[derive(Debug, Clone, Default)]
pub(super) struct Choices {
    /// Each with the number of its alternatives.
    made: Vec<(usize, usize)>,
    /// Choices replayed or made in this attempt.
    used: usize,
    parts: usize,
    attempts: usize,
}

impl Choices {
    /// Invents a value of `seed` with these choices.
    pub(super) fn invent<'de, S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, Stop> {
        self.used = 0;
        self.parts = 0;
        seed.deserialize(Invent {
            choices: self,
            depth: DEPTH,
        })
    }

    /// Turns to the next combination after a refusal; false if there is none.
    pub(super) fn turn(&mut self) -> bool {
        self.attempts += 1;
        self.made.truncate(self.used);
        while let Some((choice, alternatives)) = self.made.pop() {
            if choice + 1 < alternatives {
                self.made.push((choice + 1, alternatives));
                return self.attempts < ATTEMPTS;
            }
        }
        false
    }

    fn choose(&mut self, alternatives: usize) -> Result<usize, Stop> {
        if alternatives == 0 {
            return Err(Stop);
        }
        let choice = match self.made.get(self.used) {
            Some((choice, _)) => *choice,
            None => {
                self.made.push((0, alternatives));
                0
            }
        };
        self.used += 1;
        Ok(choice)
    }

    fn among<T: Copy>(&mut self, candidates: &[T]) -> Result<T, Stop> {
        let choice = self.choose(candidates.len())?;
        candidates.get(choice).copied().ok_or(Stop)
    }
}

struct Invent<'c> {
    choices: &'c mut Choices,
    depth: u8,
}

impl Invent<'_> {
    fn deeper(&mut self) -> Result<Invent<'_>, Stop> {
        self.choices.parts += 1;
        match self.depth.checked_sub(1) {
            Some(depth) if self.choices.parts < PARTS => Ok(Invent {
                choices: self.choices,
                depth,
            }),
            _ => Err(Stop),
        }
    }

    fn number<N: TryFrom<i128>>(self) -> Result<N, Stop> {
        N::try_from(self.choices.among(NUMBERS)?).map_err(|_| Stop)
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            visitor.$visit(self.number()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Invent<'_> {
    type Error = Stop;

    numbers! {
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_bool(self.choices.among(&[false, true])?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_f32(self.choices.among(&[0.0, 1.0, 100.0, -1.0])?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_f64(self.choices.among(&[0.0, 1.0, 100.0, -1.0])?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_char(self.choices.among(CHARS)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_str(self.choices.among(TEXTS)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let length = self.choices.among(BYTES)?;
        visitor.visit_bytes(ZEROS.get(..length).unwrap_or_default())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        match self.choices.choose(2)? {
            0 => visitor.visit_none(),
            _ => visitor.visit_some(self.deeper()?),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self.deeper()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        let left = self.choices.choose(3)?;
        let value = self.deeper()?;
        visitor.visit_seq(Parts { value, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        mut self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let value = self.deeper()?;
        visitor.visit_seq(Parts { value, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        let left = self.choices.choose(2)?;
        let value = self.deeper()?;
        visitor.visit_map(Parts { value, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let index = self.choices.choose(variants.len())?;
        let value = self.deeper()?;
        visitor.visit_enum(Variant { value, index })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }
}

struct Parts<'c> {
    value: Invent<'c>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(self.value.deeper()?).map(Some)
    }
}

impl<'de> MapAccess<'de> for Parts<'_> {
    type Error = Stop;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self.value.deeper()?)
    }
}

struct Variant<'c> {
    value: Invent<'c>,
    index: usize,
}

impl<'de, 'c> EnumAccess<'de> for Variant<'c> {
    type Error = Stop;
    type Variant = Invent<'c>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Invent<'c>), Stop> {
        let index = u64::try_from(self.index).map_err(Stop::custom)?;
        let variant = seed.deserialize(IntoDeserializer::<Stop>::into_deserializer(index))?;
        Ok((variant, self.value))
    }
}

impl<'de> VariantAccess<'de> for Invent<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self.deeper()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}
