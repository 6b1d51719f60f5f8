//! Runs the decisions of the runtime in every interleaving of a few callers, with the model checker
//! `loom`.
//!
//! What is explored is the code of the runtime itself, compiled here a second time: the flights, the
//! decisions about leases, the envelope. Under them lies `sync`, whose locks and clock the model
//! checker sees; around them a `store` of one entry, an origin with a version, and a short
//! `process` that takes the steps of a call in the order of `flow/get_or_load.rs`.
//!
//! Guarantee G3 is what [`protocol`] checks: nobody returns a version below the floor that stood when
//! its call began. [`flights`] checks that nobody waits for ever and that one load is enough.
//!
//! Each model is bounded by the number of times that a caller is interrupted where it could have gone
//! on; within that bound every order of steps is run. `LOOM_MAX_PREEMPTIONS` sets another bound.

// The unit tests of the runtime's files are run where these belong.
#![cfg(not(test))]

#[path = "../../../cache-runtime/src/broken.rs"]
#[expect(dead_code, reason = "the models have switches of their own")]
mod broken;
#[rustfmt::skip] // With its crate, where its `mod tests` has a file.
#[path = "../../../cache-runtime/src/envelope.rs"]
#[expect(dead_code, unreachable_pub, reason = "the models use a part of it")]
mod envelope;
#[path = "../../../cache-runtime/src/lease.rs"]
#[expect(dead_code, unreachable_pub, reason = "the models use a part of it")]
mod lease;
#[path = "../../../cache-runtime/src/place.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod place;
#[path = "../../../cache-runtime/src/single_flight.rs"]
#[expect(dead_code, reason = "the models use a part of it")]
mod single_flight;

mod codec;
mod explore;
pub mod flights;
mod key;
mod process;
pub mod protocol;
mod store;
mod sync;

pub use broken::Rule;
