//! The structure of a type as a positional codec sees it.

use xxhash_rust::xxh3::xxh3_64;

/// The structure of one type: a graph, as types may be recursive.
#[derive(Debug)]
pub(super) struct Shape {
    nodes: Vec<Node>,
    fingerprint: u64,
}

/// Place of a [`Node`] in its [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) const ROOT: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What `Deserialize` asks for in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing was asked yet.
    Unknown,
    /// Whatever comes, it is thrown away.
    Ignored,
    Leaf(Leaf),
    Option(NodeId),
    /// A newtype struct, or the content of a newtype variant.
    Newtype(&'static str, NodeId),
    Seq(NodeId),
    Map(NodeId, NodeId),
    Product(Product),
    Enum(Enum),
    /// The same type as elsewhere.
    Same(NodeId),
}

/// Fields in order: a struct, a tuple, or the content of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) name: &'static str,
    /// Names of the fields in order, each followed or preceded by its aliases; empty for tuples.
    pub(super) names: &'static [&'static str],
    pub(super) items: Vec<NodeId>,
}

/// An enum as derived by default (externally tagged).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Enum {
    pub(super) name: &'static str,
    pub(super) variants: &'static [&'static str],
    pub(super) contents: Vec<NodeId>,
}

/// A value without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Leaf {
    Unit,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Str,
    Bytes,
}

impl Shape {
    /// Of nodes in the order of their discovery, which depends on nothing but the structure.
    pub(super) fn new(nodes: Vec<Node>) -> Self {
        let mut text = Description::default();
        for node in &nodes {
            text.node(node);
        }
        let fingerprint = xxh3_64(&text.bytes);
        Self { nodes, fingerprint }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn get(&self, id: NodeId) -> &Node {
        self.nodes.get(id.index()).unwrap_or(&Node::Unknown)
    }

    /// The node at `id` without what takes no bytes of its own: newtypes and repetitions.
    pub(super) fn content(&self, id: NodeId) -> &Node {
        let mut node = self.get(id);
        // Longer chains than there are nodes go in circles.
        for _ in 0..self.nodes.len() {
            match node {
                Node::Newtype(_, inner) | Node::Same(inner) => node = self.get(*inner),
                _ => break,
            }
        }
        node
    }

    /// Whether values at `id` take no bytes at all.
    pub(super) fn is_empty(&self, id: NodeId) -> bool {
        self.is_empty_within(id, self.nodes.len())
    }

    fn is_empty_within(&self, id: NodeId, depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else {
            return false;
        };
        match self.content(id) {
            Node::Leaf(leaf) => *leaf == Leaf::Unit,
            Node::Product(product) => product
                .items
                .iter()
                .all(|item| self.is_empty_within(*item, depth)),
            _ => false,
        }
    }

    /// 64 bits that differ if anything does: order, names, types, variants, at any depth.
    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// Unambiguous bytes of a shape: every part is of fixed size or preceded by its length.
#[derive(Default)]
struct Description {
    bytes: Vec<u8>,
}

impl Description {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Unknown => self.bytes.push(0),
            Node::Ignored => self.bytes.push(1),
            Node::Leaf(leaf) => self.bytes.extend([2, *leaf as u8]),
            Node::Option(inner) => {
                self.bytes.push(3);
                self.id(*inner);
            }
            Node::Newtype(name, inner) => {
                self.bytes.push(4);
                self.name(name);
                self.id(*inner);
            }
            Node::Seq(element) => {
                self.bytes.push(5);
                self.id(*element);
            }
            Node::Map(key, value) => {
                self.bytes.push(6);
                self.id(*key);
                self.id(*value);
            }
            Node::Product(product) => {
                self.bytes.push(7);
                self.name(product.name);
                self.names(product.names);
                self.ids(&product.items);
            }
            Node::Enum(variants) => {
                self.bytes.push(8);
                self.name(variants.name);
                self.names(variants.variants);
                self.ids(&variants.contents);
            }
            Node::Same(other) => {
                self.bytes.push(9);
                self.id(*other);
            }
        }
    }

    fn id(&mut self, id: NodeId) {
        self.bytes.extend(id.0.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend((length as u64).to_le_bytes());
    }

    fn ids(&mut self, ids: &[NodeId]) {
        self.length(ids.len());
        for id in ids {
            self.id(*id);
        }
    }

    fn name(&mut self, name: &str) {
        self.length(name.len());
        self.bytes.extend(name.as_bytes());
    }

    fn names(&mut self, names: &[&str]) {
        self.length(names.len());
        for name in names {
            self.name(name);
        }
    }
}
