//! Caching as a one-line decision.

mod codec;
mod config;
mod error;
mod key;
mod resilience;

pub use error::{CacheError, ConfigError, StoreError, StoreErrorKind};
