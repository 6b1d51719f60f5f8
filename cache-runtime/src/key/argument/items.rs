//! What stands in brackets: sequences, tuples, maps and structs.

use super::render;
use super::unordered::Order;
use super::value::push_text;
use crate::key::KeyError;
use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

/// The entries of one collection, written as they come.
pub(super) struct Items<'a> {
    key: &'a mut String,
    written: usize,
    /// Where the text of each entry begins, kept only if they are to be sorted.
    starts: Option<Vec<usize>>,
}

impl<'a> Items<'a> {
    /// `[…]`: sequences and maps.
    pub(super) fn bracketed(key: &'a mut String, order: Order) -> Self {
        Self::open(key, '[', order)
    }

    /// `(…)`: tuples and structs.
    pub(super) fn parenthesized(key: &'a mut String) -> Self {
        Self::open(key, '(', Order::Kept)
    }

    fn open(key: &'a mut String, bracket: char, order: Order) -> Self {
        key.push(bracket);
        Self {
            key,
            written: 0,
            starts: (order == Order::Sorted).then(Vec::new),
        }
    }

    fn next(&mut self) {
        if self.written > 0 {
            self.key.push(',');
        }
        self.written += 1;
        if let Some(starts) = &mut self.starts {
            starts.push(self.key.len());
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), KeyError> {
        self.next();
        render(value, self.key)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), KeyError> {
        self.next();
        push_text(self.key, name)?;
        self.key.push('=');
        render(value, self.key)
    }

    fn close_sequence(mut self) {
        self.sort();
        self.key.push(']');
    }

    fn close_map(mut self) {
        self.sort();
        self.key
            .push_str(if self.written == 0 { "=]" } else { "]" });
    }

    /// `()` is the unit and `(x)` a variant's only value, so these two get a comma, as in Rust.
    fn close_tuple(self) {
        self.key.push_str(if self.written < 2 { ",)" } else { ")" });
    }

    fn close_fields(self) {
        self.key
            .push_str(if self.written == 0 { "=)" } else { ")" });
    }

    fn sort(&mut self) {
        let Some(starts) = self.starts.take() else {
            return;
        };
        let Some(&first) = starts.first() else {
            return;
        };
        // An entry ends before the comma in front of the next one.
        let ends = starts.iter().skip(1).map(|next| next.saturating_sub(1));
        let mut entries: Vec<&str> = starts
            .iter()
            .zip(ends.chain([self.key.len()]))
            .filter_map(|(&start, end)| self.key.get(start..end))
            .collect();
        if !entries.is_sorted() {
            entries.sort_unstable();
            let sorted = entries.join(",");
            self.key.truncate(first);
            self.key.push_str(&sorted);
        }
    }
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = KeyError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), KeyError> {
        self.item(value)
    }

    fn end(self) -> Result<(), KeyError> {
        self.close_sequence();
        Ok(())
    }
}

impl SerializeTuple for Items<'_> {
    type Ok = ();
    type Error = KeyError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), KeyError> {
        self.item(value)
    }

    fn end(self) -> Result<(), KeyError> {
        self.close_tuple();
        Ok(())
    }
}

impl SerializeTupleStruct for Items<'_> {
    type Ok = ();
    type Error = KeyError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), KeyError> {
        self.item(value)
    }

    fn end(self) -> Result<(), KeyError> {
        self.close_tuple();
        Ok(())
    }
}

impl SerializeTupleVariant for Items<'_> {
    type Ok = ();
    type Error = KeyError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), KeyError> {
        self.item(value)
    }

    fn end(self) -> Result<(), KeyError> {
        self.close_tuple();
        Ok(())
    }
}

impl SerializeMap for Items<'_> {
    type Ok = ();
    type Error = KeyError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), KeyError> {
        self.item(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), KeyError> {
        self.key.push('=');
        render(value, self.key)
    }

    fn end(self) -> Result<(), KeyError> {
        self.close_map();
        Ok(())
    }
}

impl SerializeStruct for Items<'_> {
    type Ok = ();
    type Error = KeyError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), KeyError> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), KeyError> {
        self.close_fields();
        Ok(())
    }
}

impl SerializeStructVariant for Items<'_> {
    type Ok = ();
    type Error = KeyError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), KeyError> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), KeyError> {
        self.close_fields();
        Ok(())
    }
}
