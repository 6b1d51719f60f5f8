//! [`Batch`]: reads that leave together.

use std::{
    collections::VecDeque,
    mem,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, ThreadId},
};

use bytes::BytesMut;
use tokio::{sync::oneshot, time::Instant};

use super::{
    super::Found,
    answers::Answer,
    lane::{Failure, RESPONSE_TIMEOUT},
    pen::Pen,
    resp,
};
use crate::key::Key;

/// Reads that leave together. Their keys follow one another.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// As they are sent.
    pub(super) arguments: BytesMut,
    pub(super) keys: usize,
    /// Who reads many keys is none, and neither is who joins meanwhile.
    pub(super) callers: usize,
    /// Each key has a command of its own.
    pub(super) apart: bool,
    pub(super) reads: VecDeque<Read>,
    /// When its first read joined.
    pub(super) since: Option<Instant>,
    /// How many batches had been answered then.
    pub(super) answered: u64,
    /// On which thread the driver is to be woken later for it, at last. That may be kept busy, or forget.
    pub(super) called: Option<ThreadId>,
    /// How often everyone who could run has had, or is having, the opportunity to join.
    pub(super) turns: usize,
    /// None before it leaves.
    pub(super) sent: Option<Sent>,
    /// When the first of its reads is over; none if nobody waits.
    pub(super) deadline: Option<Instant>,
}

/// How a batch has left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// When it was written, or began to be.
    pub(super) at: Instant,
    /// Nothing else was under way then.
    pub(super) by_itself: bool,
}

#[derive(Debug)]
pub(super) struct Read {
    /// None once it was given up.
    pub(super) reply: Option<oneshot::Sender<Reply>>,
    pub(super) once: Option<Once>,
    pub(super) keys: usize,
    /// When it is given up.
    pub(super) deadline: Option<Instant>,
}

/// What a read comes to. It changes hands several times, so what seldom comes is elsewhere.
pub(super) type Reply = Result<Found, Box<Failure>>;

/// Whether one of the reads of a company has been late: the others say nothing more about the link.
#[derive(Clone, Debug, Default)]
pub(super) struct Once(Arc<AtomicBool>);

impl Batch {
    /// Whether anybody waits for a reply.
    pub(super) fn is_awaited(&self) -> bool {
        self.deadline.is_some()
    }

    /// Whether one of its reads has got its reply.
    pub(super) fn is_begun(&self) -> bool {
        self.reads.iter().map(|read| read.keys).sum::<usize>() < self.keys
    }

    pub(super) fn add(
        &mut self,
        key: &Key,
        tags: &[Key],
        reply: oneshot::Sender<Reply>,
        once: Option<Once>,
        deadline: Instant,
    ) {
        for key in [key].into_iter().chain(tags) {
            if self.apart {
                resp::put_get_head(&mut self.arguments);
            }
            resp::put_argument(&mut self.arguments, key.as_bytes());
        }
        self.keys += 1 + tags.len();
        self.callers += usize::from(once.is_none());
        self.deadline = Some(self.deadline.map_or(deadline, |first| first.min(deadline)));
        // Written where it stays: what is read in one go just after it was written in pieces keeps
        // the processor waiting, and the desk is locked.
        self.reads.push_back(Read::NOBODYS);
        if let Some(read) = self.reads.back_mut() {
            read.reply = Some(reply);
            read.once = once;
            read.keys = 1 + tags.len();
            read.deadline = Some(deadline);
        }
    }

    /// Whether the driver is to be woken on this thread later, and is not yet.
    pub(super) fn call(&mut self) -> bool {
        let here = Some(thread::current().id());
        self.turns += usize::from(self.called.is_none());
        mem::replace(&mut self.called, here) != here
    }

    /// Is written by who has the pen.
    pub(super) fn leave(mut self, pen: &mut Pen, sent: &mut VecDeque<Self>, now: Instant) {
        pen.load(&self);
        let by_itself = sent.is_empty();
        self.sent = Some(Sent { at: now, by_itself });
        sent.push_back(self);
    }

    pub(super) fn clear(&mut self) {
        self.arguments.clear();
        self.reads.clear();
        (self.keys, self.callers, self.apart) = (0, 0, false);
        (self.since, self.sent, self.deadline) = (None, None, None);
        (self.called, self.turns) = (None, 0);
    }
}

impl Read {
    const NOBODYS: Self = Self {
        reply: None,
        once: None,
        keys: 0,
        deadline: None,
    };

    /// The reply for its caller, unless that was given up.
    pub(super) fn answer(self, reply: Reply) -> Option<Answer> {
        let caller = self.reply?;
        Some(Answer { caller, reply })
    }
}

impl Once {
    pub(super) fn is_first(&self) -> bool {
        !self.0.swap(true, Relaxed)
    }
}

/// When a read is given up whose caller has so much time.
pub(super) fn given_up(time: &Range<Instant>) -> Instant {
    time.end.min(time.start + RESPONSE_TIMEOUT)
}

/// Hands a failure to everyone.
pub(super) fn fail(reads: impl IntoIterator<Item = Read>, failure: &Failure) {
    reads
        .into_iter()
        .filter_map(|read| read.answer(Err(failure.clone().into())))
        .for_each(Answer::deliver);
}
