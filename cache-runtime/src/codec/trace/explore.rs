//! The deserializer of one tracing pass.

use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::any::type_name;

use super::super::shape::{Enum, Leaf, Node, NodeId, Product};
use super::invent::Choices;
use super::{Reason, Recipe, Stop, Trace, Way};

/// Notes at `id` what is asked for and never yields a value, apart from what [`Choices`] invent.
pub(super) struct Explore<'t> {
    trace: &'t mut Trace,
    id: NodeId,
    depth: usize,
}

impl<'t> Explore<'t> {
    pub(super) fn root(trace: &'t mut Trace) -> Self {
        Self {
            trace,
            id: NodeId::ROOT,
            depth: 0,
        }
    }

    fn at(&mut self, id: NodeId) -> Explore<'_> {
        Explore {
            trace: self.trace,
            id,
            depth: self.depth + 1,
        }
    }

    fn node(&self) -> &Node {
        self.trace.node(self.id)
    }

    fn leaf(self, leaf: Leaf) -> Stop {
        if self.trace.step(self.depth) {
            self.trace.set(self.id, Node::Leaf(leaf));
            self.trace.settle(self.id);
        }
        Stop
    }

    fn refuse(self, reason: Reason) -> Stop {
        self.trace.refuse(reason);
        Stop
    }

    /// The one part of a node that has one, found before or added now.
    fn only_part(&mut self, wrap: impl FnOnce(NodeId) -> Node) -> Option<NodeId> {
        if !self.trace.step(self.depth) {
            return None;
        }
        match self.node() {
            Node::Unknown => {
                let part = self.trace.add();
                self.trace.set(self.id, wrap(part));
                Some(part)
            }
            Node::Option(part) | Node::Newtype(_, part) | Node::Seq(part) => Some(*part),
            _ => None,
        }
    }

    /// Explores the next part of a product.
    fn product<'de, V: Visitor<'de>>(
        mut self,
        name: &'static str,
        names: &'static [&'static str],
        count: usize,
        visitor: V,
    ) -> Stop {
        if !self.trace.step(self.depth) {
            return Stop;
        }
        if *self.node() == Node::Unknown {
            let items = Vec::new();
            self.trace
                .set(self.id, Node::Product(Product { name, names, items }));
            let way = if names.is_empty() {
                Way::Sequence
            } else {
                Way::Index
            };
            self.trace.change(self.id, |progress| {
                progress.way = way;
                progress.complete = count == 0;
            });
        }
        match self.way() {
            Way::Sequence => self.next_element(count, visitor),
            way => self.next_field(way, names, visitor),
        }
        self.trace.settle(self.id);
        Stop
    }

    fn way(&self) -> Way {
        self.trace
            .progress(self.id)
            .map_or_else(Way::default, |progress| progress.way)
    }

    fn items(&self) -> &[NodeId] {
        match self.node() {
            Node::Product(product) => &product.items,
            _ => &[],
        }
    }

    fn push_item(&mut self, item: NodeId) {
        if let Some(Node::Product(product)) = self.trace.nodes.get_mut(self.id.index()) {
            product.items.push(item);
        }
    }

    /// Place and node of the first part that is not done; without a node, it is still to be found.
    fn next_part(&self, parts: &[NodeId]) -> (usize, Option<NodeId>) {
        parts
            .iter()
            .copied()
            .enumerate()
            .find(|(_, part)| !self.trace.is_done(*part))
            .map_or((parts.len(), None), |(at, part)| (at, Some(part)))
    }

    fn complete(&mut self) {
        self.trace
            .change(self.id, |progress| progress.complete = true);
    }

    /// A struct whose visitor takes maps: the wanted field comes first and alone.
    fn next_field<'de, V: Visitor<'de>>(
        &mut self,
        way: Way,
        names: &'static [&'static str],
        visitor: V,
    ) {
        let (index, known) = self.next_part(self.items());
        let Some(name) = names.get(index).copied() else {
            return self.complete();
        };
        let field = known.unwrap_or_else(|| self.trace.add());
        // With aliases this may be a neighbour's name; it is only for messages.
        self.trace.path.push(name);
        let mut access = Field {
            value: self.at(field),
            key: match way {
                Way::Index => Key::Index(index),
                _ => Key::Name(name),
            },
            asked: Asked::Nothing,
        };
        drop(visitor.visit_map(&mut access));
        let asked = access.asked;
        self.trace.path.pop();
        if known.is_some() {
            return;
        }
        match asked {
            Asked::Value if *self.trace.node(field) == Node::Ignored => {
                self.trace.remove_last(field);
                self.complete();
            }
            Asked::Value => {
                self.push_item(field);
                if self.items().len() == names.len() {
                    self.complete();
                }
            }
            // Past the last field, which can be told only if there was a first.
            Asked::Key if way == Way::Index && index > 0 => {
                self.trace.remove_last(field);
                self.complete();
            }
            Asked::Key if way == Way::Index => {
                self.trace.remove_last(field);
                self.go(Way::Name);
            }
            Asked::Key | Asked::Nothing => {
                self.trace.remove_last(field);
                self.go(Way::Sequence);
            }
        }
    }

    fn go(&mut self, way: Way) {
        if let Some(Node::Product(product)) = self.trace.nodes.get_mut(self.id.index()) {
            product.items.clear();
        }
        self.trace.change(self.id, |progress| progress.way = way);
    }

    /// A tuple, or a struct whose visitor takes nothing else: what precedes is invented.
    fn next_element<'de, V: Visitor<'de>>(&mut self, count: usize, visitor: V) {
        let (wanted, _) = self.next_part(self.items());
        let mut access = Elements {
            product: self.at(self.id),
            index: 0,
            wanted,
            count,
            reached: false,
            failed: false,
        };
        let result = visitor.visit_seq(&mut access);
        let (reached, failed, taken) = (access.reached, access.failed, access.index);
        if reached {
            return;
        }
        match (result, taken.checked_sub(1)) {
            (Ok(_), _) if !failed => self.complete(),
            // The value itself, or a check of its own between two elements.
            (_, Some(last)) => self.turn(last),
            (_, None) => self.trace.refuse(Reason::Custom),
        }
    }

    /// After a refusal of the value invented for the part at `index`.
    fn turn(&mut self, index: usize) {
        let mut part = "value";
        let mut left = false;
        self.trace.change(self.id, |progress| {
            if let Some(recipe) = progress.recipes.get_mut(index) {
                part = recipe.part;
                left = recipe.choices.turn();
            }
        });
        if !left {
            self.trace.refuse(Reason::Behind(part));
        }
    }

    /// A value for the part at `index`, so that what follows it is reached.
    fn invent<'de, S: DeserializeSeed<'de>>(
        &mut self,
        index: usize,
        seed: S,
    ) -> Result<S::Value, Stop> {
        if !self.trace.step(self.depth) {
            return Err(Stop);
        }
        if let Some(progress) = self.trace.progress.get_mut(self.id.index()) {
            while progress.recipes.len() <= index {
                progress.recipes.push(Recipe {
                    choices: Choices::default(),
                    part: part_name::<S>(),
                });
            }
            if let Some(recipe) = progress.recipes.get_mut(index)
                && let Ok(value) = recipe.choices.invent(seed)
            {
                return Ok(value);
            }
        }
        Err(Stop)
    }
}

/// Of the usual seeds, the type they are for.
fn part_name<S>() -> &'static str {
    let name = type_name::<S>();
    name.strip_prefix("core::marker::PhantomData<")
        .and_then(|name| name.strip_suffix('>'))
        .unwrap_or(name)
}

macro_rules! leaves {
    ($($method:ident $leaf:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
            Err(self.leaf(Leaf::$leaf))
        }
    )*};
}

impl<'de> Deserializer<'de> for Explore<'_> {
    type Error = Stop;

    leaves! {
        deserialize_bool Bool
        deserialize_i8 I8
        deserialize_i16 I16
        deserialize_i32 I32
        deserialize_i64 I64
        deserialize_i128 I128
        deserialize_u8 U8
        deserialize_u16 U16
        deserialize_u32 U32
        deserialize_u64 U64
        deserialize_u128 U128
        deserialize_f32 F32
        deserialize_f64 F64
        deserialize_char Char
        deserialize_str Str
        deserialize_string Str
        deserialize_bytes Bytes
        deserialize_byte_buf Bytes
        deserialize_unit Unit
    }

    /// As the positional codecs.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(self.refuse(Reason::SelfDescribing))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(self.refuse(Reason::Flattened))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        self.trace.set(self.id, Node::Ignored);
        Err(Stop)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Stop> {
        Err(self.leaf(Leaf::Unit))
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        if let Some(inner) = self.only_part(Node::Option) {
            drop(visitor.visit_some(self.at(inner)));
            self.trace.settle(self.id);
        }
        Err(Stop)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if !self.trace.met::<V>(self.id, name)
            && let Some(inner) = self.only_part(|inner| Node::Newtype(name, inner))
        {
            drop(visitor.visit_newtype_struct(self.at(inner)));
            self.trace.settle(self.id);
        }
        Err(Stop)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        if let Some(element) = self.only_part(Node::Seq) {
            drop(visitor.visit_seq(One(Some(self.at(element)))));
            self.trace.settle(self.id);
        }
        Err(Stop)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        Err(self.product("", &[], len, visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if self.trace.met::<V>(self.id, name) {
            return Err(Stop);
        }
        Err(self.product(name, &[], len, visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        if !self.trace.step(self.depth) {
            return Err(Stop);
        }
        if *self.node() == Node::Unknown {
            let (key, value) = (self.trace.add(), self.trace.add());
            self.trace.set(self.id, Node::Map(key, value));
        }
        if let Node::Map(key, value) = *self.node() {
            drop(visitor.visit_map(Entry {
                map: self.at(self.id),
                key,
                value,
                taken: false,
            }));
            self.trace.settle(self.id);
        }
        Err(Stop)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if self.trace.met::<V>(self.id, name) {
            return Err(Stop);
        }
        Err(self.product(name, fields, fields.len(), visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if !self.trace.step(self.depth) || self.trace.met::<V>(self.id, name) {
            return Err(Stop);
        }
        if *self.node() == Node::Unknown {
            let contents = Vec::new();
            let node = Enum {
                name,
                variants,
                contents,
            };
            self.trace.set(self.id, Node::Enum(node));
        }
        let Node::Enum(Enum { contents, .. }) = self.node() else {
            return Err(Stop);
        };
        let (index, known) = self.next_part(contents);
        let Some(variant) = variants.get(index).copied() else {
            self.complete();
            self.trace.settle(self.id);
            return Err(Stop);
        };
        let content = known.unwrap_or_else(|| self.trace.add());
        self.trace.path.push(variant);
        let mut asked = Asked::Nothing;
        drop(visitor.visit_enum(Variant {
            content: self.at(content),
            index,
            asked: &mut asked,
        }));
        self.trace.path.pop();
        if known.is_none() {
            match asked {
                Asked::Value => {
                    if let Some(Node::Enum(node)) = self.trace.nodes.get_mut(self.id.index()) {
                        node.contents.push(content);
                    }
                    if index + 1 == variants.len() {
                        self.complete();
                    }
                }
                // Fewer variants than names: some are aliases.
                Asked::Key if index > 0 => {
                    self.trace.remove_last(content);
                    self.complete();
                }
                Asked::Key | Asked::Nothing => self.trace.refuse(Reason::Custom),
            }
        }
        self.trace.settle(self.id);
        Err(Stop)
    }
}

/// How far a visitor went with what it was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Key,
    Value,
}

enum Key {
    Index(usize),
    Name(&'static str),
}

/// One field, as a map.
struct Field<'t> {
    value: Explore<'t>,
    key: Key,
    asked: Asked,
}

impl<'de> MapAccess<'de> for Field<'_> {
    type Error = Stop;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        if self.asked != Asked::Nothing {
            return Err(Stop);
        }
        self.asked = Asked::Key;
        match self.key {
            Key::Index(index) => seed.deserialize(U64Deserializer::new(index as u64)),
            Key::Name(name) => seed.deserialize(StrDeserializer::new(name)),
        }
        .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        if self.asked != Asked::Key {
            return Err(Stop);
        }
        self.asked = Asked::Value;
        let id = self.value.id;
        seed.deserialize(self.value.at(id))
    }
}

/// The elements of a tuple up to the wanted one.
struct Elements<'t> {
    product: Explore<'t>,
    /// Elements asked for so far.
    index: usize,
    wanted: usize,
    count: usize,
    /// The wanted one was explored.
    reached: bool,
    /// The value invented for one before it was refused.
    failed: bool,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        let index = self.index;
        if index >= self.count {
            return Ok(None);
        }
        self.index += 1;
        if index == self.wanted && self.product.items().len() == index {
            match self.like_the_last::<S>(index) {
                // Arrays are long, and all elements are alike.
                Some(last) => {
                    let item = self.product.trace.add();
                    self.product.trace.set(item, Node::Same(last));
                    self.product.trace.settle(item);
                    self.product.push_item(item);
                    self.copy_recipe(index);
                    self.wanted += 1;
                }
                None => {
                    let item = self.product.trace.add();
                    self.product.push_item(item);
                }
            }
            if self.product.items().len() == self.count {
                self.product.complete();
            }
        }
        if index < self.wanted {
            let value = self.product.invent(index, seed);
            self.failed = value.is_err();
            return value.map(Some);
        }
        self.reached = true;
        let item = self.product.items().get(index).copied().ok_or(Stop)?;
        seed.deserialize(self.product.at(item)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.count - self.index)
    }
}

impl Elements<'_> {
    /// The node before the one at `index` if it is of the same type, which the type parameter of
    /// a stateless seed tells.
    fn like_the_last<S>(&self, index: usize) -> Option<NodeId> {
        let before = index.checked_sub(1)?;
        let progress = self.product.trace.progress(self.product.id)?;
        let known = progress.recipes.get(before)?;
        let stateless = type_name::<S>() != part_name::<S>();
        if !stateless || known.part != part_name::<S>() {
            return None;
        }
        let last = *self.product.items().get(before)?;
        Some(match self.product.trace.node(last) {
            Node::Same(first) => *first,
            _ => last,
        })
    }

    fn copy_recipe(&mut self, index: usize) {
        self.product.trace.change(self.product.id, |progress| {
            if let Some(before) = index.checked_sub(1)
                && let Some(recipe) = progress.recipes.get(before)
                && progress.recipes.len() == index
            {
                let recipe = Recipe {
                    choices: recipe.choices.clone(),
                    part: recipe.part,
                };
                progress.recipes.push(recipe);
            }
        });
    }
}

/// A sequence of one element.
struct One<'t>(Option<Explore<'t>>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        match self.0.take() {
            Some(element) => seed.deserialize(element).map(Some),
            None => Ok(None),
        }
    }
}

/// A map of one entry: first the key is explored, then, behind an invented key, the value.
struct Entry<'t> {
    map: Explore<'t>,
    key: NodeId,
    value: NodeId,
    taken: bool,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Stop;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Stop> {
        if std::mem::replace(&mut self.taken, true) {
            return Ok(None);
        }
        if self.map.trace.is_done(self.key) {
            let key = self.map.invent(0, seed);
            if key.is_err() {
                self.map.turn(0);
            }
            key.map(Some)
        } else {
            seed.deserialize(self.map.at(self.key)).map(Some)
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self.map.at(self.value))
    }
}

struct Variant<'t, 'a> {
    content: Explore<'t>,
    index: usize,
    asked: &'a mut Asked,
}

impl<'de, 't> EnumAccess<'de> for Variant<'t, '_> {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Stop> {
        *self.asked = Asked::Key;
        let index = IntoDeserializer::<Stop>::into_deserializer(self.index as u64);
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        *self.asked = Asked::Value;
        Err(self.content.leaf(Leaf::Unit))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Stop> {
        *self.asked = Asked::Value;
        if let Some(inner) = self.content.only_part(|inner| Node::Newtype("", inner)) {
            drop(seed.deserialize(self.content.at(inner)));
            let id = self.content.id;
            self.content.trace.settle(id);
        }
        Err(Stop)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        *self.asked = Asked::Value;
        Err(self.content.product("", &[], len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        *self.asked = Asked::Value;
        Err(self.content.product("", fields, fields.len(), visitor))
    }
}
