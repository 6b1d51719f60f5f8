//! Seams for this project's own tests and fuzz targets. Hidden, and no part of the public surface.

pub use crate::call::events;
pub use crate::codec::{TypeIdentity, type_identity};
pub use crate::config::{Backend, Namespace, RedisConfig};
pub use crate::envelope::{Meta, Rejected, Spans, open, seal, start};
pub use crate::key::Key;
pub use crate::observe::{Event, Miss};
pub use crate::store::{MemoryStore, RedisStore, Store};
