//! Reads the text of an argument back, which is the proof that the grammar is unambiguous.

use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

/// One value of serde's data model, without the distinctions the grammar gives up on purpose.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Bool(bool),
    Integer(i128),
    /// By its bits: `-0.0` is not `0.0`, and NaN equals itself.
    Float(u64),
    Text(String),
    Bytes(Vec<u8>),
    None,
    Some(Box<Node>),
    Unit,
    Sequence(Vec<Node>),
    Tuple(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Struct(Vec<(&'static str, Node)>),
    UnitVariant(&'static str),
    NewtypeVariant(&'static str, Box<Node>),
    TupleVariant(&'static str, Vec<Node>),
    StructVariant(&'static str, Vec<(&'static str, Node)>),
}

/// Names of fields and variants: ordinary ones, and ones that serde's `rename` makes possible.
pub(super) const NAMES: [&str; 14] = [
    "a", "b", "city", "Circle", "some", "none", "bytes", "secret", "true", "1", "", "'", "a=b",
    "f(x,y)",
];

/// The value whose text this is; `None` if there is none.
pub(super) fn read(text: &str) -> Option<Node> {
    let mut reader = Reader { rest: text };
    let node = reader.value()?;
    reader.rest.is_empty().then_some(node)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, expected: &str) -> bool {
        self.rest
            .strip_prefix(expected)
            .map(|rest| self.rest = rest)
            .is_some()
    }

    fn expect(&mut self, expected: &str) -> Option<()> {
        self.take(expected).then_some(())
    }

    /// Up to the next punctuation.
    fn word(&mut self) -> &'a str {
        let end = self
            .rest
            .find(['(', ')', '[', ']', ',', '='])
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn value(&mut self) -> Option<Node> {
        if self.take("[") {
            return self.bracketed();
        }
        if self.rest.starts_with('(') {
            return self.parenthesized(None);
        }
        let word = self.word();
        match word {
            "true" => Some(Node::Bool(true)),
            "false" => Some(Node::Bool(false)),
            "none" => Some(Node::None),
            "NaN" => Some(Node::Float(f64::NAN.to_bits())),
            "inf" => Some(Node::Float(f64::INFINITY.to_bits())),
            "-inf" => Some(Node::Float(f64::NEG_INFINITY.to_bits())),
            "some" => {
                self.expect("(")?;
                let inner = self.value()?;
                self.expect(")")?;
                Some(Node::Some(Box::new(inner)))
            }
            "bytes" => {
                self.expect("(")?;
                let digits = self.word();
                self.expect(")")?;
                let bytes = (0..digits.len()).step_by(2);
                bytes
                    .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
                    .collect::<Option<_>>()
                    .map(Node::Bytes)
            }
            _ => self.number_or_text(word),
        }
    }

    fn number_or_text(&mut self, word: &str) -> Option<Node> {
        if let Ok(integer) = word.parse() {
            return Some(Node::Integer(integer));
        }
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && let Ok(float) = word.parse::<f64>()
        {
            return Some(Node::Float(float.to_bits()));
        }
        let text = text(word)?;
        if self.rest.starts_with('(') {
            self.parenthesized(Some(name(&text)?))
        } else {
            Some(Node::Text(text))
        }
    }

    fn bracketed(&mut self) -> Option<Node> {
        if self.take("]") {
            return Some(Node::Sequence(Vec::new()));
        }
        if self.take("=]") {
            return Some(Node::Map(Vec::new()));
        }
        let first = self.value()?;
        if self.take("=") {
            let mut entries = vec![(first, self.value()?)];
            while self.take(",") {
                let key = self.value()?;
                self.expect("=")?;
                entries.push((key, self.value()?));
            }
            self.expect("]")?;
            Some(Node::Map(entries))
        } else {
            let mut values = vec![first];
            while self.take(",") {
                values.push(self.value()?);
            }
            self.expect("]")?;
            Some(Node::Sequence(values))
        }
    }

    fn parenthesized(&mut self, variant: Option<&'static str>) -> Option<Node> {
        let tuple = |values| match variant {
            None => Node::Tuple(values),
            Some(variant) => Node::TupleVariant(variant, values),
        };
        let fields = |fields| match variant {
            None => Node::Struct(fields),
            Some(variant) => Node::StructVariant(variant, fields),
        };
        self.expect("(")?;
        if self.take(")") {
            return Some(variant.map_or(Node::Unit, Node::UnitVariant));
        }
        if self.take(",)") {
            return Some(tuple(Vec::new()));
        }
        if self.take("=)") {
            return Some(fields(Vec::new()));
        }
        // Field names are texts and values may begin with one: the separator behind it decides.
        let before = self.rest;
        let word = self.word();
        if self.rest.starts_with('=') {
            let mut named = Vec::new();
            let mut field = word;
            loop {
                self.expect("=")?;
                named.push((name(&text(field)?)?, self.value()?));
                if !self.take(",") {
                    break;
                }
                field = self.word();
            }
            self.expect(")")?;
            return Some(fields(named));
        }
        self.rest = before;
        let first = self.value()?;
        if self.take(",)") {
            return Some(tuple(vec![first]));
        }
        if self.take(")") {
            return variant.map(|variant| Node::NewtypeVariant(variant, Box::new(first)));
        }
        let mut values = vec![first];
        while self.take(",") {
            values.push(self.value()?);
        }
        self.expect(")")?;
        Some(tuple(values))
    }
}

fn text(word: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = word.strip_prefix('\'').unwrap_or(word).bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

fn name(text: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|name| *name == text)
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i128(*value),
            Self::Float(bits) => serializer.serialize_f64(f64::from_bits(*bits)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::None => serializer.serialize_none(),
            Self::Some(inner) => serializer.serialize_some(inner),
            Self::Unit => serializer.serialize_unit(),
            Self::Sequence(values) => {
                let mut sequence = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    sequence.serialize_element(value)?;
                }
                sequence.end()
            }
            Self::Tuple(values) => {
                let mut tuple = serializer.serialize_tuple(values.len())?;
                for value in values {
                    tuple.serialize_element(value)?;
                }
                tuple.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Struct(fields) => {
                let mut out = serializer.serialize_struct("Node", fields.len())?;
                for (name, value) in fields {
                    out.serialize_field(name, value)?;
                }
                out.end()
            }
            Self::UnitVariant(variant) => serializer.serialize_unit_variant("Node", 0, variant),
            Self::NewtypeVariant(variant, value) => {
                serializer.serialize_newtype_variant("Node", 0, variant, value)
            }
            Self::TupleVariant(variant, values) => {
                let mut out =
                    serializer.serialize_tuple_variant("Node", 0, variant, values.len())?;
                for value in values {
                    out.serialize_field(value)?;
                }
                out.end()
            }
            Self::StructVariant(variant, fields) => {
                let mut out =
                    serializer.serialize_struct_variant("Node", 0, variant, fields.len())?;
                for (name, value) in fields {
                    out.serialize_field(name, value)?;
                }
                out.end()
            }
        }
    }
}
