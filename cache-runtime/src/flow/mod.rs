//! The story of one call.
//!
//! [`get_or_load`] knows the order of the steps and nothing of types or stores: it is not generic,
//! and asks the typed caller ([`crate::private::plan`]) only to decode a payload or to run the
//! origin. [`engine`] is what all calls of one cache share.

mod budget;
mod early;
mod engine;
mod find;
mod get_or_load;
mod invalidation;
mod leased;
mod load;
mod sight;
mod wait;

use std::pin::Pin;

/// A step that a hit does not take. Boxed, so that the future of a call is not as large as the
/// longest story, and behind `dyn`, so that it is compiled with this crate: the code of an `async fn`
/// is otherwise made where it is awaited, in every crate that has annotated functions.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(crate) use budget::Budget;
pub(crate) use engine::{Engine, Target};
pub(crate) use get_or_load::{Call, Flow, Step};
pub(crate) use leased::{Held, Leased};
