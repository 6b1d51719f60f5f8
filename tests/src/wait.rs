//! Waiting for a condition, with a limit that only a failing test reaches.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// The limit of every wait: far above what a loaded machine needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until `condition` gives a value.
///
/// # Panics
///
/// If it gives none within [`PATIENCE`]; names `what` was awaited.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < limit, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Awaits a future that must end.
///
/// # Panics
///
/// If it does not end within [`PATIENCE`]; names `what` was awaited.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("did not end: {what}"))
}
