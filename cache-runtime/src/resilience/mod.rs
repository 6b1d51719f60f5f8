//! What keeps a failing store from costing more than no cache.

pub(crate) mod backoff;
pub(crate) mod breaker;

pub(crate) use breaker::Breaker;
