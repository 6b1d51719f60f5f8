//! Seams for this project's own tests and fuzz targets. Hidden, and no part of the public surface.

pub use crate::call::events;
pub use crate::codec::{TypeIdentity, type_identity};
pub use crate::config::{Backend, Namespace, RedisConfig};
pub use crate::envelope::{Age, Meta, Opened, Rejected, Spans, lease, open, seal, stamp, start};
pub use crate::key::Key;
pub use crate::lease::{Acquire, Acquired, Grant, Lease, LeaseKind, Release, Stamp, Token};
pub use crate::observe::{Event, Miss};
pub use crate::store::{Change, MemoryStore, RedisStore, Store};
