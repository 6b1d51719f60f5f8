//! What an annotation must not change about a function, and what it must get right: every shape of
//! function against the real runtime, each on an embedded store of its own.
//!
//! The lints denied here hold for generated code as well: an annotation adds no warning.

#![deny(
    warnings,
    future_incompatible,
    rust_2018_idioms,
    unused,
    missing_docs,
    single_use_lifetimes,
    unreachable_pub,
    unused_lifetimes,
    unused_qualifications,
    unused_results,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes
)]
#![expect(
    clippy::future_not_send,
    clippy::large_futures,
    reason = "some origins are not `Send` on purpose; the tests themselves are large futures"
)]

use std::cell::Cell;
use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use cache_runtime::{
    Cache, Codec, Entry, Json, Outcome, Policy, cached, invalidates, outcome, updates,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

mod background;
mod bodies;
mod generics;
mod keys;
mod methods;
mod one_line;
mod parameters;
mod settings;
mod writes;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missing;

/// Runs a test on an embedded store of its own.
async fn alone<F: Future>(test: F) -> F::Output {
    Cache::memory().scope(test).await
}

/// How a call was served.
async fn served<F: Future>(call: F) -> Outcome {
    outcome(call).await.1
}
