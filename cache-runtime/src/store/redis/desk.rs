//! [`Desk`]: the batches of a lane, and when they leave.

use std::{collections::VecDeque, mem, ops::Range, task::Waker, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    batch::{Batch, Once, Read, fail, given_up},
    lane::Failure,
    link::{FEW, Link},
    pen::Pen,
    ticket::Ticket,
};
use crate::key::Key;

/// The most keys in one `MGET`. The server does nothing else meanwhile, and with 2,048 callers more
/// than 256 gained nothing; but a batch of 1,000 ids is to be one command.
pub(super) const MOST_KEYS: usize = 1_024;

/// About how many bytes one `MGET` asks for, going by what came before: small values should not
/// wait for many large ones. Beside readers of 100 KB values, small reads took longer without a
/// limit, and both kinds were slower with an eighth of this.
pub(super) const MOST_BYTES: usize = 512 << 10;

/// With nothing under way, a batch of so many reads, or of half of the [crowd](Link::crowd) if that is more,
/// or one that is full, is written by whoever completes it: the server works on it while others still join
/// the next. With the callers on one processor and the server on another, 64 callers made 1.82 of the calls
/// of a raw `GET` with decoding instead of 1.51. 16 and 32 were the same. 256 callers made 1.05 of the calls
/// where half of them are waited for; with three or five of eight it was less.
pub(super) const ENOUGH: usize = 24;

/// The same beside another batch. 256 callers made 1.05 of the calls again, since they no longer leave all
/// at once and find the server, and then themselves, with nothing to do; 96 and 128 callers 1.02. With
/// fewer, 64 callers made 0.97.
pub(super) const ENOUGH_BESIDE: usize = 2 * FEW;

/// Of few callers, a batch of so many reads, or of all of them, is written by whoever completes it, also
/// with others under way. As above, 16 callers made 1.16 of the calls instead of 0.73, and on whichever
/// processors 1.1 instead of 0.9; where all share one processor 1.4 instead of 1.6, since they have more
/// batches to read and write. Five were the same; with three, six or eight it was less.
pub(super) const ENOUGH_OF_FEW: usize = 4;

/// From so many [few](FEW) callers on, what is left over when others have completed their batches waits for
/// one of the replies, and leaves before that is handed out: the server has something to do meanwhile, and
/// nobody has to see to the rest, for which a task, and with it a worker that sleeps, would be woken each
/// time. 16 callers made 1.1 of the calls, on whichever processors; with 6, 8 or 12 it was less.
pub(super) const SEVERAL: usize = 2 * ENOUGH_OF_FEW + 1;

/// With nothing under way, a batch that has waited so long is written by whoever joins it: a caller
/// keeps its worker busy, and no reply will wake the driver.
pub(super) const OVERDUE: Duration = Duration::from_millis(1);

/// How long reads wait for a reply, or for a batch to be complete, with others under way; then who joins
/// them writes them all the same, unless [enough](Link::most_full_under_way) are under way, and if nobody
/// does, the reply decides. With more, up to 1 ms, 64 and 256 callers beside the server were the same.
pub(super) const PATIENCE: Duration = Duration::from_micros(200);

/// All of [`Reads`](super::reads::Reads), which has it behind a lock.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) link: Option<Link>,
    pub(super) open: Batch,
    /// No more fits in.
    pub(super) full: VecDeque<Batch>,
    /// In the order in which they were written, or are being written.
    pub(super) sent: VecDeque<Batch>,
    /// One that is over, whose room is used again.
    pub(super) spare: Option<Batch>,
    /// The size of a value, as a moving average.
    pub(super) typical_bytes: usize,
    /// How many batches have been answered.
    pub(super) answered: u64,
    /// How many times somebody who reads many keys has begun and not yet ended to join.
    pub(super) companies: usize,
    /// Of those that join in company.
    pub(super) once: Once,
}

/// A connection that has gone, and those who have not got a reply over it.
#[must_use]
pub(super) struct Over {
    pub(super) link: Option<Link>,
    pub(super) reads: Vec<Read>,
}

impl Desk {
    /// A read joins the open batch; none if there is no connection.
    #[inline]
    pub(super) fn add(&mut self, key: &Key, tags: &[Key], time: &Range<Instant>) -> Option<Ticket> {
        let (reply, ticket) = oneshot::channel();
        let apart = self.link.as_ref()?.apart;
        if self.open.keys + 1 + tags.len() > self.most_keys() {
            self.close();
        }
        let batch = &mut self.open;
        if batch.keys == 0 {
            batch.apart = apart;
            batch.answered = self.answered;
        }
        batch.since.get_or_insert(time.start);
        let deadline = given_up(time);
        let once = (self.companies > 0).then(|| self.once.clone());
        batch.add(key, tags, reply, once.clone(), deadline);
        let link = self.link.as_ref()?;
        Some(Ticket {
            reply: ticket,
            timed_by: Some(link.runtime).filter(|_| !link.is_before_alarm(Some(deadline))),
            answered: self.answered,
            once,
        })
    }

    /// The link of this number, if that is the one.
    pub(super) fn link(&mut self, number: u64) -> Option<&mut Link> {
        self.link.as_mut().filter(|link| link.number == number)
    }

    pub(super) fn most_keys(&self) -> usize {
        (MOST_BYTES / self.typical_bytes.max(1)).clamp(1, MOST_KEYS)
    }

    /// Whether who has just joined the open batch is to write, if nobody does: those that are full, or else
    /// the open one.
    pub(super) fn is_ripe(&self, now: Instant) -> bool {
        let Some(link) = &self.link else {
            return false;
        };
        let (open, under_way) = (&self.open, self.sent.len());
        if !self.full.is_empty() {
            return under_way < link.most_full_under_way();
        }
        let is_full = open.keys >= self.most_keys();
        let has = |reads| is_full || open.reads.len() >= reads;
        let waits = || Some(now.saturating_duration_since(open.since?));
        let waited = |time| waits().is_some_and(|waits| waits >= time);
        let is_enough = match link.crowd {
            ..=1 => open.reads.len() == 1 && under_way == 0,
            crowd @ 2..=FEW => {
                under_way < link.most_under_way()
                    && (has(crowd.min(ENOUGH_OF_FEW)) || waited(PATIENCE))
            }
            crowd if under_way == 0 => has(ENOUGH.max(crowd / 2)),
            crowd => {
                has(ENOUGH_BESIDE.max(crowd / 2)) && under_way < link.most_under_way()
                    || waited(PATIENCE) && under_way < link.most_full_under_way()
            }
        };
        is_enough || under_way == 0 && waited(OVERDUE)
    }

    /// Whether the open batch waits for a reply, unless it is completed before.
    pub(super) fn waits_for_reply(&self) -> bool {
        !self.sent.is_empty() && self.leaves_with_reply()
    }

    /// Whether the open batch leaves as soon as a reply comes, before those who get it may join.
    pub(super) fn leaves_with_reply(&self) -> bool {
        let is_of_several = |link: &Link| (SEVERAL..=FEW).contains(&link.crowd) && link.is_near();
        self.link.as_ref().is_some_and(is_of_several)
    }

    pub(super) fn is_all_sent(&self) -> bool {
        self.full.is_empty() && self.open.keys == 0
    }

    /// Whether nobody waits, but for those whose reply is coming.
    pub(super) fn is_clear(&self) -> bool {
        self.sent.is_empty() && self.is_all_sent()
    }

    /// What is left of a connection.
    pub(super) fn give_up(&mut self) -> Over {
        let batches = self.sent.drain(..).chain(self.full.drain(..));
        let batches = batches.chain([mem::take(&mut self.open)]);
        Over {
            reads: batches.flat_map(|batch| batch.reads).collect(),
            link: self.link.take(),
        }
    }

    /// The open batch; another one takes its place.
    pub(super) fn next(&mut self) -> Batch {
        let next = self.spare.take().unwrap_or_default();
        mem::replace(&mut self.open, next)
    }

    /// Full batches leave, as many as may be under way.
    pub(super) fn let_full_leave(&mut self, pen: &mut Pen) {
        let most = self.link.as_ref().map_or(0, Link::most_full_under_way);
        while self.sent.len() < most
            && let Some(batch) = self.full.pop_front()
        {
            batch.leave(pen, &mut self.sent, Instant::now());
        }
    }

    /// Nobody joins the open batch any more.
    pub(super) fn close(&mut self) {
        if self.open.keys > 0 {
            let full = self.next();
            self.full.push_back(full);
        }
    }
}

impl Over {
    /// Outside the lock: it closes and wakes.
    pub(super) fn end(self, failure: &Failure) {
        let driver = self.link.and_then(|link| link.driver);
        fail(self.reads, failure);
        // It may be in the middle of a reply, and keeps the time of those who wait for that.
        driver.into_iter().for_each(Waker::wake);
    }
}
