//! What can be seen of the cache: an [`Outcome`] per call, the [`Event`]s that led to it, counters
//! per function ([`Stats`]), and one `tracing` event per call.

mod event;
mod outcome;
mod outcomes;
mod stats;

pub use event::{Event, Miss};
pub use outcome::{Bypass, NotStored, Outcome};
pub use outcomes::Outcomes;
pub use stats::{FunctionStats, Stats};

pub(crate) use stats::{Advice, SiteStats, StatsTable};
