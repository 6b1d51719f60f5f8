//! Caching as a one-line decision.

mod codec;
mod config;
mod error;
mod key;
mod resilience;
mod store;
#[cfg(feature = "test-util")]
#[doc(hidden)]
pub mod test_util;

pub use error::{CacheError, ConfigError, StoreError, StoreErrorKind};
