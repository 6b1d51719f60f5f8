//! What keeps a failing store from costing more than no cache.

#![cfg_attr(
    not(feature = "test-util"),
    expect(
        unreachable_pub,
        reason = "reachable from tests through `test_util` only"
    )
)]

pub mod backoff;
pub mod breaker;

pub use backoff::Backoff;
pub use breaker::Breaker;
