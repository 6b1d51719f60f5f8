//! The arguments of a default key, as text.
//!
//! # Grammar
//!
//! ```text
//! value    = number | "true" | "false" | text | "none" | "some(" value ")"
//!          | "bytes(" hex ")" | "secret(" value ")"
//!          | "[" values "]"  | "[" entries "]"  | "[=]"         sequence, map, empty map
//!          | tuple | struct | text tuple | text struct          the last two: enum variants
//!          | text "(" value ")"                                 variant with one unnamed value
//! tuple    = "()" | "(,)" | "(" value ",)" | "(" value "," values ")"
//! struct   = "(=)" | "(" text "=" value { "," text "=" value } ")"
//! values   = [ value { "," value } ]
//! entries  = value "=" value { "," value "=" value }
//! ```
//!
//! | argument | text |
//! | --- | --- |
//! | `42`, `-1.5`, `true` | `42`, `-1.5`, `true` |
//! | `"Paris"`, `'x'` | `Paris`, `x` |
//! | `"a b"`, `"x:y"` | `a%20b`, `x%3Ay` |
//! | `""`, `"42"`, `"none"` | `'`, `'42`, `'none` |
//! | `None`, `Some(3)`, `Some("")` | `none`, `some(3)`, `some(')` |
//! | `()`, `(1, 2)`, `(1,)`, `[0u8; 0]` | `()`, `(1,2)`, `(1,)`, `(,)` |
//! | `vec![1, 2]` | `[1,2]` |
//! | `Page { city: "Rome", number: 2 }` | `(city=Rome,number=2)` |
//! | `Shape::Unit`, `Shape::Circle(5)`, `Shape::Box { w: 1 }` | `Unit()`, `Circle(5)`, `Box(w=1)` |
//! | a map, a `HashSet` | `[a=1,b=2]`, `[1,2]` |
//!
//! A *text* is escaped: the punctuation `()[],=` as well as `%`, `:`, `{`, `}`, whitespace and
//! control characters never stand in it. It is written with a leading `'` if without one it would
//! be empty, be a word of the grammar (`true`, `none`, `NaN`, …), begin with `'` itself, or look
//! like a number.
//!
//! # Why it is injective
//!
//! The grammar can be read back with one character of look-ahead; the tests hold a reader that
//! does so. A value ends at the first punctuation character outside its brackets, because texts and
//! numbers contain none. What kind it is shows in its first characters: a bracket, a word of the
//! grammar, a number, or a text, and texts that could be taken for one of the others carry a `'`.
//! Inside brackets the first separator tells a struct or map (`=`) from a tuple or sequence
//! (`,` or the end), and the empty forms are spelled differently. A value never contains `:`
//! and is never empty, so the `:` before each argument separates argument lists. Hence different
//! values render differently, **also across types**, as far as they differ in serde's data model,
//! with these kinds taken as one on purpose:
//!
//! * numbers are their value: `1u8` is `1i64`, but not `1.0` and not `"1"`. Floats are written in
//!   the shortest form that reads back, so `-0.0` is not `0.0`; every NaN is `NaN`;
//! * a `char` is a string, `&T` is `T`, a newtype struct is its content, and struct names are left
//!   out (field names and variant names are not, so fields swapped between deploys do not meet);
//! * what a type's own `Serialize` does not write (`#[serde(skip)]`, untagged variants with the same
//!   content) cannot be told apart by anyone; such a type needs a key template.
//!
//! # Order
//!
//! Struct fields come in the order of their declaration, sequences and maps in the order they
//! are serialized. `HashMap` and `HashSet` have no stable order: they are recognised by their
//! type's name, at any depth, and their rendered entries are sorted, so equal ones render
//! alike. Other maps keep their order, because it may mean something to the function; a
//! hash map hidden behind `#[serde(flatten)]`, `transparent` or `with` is not recognised and
//! then only costs misses, never a wrong hit.

mod items;
mod unordered;
mod value;

#[cfg(test)]
mod reader;
#[cfg(test)]
mod tests;

use super::KeyError;
use serde::Serialize;

/// Appends the text of `value` to `key`.
pub(super) fn render<T: Serialize + ?Sized>(value: &T, key: &mut String) -> Result<(), KeyError> {
    let order = unordered::order_of::<T>();
    value.serialize(value::ValueSerializer { key, order })
}
