//! Refuses at `encode` what would not read back.
//!
//! [`Guard`] stands between a value and the codec's serializer and sees every call of the value's
//! `Serialize`. It is compiled once per stored type and codec, so all decisions are made by the
//! plain functions of [`Place`], and nothing but forwarding is generic.

use serde::Serialize;
use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::cell::RefCell;
use std::fmt;

use super::shape::{Leaf, Node, NodeId, Shape};
use super::{CodecError, CodecErrorKind, DEPTH_LIMIT};

/// The name under which serde_json hides its raw values.
const RAW_JSON: &str = "$serde_json::private::RawValue";

/// What one codec cannot carry.
#[derive(Debug)]
pub(super) struct Rules<'r> {
    /// `Some(())` is written like `None`.
    pub(super) null_is_none: bool,
    /// So is `Some(UnitStruct)`.
    pub(super) unit_struct_is_null: bool,
    /// There is neither NaN nor infinity.
    pub(super) finite: bool,
    /// Raw JSON can be embedded.
    pub(super) raw_json: bool,
    /// Fields are told apart by position.
    pub(super) positional: bool,
    /// What `Deserialize` will ask for, where that is known.
    pub(super) shape: Option<&'r Shape>,
    pub(super) refusals: Refusals,
}

impl Rules<'_> {
    pub(super) fn new(codec: &'static str) -> Self {
        Self {
            null_is_none: false,
            unit_struct_is_null: false,
            finite: false,
            raw_json: false,
            positional: false,
            shape: None,
            refusals: Refusals {
                codec,
                first: RefCell::new(None),
            },
        }
    }
}

/// The reason why a value was refused, kept beside the serializer, whose error type is its own.
#[derive(Debug)]
pub(super) struct Refusals {
    codec: &'static str,
    first: RefCell<Option<String>>,
}

impl Refusals {
    /// Appends `value` to `out` through `write`, guarded by `rules`; on any error `out` is as
    /// before.
    pub(super) fn around<'v, T: Serialize + ?Sized, R, E: fmt::Display>(
        rules: &'v Rules<'v>,
        value: &'v T,
        out: &mut Vec<u8>,
        write: impl FnOnce(Guarded<'v, T>, &mut Vec<u8>) -> Result<R, E>,
    ) -> Result<(), CodecError> {
        let before = out.len();
        let place = Place::root(rules);
        match write(Guarded { value, place }, out) {
            Ok(_) => Ok(()),
            Err(error) => {
                out.truncate(before);
                Err(rules.refusals.explain(&error))
            }
        }
    }

    pub(super) fn key_is_not_text(&self) {
        self.keep(
            "the keys of its maps must be text, numbers or names of variants: drop `codec = Json`, \
             or store a `Vec` of pairs",
        );
    }

    fn keep(&self, reason: impl Into<String>) {
        self.first.borrow_mut().get_or_insert_with(|| reason.into());
    }

    fn explain(&self, error: &impl fmt::Display) -> CodecError {
        match self.first.borrow_mut().take() {
            Some(reason) => CodecError::new(CodecErrorKind::Unfaithful, self.codec, reason),
            None => CodecError::new(CodecErrorKind::Encode, self.codec, error.to_string()),
        }
    }
}

/// The reason is in [`Refusals`].
struct Refused;

impl Refused {
    fn into_error<E: Error>(self) -> E {
        E::custom("refused")
    }
}

/// Where in the value a call of `Serialize` happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'r> {
    rules: &'r Rules<'r>,
    /// Levels that may still be entered.
    levels: u16,
    /// Directly inside `Some`, where null would read back as `None`.
    in_some: bool,
    /// What `Deserialize` asks for here; none if no shape is known.
    node: Option<NodeId>,
}

impl<'r> Place<'r> {
    fn root(rules: &'r Rules<'r>) -> Self {
        Self {
            rules,
            levels: DEPTH_LIMIT,
            in_some: false,
            node: rules.shape.map(|_| NodeId::ROOT),
        }
    }

    #[cold]
    fn refuse(&self, reason: impl Into<String>) -> Refused {
        self.rules.refusals.keep(reason);
        Refused
    }

    /// `Serialize` and `Deserialize` disagree about what is stored here.
    #[cold]
    fn mismatch(&self, wrote: &str) -> Refused {
        self.refuse(format!(
            "its `Serialize` writes {wrote} where its `Deserialize` reads something else (mind \
             `skip_serializing_if`, `skip_serializing`, `skip_deserializing`, `serialize_with`): \
             drop `codec`, the default finds fields by name"
        ))
    }

    #[inline]
    fn deeper(self) -> Result<Self, Refused> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self {
                levels,
                in_some: false,
                ..self
            }),
            None => Err(self.refuse(format!(
                "it is nested more than {DEPTH_LIMIT} levels deep: store it flat, as a `Vec` of \
                 nodes that name their parents"
            ))),
        }
    }

    #[inline]
    fn expected(&self) -> Option<(&'r Shape, &'r Node)> {
        let shape = self.rules.shape?;
        Some((shape, shape.content(self.node?)))
    }

    #[inline]
    fn leaf(&self, leaf: Leaf) -> Result<(), Refused> {
        match self.expected() {
            Some((_, node)) if *node != Node::Leaf(leaf) => {
                Err(self.mismatch(&format!("a value ({leaf:?})")))
            }
            _ => Ok(()),
        }
    }

    fn float(&self, leaf: Leaf, finite: bool) -> Result<(), Refused> {
        if self.rules.finite && !finite {
            return Err(self.refuse(
                "JSON has neither NaN nor infinity: drop `codec = Json`, or return an `Option`",
            ));
        }
        self.leaf(leaf)
    }

    #[inline]
    fn null(&self, is_null: bool) -> Result<(), Refused> {
        if self.in_some && is_null {
            return Err(self.refuse(
                "`Some` around nothing (`Some(None)`, `Some(())`, `Some(Value::Null)`) reads back \
                 as `None`: return an enum of your own with a name for each case, or use \
                 `codec = Postcard`",
            ));
        }
        Ok(())
    }

    fn unit(&self) -> Result<(), Refused> {
        self.null(self.rules.null_is_none)?;
        self.leaf(Leaf::Unit)
    }

    fn unit_struct(&self) -> Result<(), Refused> {
        self.null(self.rules.unit_struct_is_null)?;
        self.leaf(Leaf::Unit)
    }

    fn none(&self) -> Result<(), Refused> {
        self.null(self.rules.null_is_none)?;
        match self.expected() {
            Some((_, node)) if !matches!(node, Node::Option(_)) => {
                Err(self.mismatch("an `Option`"))
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn some(self) -> Result<Self, Refused> {
        let node = match self.expected() {
            None => None,
            Some((_, Node::Option(inner))) => Some(*inner),
            Some(_) => return Err(self.mismatch("an `Option`")),
        };
        Ok(Self {
            in_some: true,
            node,
            ..self.deeper()?
        })
    }

    /// Newtypes take no bytes: what is inside stands where they stand.
    fn newtype(self, name: &str) -> Result<Self, Refused> {
        self.named(name)?;
        Ok(Self {
            in_some: self.in_some,
            ..self.deeper()?
        })
    }

    #[inline]
    fn named(&self, name: &str) -> Result<(), Refused> {
        if name == RAW_JSON && !self.rules.raw_json {
            return Err(self.refuse(
                "`serde_json::value::RawValue` reads back from JSON alone: use `codec = Json`, or \
                 `serde_json::Value`",
            ));
        }
        Ok(())
    }

    #[inline]
    fn elements(self, announced: Option<usize>) -> Result<Walk<'r>, Refused> {
        let inside = match self.expected() {
            None => Inside::Unseen,
            Some((_, Node::Seq(element))) => Inside::Alternating(*element, *element),
            Some(_) => return Err(self.mismatch("a sequence")),
        };
        self.walk(inside, announced)
    }

    /// Keys and values count as two parts.
    fn entries(self, announced: Option<usize>) -> Result<Walk<'r>, Refused> {
        let inside = match self.expected() {
            None => Inside::Unseen,
            Some((_, Node::Map(key, value))) => Inside::Alternating(*key, *value),
            Some(_) => return Err(self.mismatch("a map")),
        };
        self.walk(inside, announced.map(|entries| entries.saturating_mul(2)))
    }

    #[inline]
    fn product(self, announced: usize) -> Result<Walk<'r>, Refused> {
        let inside = match self.expected() {
            None => Inside::Unseen,
            Some((_, Node::Product(product))) => Inside::Fields(&product.items, product.names),
            Some(_) => return Err(self.mismatch("fields")),
        };
        if let Inside::Fields(items, _) = inside
            && items.len() != announced
        {
            return Err(self.mismatch(&format!("{announced} fields")));
        }
        self.walk(inside, Some(announced))
    }

    /// The content of a variant.
    fn variant(self, index: u32, name: &str) -> Result<Self, Refused> {
        let node = match self.expected() {
            None => None,
            Some((_, Node::Enum(variants))) => {
                let index = index as usize;
                let named = variants
                    .variants
                    .get(index)
                    .is_some_and(|other| *other == name);
                match variants.contents.get(index) {
                    Some(content) if named => Some(*content),
                    _ => return Err(self.mismatch(&format!("the variant `{name}`"))),
                }
            }
            Some(_) => return Err(self.mismatch(&format!("the variant `{name}`"))),
        };
        Ok(Self {
            node,
            ..self.deeper()?
        })
    }

    #[inline]
    fn walk(self, inside: Inside<'r>, announced: Option<usize>) -> Result<Walk<'r>, Refused> {
        Ok(Walk {
            place: Self {
                node: None,
                ..self.deeper()?
            },
            inside,
            names_left: match inside {
                Inside::Fields(_, names) => names,
                _ => &[],
            },
            announced,
            written: 0,
        })
    }
}

/// The parts of a sequence, map or struct, one after the other.
#[derive(Debug)]
pub(super) struct Walk<'r> {
    place: Place<'r>,
    inside: Inside<'r>,
    names_left: &'r [&'static str],
    announced: Option<usize>,
    written: usize,
}

#[derive(Debug, Clone, Copy)]
enum Inside<'r> {
    Unseen,
    Alternating(NodeId, NodeId),
    Fields(&'r [NodeId], &'r [&'static str]),
}

impl<'r> Walk<'r> {
    #[inline]
    fn next(&mut self) -> Result<Place<'r>, Refused> {
        let node = match self.inside {
            Inside::Unseen => None,
            Inside::Alternating(first, _) if self.written.is_multiple_of(2) => Some(first),
            Inside::Alternating(_, second) => Some(second),
            Inside::Fields(items, _) => match items.get(self.written) {
                Some(item) => Some(*item),
                None => return Err(self.place.mismatch("more fields")),
            },
        };
        self.written = self.written.saturating_add(1);
        Ok(Place { node, ..self.place })
    }

    /// The names written must come in the order of the names read; those between are aliases.
    #[inline]
    fn field(&mut self, name: &str) -> Result<Place<'r>, Refused> {
        if let Inside::Fields(_, names) = self.inside
            && !names.is_empty()
        {
            let at = self.names_left.iter().position(|other| *other == name);
            match at.and_then(|at| self.names_left.get(at + 1..)) {
                Some(left) => self.names_left = left,
                None => return Err(self.place.mismatch(&format!("the field `{name}`"))),
            }
        }
        self.next()
    }

    fn skip(&self, name: &str) -> Result<(), Refused> {
        if self.place.rules.positional {
            return Err(self.place.refuse(format!(
                "the field `{name}` is skipped, and what follows would be read in its place: \
                 remove `skip_serializing_if`, or drop `codec`, the default finds fields by name"
            )));
        }
        Ok(())
    }

    #[inline]
    fn end(&self) -> Result<(), Refused> {
        match self.announced {
            Some(announced) if announced != self.written => Err(self.place.refuse(format!(
                "a `Serialize` announced {announced} parts and wrote {}: correct the length it \
                 passes",
                self.written
            ))),
            _ => Ok(()),
        }
    }
}

/// A value, or a part of one, together with the guard that goes around its serializer.
pub(super) struct Guarded<'v, T: ?Sized> {
    value: &'v T,
    place: Place<'v>,
}

impl<T: Serialize + ?Sized> Serialize for Guarded<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Guard {
            inner: serializer,
            place: self.place,
        })
    }
}

struct Guard<'r, S> {
    inner: S,
    place: Place<'r>,
}

macro_rules! leaves {
    ($($method:ident: $value:ty = $leaf:ident)*) => {$(
        #[inline]
        fn $method(self, value: $value) -> Result<S::Ok, S::Error> {
            self.place.leaf(Leaf::$leaf).map_err(Refused::into_error)?;
            self.inner.$method(value)
        }
    )*};
}

impl<'r, S: Serializer> Serializer for Guard<'r, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Parts<'r, S::SerializeSeq>;
    type SerializeTuple = Parts<'r, S::SerializeTuple>;
    type SerializeTupleStruct = Parts<'r, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Parts<'r, S::SerializeTupleVariant>;
    type SerializeMap = Parts<'r, S::SerializeMap>;
    type SerializeStruct = Parts<'r, S::SerializeStruct>;
    type SerializeStructVariant = Parts<'r, S::SerializeStructVariant>;

    leaves! {
        serialize_bool: bool = Bool
        serialize_i8: i8 = I8
        serialize_i16: i16 = I16
        serialize_i32: i32 = I32
        serialize_i64: i64 = I64
        serialize_i128: i128 = I128
        serialize_u8: u8 = U8
        serialize_u16: u16 = U16
        serialize_u32: u32 = U32
        serialize_u64: u64 = U64
        serialize_u128: u128 = U128
        serialize_char: char = Char
        serialize_str: &str = Str
        serialize_bytes: &[u8] = Bytes
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.place
            .float(Leaf::F32, value.is_finite())
            .map_err(Refused::into_error)?;
        self.inner.serialize_f32(value)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.place
            .float(Leaf::F64, value.is_finite())
            .map_err(Refused::into_error)?;
        self.inner.serialize_f64(value)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.place.none().map_err(Refused::into_error)?;
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let place = self.place.some().map_err(Refused::into_error)?;
        self.inner.serialize_some(&Guarded { value, place })
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.place.unit().map_err(Refused::into_error)?;
        self.inner.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.place.unit_struct().map_err(Refused::into_error)?;
        self.inner.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.place
            .variant(index, variant)
            .and_then(|content| content.leaf(Leaf::Unit))
            .map_err(Refused::into_error)?;
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let place = self.place.newtype(name).map_err(Refused::into_error)?;
        self.inner
            .serialize_newtype_struct(name, &Guarded { value, place })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let place = self
            .place
            .variant(index, variant)
            .map_err(Refused::into_error)?;
        self.inner
            .serialize_newtype_variant(name, index, variant, &Guarded { value, place })
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let walk = self.place.elements(len).map_err(Refused::into_error)?;
        let inner = self.inner.serialize_seq(len)?;
        Ok(Parts { inner, walk })
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        let walk = self.place.product(len).map_err(Refused::into_error)?;
        let inner = self.inner.serialize_tuple(len)?;
        Ok(Parts { inner, walk })
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        let walk = self.place.product(len).map_err(Refused::into_error)?;
        let inner = self.inner.serialize_tuple_struct(name, len)?;
        Ok(Parts { inner, walk })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let walk = self
            .place
            .variant(index, variant)
            .and_then(|content| content.product(len))
            .map_err(Refused::into_error)?;
        let inner = self
            .inner
            .serialize_tuple_variant(name, index, variant, len)?;
        Ok(Parts { inner, walk })
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let walk = self.place.entries(len).map_err(Refused::into_error)?;
        let inner = self.inner.serialize_map(len)?;
        Ok(Parts { inner, walk })
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        let walk = self
            .place
            .named(name)
            .and_then(|()| self.place.product(len))
            .map_err(Refused::into_error)?;
        let inner = self.inner.serialize_struct(name, len)?;
        Ok(Parts { inner, walk })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let walk = self
            .place
            .variant(index, variant)
            .and_then(|content| content.product(len))
            .map_err(Refused::into_error)?;
        let inner = self
            .inner
            .serialize_struct_variant(name, index, variant, len)?;
        Ok(Parts { inner, walk })
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.place.leaf(Leaf::Str).map_err(Refused::into_error)?;
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Guards the parts of a sequence, map or struct.
pub(super) struct Parts<'r, C> {
    inner: C,
    walk: Walk<'r>,
}

macro_rules! parts {
    ($($kind:ident: $method:ident)*) => {$(
        impl<C: $kind> $kind for Parts<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let place = self.walk.next().map_err(Refused::into_error)?;
                self.inner.$method(&Guarded { value, place })
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.walk.end().map_err(Refused::into_error)?;
                self.inner.end()
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element
    SerializeTuple: serialize_element
    SerializeTupleStruct: serialize_field
    SerializeTupleVariant: serialize_field
}

macro_rules! fields {
    ($($kind:ident)*) => {$(
        impl<C: $kind> $kind for Parts<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                let place = self.walk.field(name).map_err(Refused::into_error)?;
                self.inner.serialize_field(name, &Guarded { value, place })
            }

            #[inline]
            fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                self.walk.skip(name).map_err(Refused::into_error)?;
                self.inner.skip_field(name)
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.walk.end().map_err(Refused::into_error)?;
                self.inner.end()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl<C: SerializeMap> SerializeMap for Parts<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let place = self.walk.next().map_err(Refused::into_error)?;
        self.inner.serialize_key(&Guarded { value, place })
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let place = self.walk.next().map_err(Refused::into_error)?;
        self.inner.serialize_value(&Guarded { value, place })
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.walk.end().map_err(Refused::into_error)?;
        self.inner.end()
    }
}
