//! The story of one call.
//!
//! [`get_or_load`] knows the order of the steps and nothing of types or stores: it is not generic,
//! and asks the typed caller ([`crate::private::plan`]) only to decode a payload or to run the
//! origin. [`engine`] is what all calls of one cache share.

mod budget;
mod company;
mod early;
mod engine;
mod find;
mod get_or_load;
mod invalidation;
mod leased;
mod load;
mod nearby;
mod sight;
mod wait;

pub(crate) use budget::Budget;
pub(crate) use company::Company;
pub(crate) use engine::{Engine, Target};
pub(crate) use get_or_load::{Call, Flow, Step};
pub(crate) use leased::{Held, Leased};
pub(crate) use nearby::Nearby;
