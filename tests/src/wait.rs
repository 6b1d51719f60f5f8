//! Waiting for a condition, with a limit that only a failing test reaches; and not waiting.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

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

/// Polls a future once, lets other tasks run `turns` times with a poll after each, and drops it.
/// Its output if it was ready in that time.
///
/// A timeout of zero would not do: timers are a millisecond coarse, and that is time enough for
/// Redis to answer.
pub async fn briefly<F: Future>(turns: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut turns = turns;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let Some(left) = turns.checked_sub(1) else {
            return Poll::Ready(None);
        };
        turns = left;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
