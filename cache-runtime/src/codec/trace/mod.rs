//! Sees the structure of a type through its `Deserialize`.
//!
//! [`explore`] is a deserializer that notes what it is asked for and then fails, so that one pass
//! discovers one place of the type. It chooses the way: a struct gets the field that is still
//! unknown as its first and only one, an enum the variant, so no place is hidden by another whose
//! values are checked (dates, UUIDs, what is not zero). Only the elements of a tuple and the keys
//! of a map must be there before what follows them; [`invent`] finds values they accept.

mod explore;
mod invent;

use serde::de::{DeserializeOwned, StdError};
use std::any::type_name;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::explore::Explore;
use self::invent::Choices;
use super::shape::{Enum, Node, NodeId, Product, Shape};

/// Passes over one type, one for each place and each value tried: no real type comes near.
const PASSES: usize = 20_000;

/// Calls of `Deserializer` in all passes: fractions of a second.
const STEPS: usize = 5_000_000;

/// Nesting of places. The stack of the caller is used up with it.
const DEPTH: usize = 128;

/// The structure of `T`.
pub(super) fn shape_of<T: DeserializeOwned>() -> Result<Shape, Opaque> {
    let mut trace = Trace::new();
    for _ in 0..PASSES {
        let before = trace.changes;
        // Invented values may run into a panic in the type's own checks.
        let passed = catch_unwind(AssertUnwindSafe(|| {
            drop(T::deserialize(Explore::root(&mut trace)));
        }));
        if passed.is_err() {
            trace.refuse(Reason::Panicked);
        }
        if trace.refused.is_none() && trace.is_done(NodeId::ROOT) {
            return trace.finish();
        }
        if trace.changes == before {
            trace.refuse(Reason::Custom);
        }
        if let Some(opaque) = trace.refused {
            return Err(opaque);
        }
    }
    trace.refuse(Reason::TooLarge);
    trace.finish()
}

/// Why the structure of a type cannot be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opaque {
    reason: Reason,
    /// Fields and variants that lead there.
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    /// `deserialize_any` and its kin.
    SelfDescribing,
    /// A map with field names for keys.
    Flattened,
    /// What follows is reached only behind a value nobody could invent.
    Behind(&'static str),
    /// A list whose length would be all there is of it.
    NoContent,
    Custom,
    Panicked,
    TooLarge,
}

impl fmt::Display for Opaque {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "at `{}`, ", self.path)?;
        }
        match &self.reason {
            Reason::SelfDescribing => formatter.write_str(
                "it asks the bytes for their type, as `serde_json::Value` and untagged, \
                 internally and adjacently tagged enums do",
            ),
            Reason::Flattened => formatter.write_str("it uses `#[serde(flatten)]`"),
            Reason::Behind(hidden) => {
                write!(
                    formatter,
                    "a tuple or map goes on behind a `{hidden}`, of which no valid value was found"
                )
            }
            Reason::NoContent => {
                formatter.write_str("the elements of a list or map have no content")
            }
            Reason::Custom => formatter.write_str("its `Deserialize` is written in its own way"),
            Reason::Panicked => formatter.write_str("its `Deserialize` panics"),
            Reason::TooLarge => formatter.write_str("it is too large"),
        }?;
        formatter.write_str(", so positions do not identify its fields: drop `codec`, the default finds them by name")
    }
}

/// What is known so far.
struct Trace {
    nodes: Vec<Node>,
    progress: Vec<Progress>,
    /// First place of each named type, by the name of its visitor, which holds all type parameters.
    named: HashMap<(&'static str, &'static str), NodeId>,
    path: Vec<&'static str>,
    refused: Option<Opaque>,
    /// Counts whatever a pass found out: one that found nothing is the last.
    changes: usize,
    steps: usize,
}

/// How far the exploration of one node is.
#[derive(Default)]
struct Progress {
    done: bool,
    /// All parts have been found, though not all need be done.
    complete: bool,
    way: Way,
    /// Values of parts that others follow.
    recipes: Vec<Recipe>,
}

/// How the fields of a product are reached.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By number, as derived code allows: it tells how many there are, aliases aside.
    #[default]
    Index,
    /// By name.
    Name,
    /// One after the other.
    Sequence,
}

/// Choices that made, or may make, a valid value of one part.
struct Recipe {
    choices: Choices,
    /// Of the seed, that is, of the part.
    part: &'static str,
}

impl Trace {
    fn new() -> Self {
        Self {
            nodes: vec![Node::Unknown],
            progress: vec![Progress::default()],
            named: HashMap::new(),
            path: Vec::new(),
            refused: None,
            changes: 0,
            steps: 0,
        }
    }

    fn finish(self) -> Result<Shape, Opaque> {
        if let Some(opaque) = self.refused {
            return Err(opaque);
        }
        let shape = Shape::new(self.nodes);
        let unseen = |node: &Node| matches!(node, Node::Unknown | Node::Ignored);
        let reason = if shape.nodes().iter().any(unseen) {
            Some(Reason::Custom)
        } else {
            let no_content = |node: &Node| match node {
                Node::Seq(element) => shape.is_empty(*element),
                Node::Map(key, value) => shape.is_empty(*key) && shape.is_empty(*value),
                _ => false,
            };
            shape
                .nodes()
                .iter()
                .any(no_content)
                .then_some(Reason::NoContent)
        };
        match reason {
            None => Ok(shape),
            Some(reason) => Err(Opaque {
                reason,
                path: String::new(),
            }),
        }
    }

    fn refuse(&mut self, reason: Reason) {
        let path = &self.path;
        self.refused.get_or_insert_with(|| Opaque {
            reason,
            path: path.join("."),
        });
    }

    fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id.index()).unwrap_or(&Node::Unknown)
    }

    fn set(&mut self, id: NodeId, node: Node) {
        if let Some(old) = self.nodes.get_mut(id.index()) {
            *old = node;
            self.changes += 1;
        }
    }

    fn add(&mut self) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node::Unknown);
        self.progress.push(Progress::default());
        self.changes += 1;
        id
    }

    /// Takes back the last [`Self::add`].
    fn remove_last(&mut self, id: NodeId) {
        if id.index() + 1 == self.nodes.len() {
            self.nodes.pop();
            self.progress.pop();
        }
    }

    fn is_done(&self, id: NodeId) -> bool {
        self.progress(id).is_some_and(|progress| progress.done)
    }

    fn progress(&self, id: NodeId) -> Option<&Progress> {
        self.progress.get(id.index())
    }

    fn change(&mut self, id: NodeId, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = self.progress.get_mut(id.index()) {
            change(progress);
            self.changes += 1;
        }
    }

    /// Marks `id` as done if nothing below it is left.
    fn settle(&mut self, id: NodeId) {
        let complete = self.progress(id).is_some_and(|progress| progress.complete);
        let done = match self.node(id) {
            Node::Unknown => false,
            Node::Ignored | Node::Leaf(_) | Node::Same(_) => true,
            Node::Option(inner) | Node::Newtype(_, inner) | Node::Seq(inner) => {
                self.is_done(*inner)
            }
            Node::Map(key, value) => self.is_done(*key) && self.is_done(*value),
            Node::Product(Product { items: parts, .. })
            | Node::Enum(Enum {
                contents: parts, ..
            }) => complete && parts.iter().all(|part| self.is_done(*part)),
        };
        if done && !self.is_done(id) {
            self.change(id, |progress| progress.done = true);
        }
    }

    /// Whether the type of visitor `V` was met elsewhere; if not, this is its first place.
    fn met<V>(&mut self, id: NodeId, name: &'static str) -> bool {
        let first = *self.named.entry((type_name::<V>(), name)).or_insert(id);
        if first != id {
            self.set(id, Node::Same(first));
            self.settle(id);
        }
        first != id
    }

    /// Whether this pass may go on.
    fn step(&mut self, depth: usize) -> bool {
        self.steps += 1;
        if self.steps > STEPS || depth > DEPTH {
            self.refuse(Reason::TooLarge);
        }
        self.refused.is_none()
    }
}

/// Ends a pass; what it found is in the [`Trace`].
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("end of a tracing pass")
    }
}

impl StdError for Stop {}

impl serde::de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}
