//! Runnable examples, each one idea:
//!
//! * `quickstart`: a slow look-up in a real database, without and with `#[cached]`.
//! * `after_commit`: why an invalidation belongs after the commit.
//! * `freshness`: how old a value may be, and who waits for a new one.
//! * `benchmark`: what the cache does for a function of your own, on a Redis of your own.

use std::time::Duration;

/// A duration with two or three digits and its unit.
#[must_use]
pub fn short(time: Duration) -> String {
    let nanoseconds = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        1e3..1e6 => (nanoseconds / 1e3, "µs"),
        1e6..1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let digits = usize::from(value < 100.0);
    format!("{value:.digits$} {unit}")
}
