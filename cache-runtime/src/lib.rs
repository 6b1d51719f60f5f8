//! Caching as a one-line decision.
