//! The story of one call.
//!
//! [`get_or_load`] knows the order of the steps and nothing of types or stores: it is not generic,
//! and asks the typed caller ([`crate::private::plan`]) only to decode a payload or to run the
//! origin. [`engine`] is what all calls of one cache share.

mod budget;
mod engine;
mod get_or_load;

pub(crate) use budget::Budget;
pub(crate) use engine::Engine;
pub(crate) use get_or_load::{Call, Flow, Step};

use std::time::Duration;

use crate::codec::CodecError;
use crate::observe::NotStored;

/// What is to become of a value that was loaded or is to be written through.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Store it: an envelope's buffer with the payload in it.
    Store { buffer: Vec<u8>, ttl: Duration },
    /// Do not store it.
    Leave(NotStored),
    /// It cannot be stored: it would not read back.
    Refuse(CodecError),
}
