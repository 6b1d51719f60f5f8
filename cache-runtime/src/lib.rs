//! Caching as a one-line decision.

mod codec;
mod key;
