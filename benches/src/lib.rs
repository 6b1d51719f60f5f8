//! What the benchmarks share: a Redis server.

mod server;

pub use server::RedisServer;
