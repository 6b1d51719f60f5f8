//! Caching as a one-line decision.

mod key;

#[doc(hidden)]
pub use key::KeyBuilder;
pub use key::{Key, KeyError, Secret};
