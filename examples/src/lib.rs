//! Runnable examples, each one idea:
//!
//! * `quickstart`: a slow look-up in a real database, without and with `#[cached]`.
//! * `after_commit`: why an invalidation belongs after the commit.
//! * `freshness`: how old a value may be, and who waits for a new one.
//! * `benchmark`: what the cache does for a function of your own, on a Redis of your own.
