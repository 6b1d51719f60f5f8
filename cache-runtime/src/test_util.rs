//! Seams for this project's own tests and fuzz targets. Hidden, and no part of the public surface.

pub use crate::broken::Rule;
pub use crate::call::{events, events_by_key};
pub use crate::codec::{TypeIdentity, type_identity};
pub use crate::config::{Backend, Namespace, RedisConfig};
pub use crate::envelope::{
    Age, Generation, Meta, Opened, Rejected, Spans, lease, open, seal, stamp, start, tag,
};
pub use crate::key::Key;
pub use crate::lease::{Acquire, Acquired, Grant, Lease, LeaseKind, Release, Stamp, Token};
pub use crate::observe::{Event, Miss};
pub use crate::store::{
    Change, Found, MemoryStore, OutOfStep, Part, Received, RedisStore, Store, receive,
};

use crate::cache::Cache;
use crate::flow::Engine;

/// Another handle on a store, as another process has one: it shares no loads with others.
#[must_use]
pub fn cache(store: &Store, namespace: &str) -> Cache {
    Cache::new(Engine::new(store.clone(), namespace))
}

/// Switches a rule of the protocol off, in builds with debug assertions.
pub fn break_rule(cache: &Cache, rule: Rule) {
    cache.engine().broken.switch_off(rule);
    if let Some(near) = &cache.engine().near {
        near.broken.switch_off(rule);
    }
}
