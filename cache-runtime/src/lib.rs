//! Caching of slow async functions as a one-line decision.
//!
//! ```
//! use cache_runtime::{cached, invalidates, updates};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)] struct User { id: u64, name: String }
//! # type DbError = std::io::Error;
//! # async fn find(id: u64) -> Result<User, DbError> { Ok(User { id, name: "Ada".into() }) }
//!
//! #[cached(ttl = 300, key = "user:{id}")]
//! async fn get_user(id: u64) -> Result<User, DbError> {
//!     find(id).await // slow
//! }
//!
//! #[updates(get_user(id))] // the Ok value is written through
//! async fn rename_user(id: u64, name: &str) -> Result<User, DbError> {
//!     Ok(User { id, name: name.to_owned() })
//! }
//!
//! #[invalidates(get_user(id))] // when the body ends
//! async fn delete_user(id: u64) -> Result<(), DbError> {
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # cache_runtime::Cache::memory().scope(async {
//! get_user(42).await?; // cache-aside
//! get_user_entry(42).invalidate().await?; // same key template, checked by the compiler
//! # rename_user(42, "Grace").await?;
//! # assert_eq!(get_user(42).await?.name, "Grace");
//! # delete_user(42).await?;
//! # assert_eq!(get_user_entry(42).peek().await?, None);
//! # Ok(()) }).await }
//! ```
//!
//! What it promises when values change while they are read, and what it cannot promise, is told in
//! `docs/consistency.md`.
//!
//! # A tour
//!
//! The attributes turn a function into the same function around a look-up: a static site, a few
//! lines that render the key, one call. What they may name is behind the hidden module
//! `__private`; its `plan` is the thin typed loop around `flow`, and its `write` what the attributes
//! of writing functions do before and after the body.
//!
//! `flow::get_or_load` tells the story of one call: enter, look up, serve what is fresh or may be
//! served, join or lead a load, acquire the lease, watch whoever has it, load, fill. It is not
//! generic and knows no store: it asks its typed caller to decode, to load, and to let a load go on
//! in the background as a flow of its own. `flow::sight` says what an envelope shows: how old the
//! value is, and who works on it. `flow::leased` holds a lease and gives it up on every way out.
//!
//! Beside it stand, each for itself:
//!
//! * `key` (rendering, escaping) and `codec` (how values become bytes, and what tells types apart).
//! * `envelope` (what is stored around them) and `lease`: who may load and who may store. Its
//!   decisions are functions of an entry's bytes, a time and a request; the embedded store carries
//!   them out, and the scripts of Redis say the same in Lua.
//! * `rules` (whether a value is stored, and for which spans) and [`Policy`] (how calls behave
//!   around a miss).
//! * `single_flight` (who loads in this process, and who may share it). What it needs of the machine
//!   comes through `sync`, so that a model checker can put its own there and run every interleaving.
//! * `near` (copies of values in this process, and what keeps them true to Redis).
//! * `invalidate` (deletions that wait to be confirmed), `resilience` (what is done about a failing
//!   store), and `observe` (outcomes and counters).
//! * `store` (Redis, or this process's memory).
//!
//! [`Cache`] ties them together. `warm_up` calls annotated functions and needs none of it.

mod boxed;
mod broken;
mod cache;
mod call;
mod codec;
mod config;
mod entry;
mod envelope;
mod error;
mod flow;
mod invalidate;
mod key;
mod lease;
mod near;
mod observe;
mod place;
mod policy;
mod private;
mod resilience;
mod rules;
mod single_flight;
mod site;
mod spot;
mod store;
mod sync;
mod warm_up;

pub use cache::{AlreadyInstalled, Builder, Cache};

pub use cache_macros::{cached, invalidates, updates};
pub use call::{outcome, outcomes, refresh, uncached};

#[cfg(feature = "bincode")]
pub use codec::Bincode;
pub use codec::{Codec, CodecError, CodecErrorKind, Json, MessagePack, Postcard};
pub use entry::{Entry, PlainEntry};
pub use error::{CacheError, ConfigError, StoreError, StoreErrorKind};
#[doc(hidden)]
pub use key::{Key, KeyBuilder};
pub use key::{KeyError, Secret};
pub use observe::{Bypass, FunctionStats, NotStored, Outcome, Outcomes, Stats};
pub use policy::{Policy, SingleFlight};
pub use rules::CacheValue;
pub use warm_up::{GaveUp, Progress, WarmUp, warm_up};

#[doc(hidden)]
pub mod __private {
    pub use crate::private::*;
}

#[doc(hidden)]
pub mod test_util;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadMe;

#[cfg(doctest)]
#[doc = include_str!("../../docs/consistency.md")]
struct Consistency;
