//! One value of serde's data model, as text.

use super::items::Items;
use super::render;
use super::unordered::Order;
use crate::key::escape::{Context, Escaped};
use crate::key::{KeyError, secret};
use serde::{Serialize, Serializer};
use std::fmt::{self, Write};

/// Words with a meaning of their own, which texts must not be taken for.
const WORDS: [&str; 9] = [
    "true", "false", "none", "some", "bytes", "secret", "NaN", "inf", "-inf",
];

/// Writes one value to the end of a key.
pub(super) struct ValueSerializer<'a> {
    pub(super) key: &'a mut String,
    pub(super) order: Order,
}

impl<'a> ValueSerializer<'a> {
    fn plain(self, value: impl fmt::Display) -> Result<(), KeyError> {
        write!(self.key, "{value}").map_err(|fmt::Error| KeyError::Format)
    }

    fn call<T: Serialize + ?Sized>(self, name: &str, value: &T) -> Result<(), KeyError> {
        self.key.push_str(name);
        self.key.push('(');
        render(value, self.key)?;
        self.key.push(')');
        Ok(())
    }
}

/// Appends an escaped string, marked with `'` where it could be read as something else.
pub(super) fn push_text(key: &mut String, text: impl fmt::Display) -> Result<(), KeyError> {
    let start = key.len();
    write!(Escaped::new(key, Context::Argument), "{text}")
        .map_err(|fmt::Error| KeyError::Format)?;
    // Escapes neither add nor remove the characters that decide this.
    if needs_mark(key.get(start..).unwrap_or_default()) {
        key.insert(start, '\'');
    }
    Ok(())
}

fn needs_mark(text: &str) -> bool {
    match text.as_bytes().first() {
        None | Some(b'\'') => true,
        Some(b'0'..=b'9' | b'-') if is_made_of_number_characters(text) => true,
        Some(_) => WORDS.contains(&text),
    }
}

fn is_made_of_number_characters(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.' | b'e'))
}

impl<'a> Serializer for ValueSerializer<'a> {
    type Ok = ();
    type Error = KeyError;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_i8(self, value: i8) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_i128(self, value: i128) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), KeyError> {
        self.plain(value)
    }

    fn serialize_u128(self, value: u128) -> Result<(), KeyError> {
        self.plain(value)
    }

    // `Debug` of a float always has a point, an exponent or letters: never the text of an integer.
    fn serialize_f32(self, value: f32) -> Result<(), KeyError> {
        self.plain(format_args!("{value:?}"))
    }

    fn serialize_f64(self, value: f64) -> Result<(), KeyError> {
        self.plain(format_args!("{value:?}"))
    }

    fn serialize_char(self, value: char) -> Result<(), KeyError> {
        push_text(self.key, value)
    }

    fn serialize_str(self, value: &str) -> Result<(), KeyError> {
        push_text(self.key, value)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), KeyError> {
        push_text(self.key, value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), KeyError> {
        self.key.push_str("bytes(");
        for byte in value {
            write!(self.key, "{byte:02x}").map_err(|fmt::Error| KeyError::Format)?;
        }
        self.key.push(')');
        Ok(())
    }

    fn serialize_none(self) -> Result<(), KeyError> {
        self.plain("none")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), KeyError> {
        self.call("some", value)
    }

    fn serialize_unit(self) -> Result<(), KeyError> {
        self.plain("()")
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), KeyError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _enum: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), KeyError> {
        push_text(self.key, variant)?;
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), KeyError> {
        if name == secret::NAME {
            self.call("secret", value)
        } else {
            render(value, self.key)
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _enum: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), KeyError> {
        push_text(self.key, variant)?;
        self.call("", value)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Items<'a>, KeyError> {
        Ok(Items::bracketed(self.key, self.order))
    }

    fn serialize_tuple(self, _len: usize) -> Result<Items<'a>, KeyError> {
        Ok(Items::parenthesized(self.key))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Items<'a>, KeyError> {
        Ok(Items::parenthesized(self.key))
    }

    fn serialize_tuple_variant(
        self,
        _enum: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Items<'a>, KeyError> {
        push_text(self.key, variant)?;
        Ok(Items::parenthesized(self.key))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Items<'a>, KeyError> {
        Ok(Items::bracketed(self.key, self.order))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Items<'a>, KeyError> {
        Ok(Items::parenthesized(self.key))
    }

    fn serialize_struct_variant(
        self,
        _enum: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Items<'a>, KeyError> {
        push_text(self.key, variant)?;
        Ok(Items::parenthesized(self.key))
    }
}
