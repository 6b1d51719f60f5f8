//! What the benchmarks share: rates of calls that are measured side by side, and a Redis server.
//!
//! Absolute numbers differ from machine to machine and from minute to minute, so contenders take
//! turns within one run and are reported as ratios.

mod rate;
mod server;

pub use rate::{Contender, Plan, Rates};
pub use server::RedisServer;
