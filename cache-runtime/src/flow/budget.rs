//! One deadline for all cache operations of one call.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::error::{StoreError, StoreErrorKind};

/// What is left of the time that the cache may cost one call. The origin's time does not count.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Duration,
    // When a look-up began whose time has not been taken off. After a hit nobody asks for it.
    unsettled: Option<Instant>,
}

/// Longer than anybody waits; a deadline further off may be beyond what the clock counts.
const LONGEST: Duration = Duration::from_hours(365 * 24);

impl Budget {
    pub(crate) fn new(total: Duration) -> Self {
        Self {
            left: total.min(LONGEST),
            unsettled: None,
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.left
    }

    /// Takes off what the last look-up took.
    pub(crate) fn settle(&mut self) {
        if let Some(start) = self.unsettled.take() {
            self.left = self.left.saturating_sub(start.elapsed());
        }
    }

    /// The time for a look-up that begins now, which the store keeps: reads that are sent together
    /// share a timer. What it took is taken off by [`settle`](Self::settle).
    ///
    /// # Errors
    /// If nothing is left.
    pub(crate) fn begin(&mut self) -> Result<Range<Instant>, StoreError> {
        self.settle();
        if self.left.is_zero() {
            return Err(spent());
        }
        let start = Instant::now();
        self.unsettled = Some(start);
        Ok(start..start + self.left)
    }

    /// Runs a cache operation for as long as the budget lasts. Cancel safe if `operation` is.
    pub(crate) async fn spend<T>(
        &mut self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.settle();
        if self.left.is_zero() {
            return Err(spent());
        }
        let mut operation = pin!(operation);
        // What is ready at once, as in the embedded store, needs neither a timer nor a runtime.
        let first = poll_fn(|cx| Poll::Ready(operation.as_mut().poll(cx)));
        if let Poll::Ready(result) = first.await {
            return result;
        }
        if Handle::try_current().is_err() {
            return Err(StoreError::no_runtime());
        }
        let start = Instant::now();
        let result = timeout(self.left, operation).await;
        self.left = self.left.saturating_sub(start.elapsed());
        result.unwrap_or_else(|_| Err(spent()))
    }
}

fn spent() -> StoreError {
    StoreError::new(StoreErrorKind::Timeout, "the call's budget is spent")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn takes(millis: u64) -> Result<(), StoreError> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn all_operations_together_get_one_deadline() {
        let start = Instant::now();
        let mut budget = Budget::new(Duration::from_millis(100));
        budget.spend(takes(60)).await.expect("within the budget");
        tokio::time::sleep(Duration::from_secs(9)).await;
        let late = budget.spend(takes(60)).await.expect_err("40 ms were left");
        assert_eq!(late.kind(), StoreErrorKind::Timeout);
        budget.spend(takes(0)).await.expect_err("nothing is left");
        assert_eq!(start.elapsed(), Duration::from_millis(9100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_counts_before_the_next_begins() {
        let mut budget = Budget::new(Duration::from_millis(100));
        budget.begin().expect("all is left");
        tokio::time::sleep(Duration::from_millis(60)).await;
        let time = budget.begin().expect("40 ms are left");
        assert_eq!(time.end - time.start, Duration::from_millis(40));
        tokio::time::sleep(Duration::from_millis(60)).await;
        budget.begin().expect_err("nothing is left");
    }
}
