//! [`Sender`]: the task that writes reads which several callers wait for.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::yield_now;

use super::{lane::Shared, reads::Turn};

/// Writes what callers have left at the desk.
pub(super) struct Sender {
    shared: Arc<Shared>,
    /// Of the connection.
    number: u64,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, number: u64) -> Self {
        Self { shared, number }
    }

    /// Runs until it is aborted with the connection.
    pub(super) async fn run(self) -> Infallible {
        let mut turned = false;
        loop {
            poll_fn(|context| self.poll(&mut turned, context)).await;
            // Until the worker has nothing else to do: everyone who can run now gets in. If somebody
            // keeps it busy, the receiver writes with the next reply.
            yield_now().await;
            turned = true;
        }
    }

    /// Writes as long as there is anything; ready if more may come at once.
    fn poll(&self, turned: &mut bool, context: &mut Context<'_>) -> Poll<()> {
        let reads = &self.shared.reads;
        loop {
            let now = std::mem::take(turned);
            match reads.turn(self.number, now, Some(context.waker())) {
                Turn::Write(mut held) => {
                    if held.write(context).is_pending() {
                        held.leave(context.waker());
                        return Poll::Pending;
                    }
                }
                Turn::Later => return Poll::Ready(()),
                Turn::Nothing => return Poll::Pending,
            }
        }
    }
}
