//! [`Ticket`]: what a caller that has joined the reads holds.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{runtime, sync::oneshot};

use super::{
    batch::{Once, Reply},
    lane::gone,
};

/// A caller's right to its reply.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) reply: oneshot::Receiver<Reply>,
    /// Where the driver runs, if that keeps the time.
    pub(super) timed_by: Option<runtime::Id>,
    /// How many batches had been answered when it joined.
    pub(super) answered: u64,
    pub(super) once: Option<Once>,
}

impl Future for Ticket {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let reply = ready!(Pin::new(&mut self.reply).poll(context));
        Poll::Ready(reply.unwrap_or_else(|_| Err(gone().into())))
    }
}

impl Ticket {
    /// Whether its reply has not come yet.
    pub(super) fn waits(&self) -> bool {
        !self.reply.is_terminated() && self.reply.is_empty()
    }

    /// Whether it says anything about the link that it was not answered.
    pub(super) fn counts(&self) -> bool {
        self.once.as_ref().is_none_or(Once::is_first)
    }
}

/// What it has got so far.
#[cfg(test)]
pub(super) fn reply(ticket: &mut Ticket) -> Option<Reply> {
    match Pin::new(ticket).poll(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(reply) => Some(reply),
        Poll::Pending => None,
    }
}
