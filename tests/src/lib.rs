//! Test support: Redis servers of a test's own, a proxy that misbehaves on request, and waiting
//! for conditions instead of for time.
//!
//! Everything here panics on failure, since every caller is a test.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and says what was missing"
)]

pub mod history;
mod process;
mod proxy;
mod random;
mod reads;
mod server;
mod wait;

pub use process::{pause, resume, shared_now};
pub use proxy::{Mode, Proxy};
pub use random::Random;
pub use reads::{Reads, lasting};
pub use server::{Commands, RedisServer};
pub use wait::{PATIENCE, briefly, eventually, within};
