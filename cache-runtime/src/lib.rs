//! Caching as a one-line decision.

mod codec;
mod config;
mod error;
mod key;

pub use error::{CacheError, ConfigError, StoreError, StoreErrorKind};
