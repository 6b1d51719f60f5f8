//! Watching over calls: one that is dropped unanswered may be the first sign of a link that hangs.

use std::{
    ops::Range,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    runtime,
    time::{Instant, timeout_at},
};

use super::{
    batch::{Reply, given_up},
    lane::{Shared, late},
    ticket::Ticket,
};
use crate::boxed::Boxed;

/// A call dropped unanswered after this long says something about the link, and so does one whose
/// deadline has passed; one dropped sooner says something about its caller. A read is watched over all
/// the same: where all callers have less patience, somebody else has to find out that the server hangs.
const CUT_OFF: Duration = Duration::from_millis(50);

/// Watches over one call: dropped unfinished after [`CUT_OFF`], it counts as a failure, unless others
/// were answered meanwhile: then it was one of too many.
pub(super) struct Call<'a> {
    shared: &'a Shared,
    started: Instant,
    /// How many had been answered when it started.
    answered: u64,
    finished: bool,
}

impl<'a> Call<'a> {
    pub(super) fn start(shared: &'a Shared) -> Self {
        Self {
            shared,
            started: Instant::now(),
            answered: shared.answered.load(Relaxed),
            finished: false,
        }
    }

    pub(super) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let alone = self.answered == self.shared.answered.load(Relaxed);
        if !self.finished && alone && is_overdue(self.started, None) {
            self.shared.unanswered();
        }
    }
}

/// Watches over a read.
pub(super) struct Waiting<'a> {
    shared: &'a Shared,
    ticket: Ticket,
    here: runtime::Id,
    time: &'a Range<Instant>,
}

impl<'a> Waiting<'a> {
    /// For a caller on this runtime.
    pub(super) fn new(
        shared: &'a Shared,
        ticket: Ticket,
        here: runtime::Id,
        time: &'a Range<Instant>,
    ) -> Self {
        Self {
            shared,
            ticket,
            here,
            time,
        }
    }

    /// Whether its time is kept: the driver looks soon enough, and its runtime is the caller's, which is
    /// driven while the caller waits.
    pub(super) fn is_timed(&self) -> bool {
        self.ticket.timed_by == Some(self.here)
    }

    /// The reply, whenever it comes.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        Pin::new(&mut self.ticket).poll(context)
    }

    /// The reply, if it comes by the deadline.
    pub(super) fn in_time(mut self) -> Boxed<'a, Reply> {
        Box::pin(async move {
            let ticket = timeout_at(given_up(self.time), Pin::new(&mut self.ticket));
            ticket.await.unwrap_or_else(|_| Err(late().into()))
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.ticket.waits() {
            return;
        }
        let deadline = given_up(self.time);
        if !is_overdue(self.time.start, Some(deadline)) {
            self.shared.reads.leave_early(deadline);
        } else if self.shared.reads.is_silent_since(self.ticket.answered) && self.ticket.counts() {
            self.shared.unanswered();
        }
    }
}

/// Whether an unanswered call has been given long enough to say something about the link.
fn is_overdue(since: Instant, deadline: Option<Instant>) -> bool {
    let now = Instant::now();
    now.saturating_duration_since(since) >= CUT_OFF || deadline.is_some_and(|by| now >= by)
}
