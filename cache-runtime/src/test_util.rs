//! Seams for this project's own tests. Not part of the stable surface.

pub use crate::{
    config::{Backend, Namespace, RedisConfig},
    key::Key,
    store::{MemoryStore, RedisStore, Store},
};
