//! The pool: connections lent to one user at a time, for the user's own commands and for `clear`.
//!
//! Lanes are shared by everybody, so a blocking command or a `SELECT` has no place there.

use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, PoolConfig, PoolError, Runtime, Timeouts};
use redis::{AsyncConnectionConfig, ConnectionInfo, cmd};

use super::reply;
use crate::{
    config::RedisConfig,
    error::{ConfigError, StoreError, StoreErrorKind},
};

/// Longest wait for a connection to be given back.
const WAIT: Duration = Duration::from_secs(5);
/// Longest time to connect.
const CREATE: Duration = Duration::from_secs(2);
/// Longest time for the check of a connection before it is lent again.
const RECYCLE: Duration = Duration::from_secs(1);
/// Longest time for a reply, unless the user sets another on the connection.
const RESPONSE: Duration = Duration::from_secs(10);

/// Keys that one `SCAN` looks at and one `UNLINK` removes at most, roughly: some hundred
/// microseconds of the server's time.
const BATCH: usize = 1_000;

/// A pool that connects when first asked.
pub(super) fn build(config: &RedisConfig) -> Result<Pool, ConfigError> {
    let unusable = |reason: String| ConfigError::Url { reason };
    let connection = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CREATE))
        .set_response_timeout(Some(RESPONSE));
    let manager = Manager::new_with_config(config.connection().clone(), connection)
        .map_err(|error| unusable(error.category().to_owned()))?;
    Pool::builder(manager)
        .config(PoolConfig {
            max_size: config.pool_size(),
            timeouts: Timeouts {
                wait: Some(WAIT),
                create: Some(CREATE),
                recycle: Some(RECYCLE),
            },
            ..PoolConfig::default()
        })
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| unusable(error.to_string()))
}

/// Borrows a connection.
pub(super) async fn connection(
    pool: &Pool,
    info: &ConnectionInfo,
) -> Result<Connection, StoreError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => reply::connect_error(&error, info),
        PoolError::Timeout(step) => StoreError::new(
            StoreErrorKind::Timeout,
            format!("no connection from the pool in time ({step:?})"),
        ),
        error => StoreError::new(StoreErrorKind::Unavailable, error.to_string()),
    })
}

/// Removes the keys that match `pattern`, batch by batch; how many there were.
pub(super) async fn clear(mut connection: Connection, pattern: &str) -> Result<u64, StoreError> {
    let mut cursor = 0_u64;
    let mut removed = 0_u64;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) = cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(BATCH)
            .query_async(&mut connection)
            .await
            .map_err(|error| reply::store_error(&error))?;
        if !keys.is_empty() {
            removed += cmd("UNLINK")
                .arg(keys)
                .query_async::<u64>(&mut connection)
                .await
                .map_err(|error| reply::store_error(&error))?;
        }
        if next == 0 {
            return Ok(removed);
        }
        cursor = next;
    }
}
