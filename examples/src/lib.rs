//! Runnable examples: see `examples/quickstart`.
