//! Seams for this project's own tests and fuzz targets. Hidden, and no part of the public surface.

pub use crate::call::events;
pub use crate::codec::{TypeIdentity, type_identity};
pub use crate::config::{Backend, Namespace, RedisConfig};
pub use crate::envelope::{Meta, Rejected, Spans, open, seal, start};
pub use crate::key::Key;
pub use crate::observe::{Event, Miss};
pub use crate::store::{MemoryStore, RedisStore, Store};

use crate::cache::Cache;
use crate::flow::Engine;

/// A cache of its own on a store that others may share: what another process would be.
#[must_use]
pub fn cache(store: &Store, namespace: &str) -> Cache {
    Cache::new(Engine::new(store.clone(), namespace))
}
