//! Seams for this project's own tests. Not part of the stable surface.

pub use crate::call::events;
pub use crate::config::{Backend, Namespace, RedisConfig};
pub use crate::envelope::Rejected;
pub use crate::key::Key;
pub use crate::observe::{Event, Miss};
pub use crate::store::{MemoryStore, RedisStore, Store};
