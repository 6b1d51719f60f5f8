//! The desk where reads gather: those that wait at the same moment leave together, and each gets its
//! own part of the reply.
//!
//! ```text
//!   caller ──join──► open batch ──pen──► sent ──► server
//!   caller ◄── its ticket ◄── answers ◄── driver ◄── server
//! ```
//!
//! Whoever has the [`Pen`] writes: a caller with nobody beside it, one that completes a batch or finds
//! one that has waited too long, otherwise the driver. When that is, the [`Desk`] knows.

use std::{
    ops::Range,
    task::{Context, Poll, Waker},
    thread,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{runtime, time::Instant};

use super::{
    batch::{Batch, Once},
    desk::Desk,
    lane::{Failure, gone},
    later::wake_later,
    link::{Left, Link},
    pen::Pen,
    ticket::Ticket,
};
use crate::key::Key;

/// The reads of one lane. Every call writes here, so what others only read does not share a cache
/// line with it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Reads {
    desk: Mutex<Desk>,
}

/// When the driver has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Replies have come, whose callers do not know yet. Those of [several](super::desk::SEVERAL) who wait
    /// leave.
    Reply,
    /// Replies have just been handed out. Who runs on another worker may take more than one turn to join.
    Busy,
    Idle,
}

/// What there is to write.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    Write(Held<'a>),
    /// There is an open batch that may still grow.
    Later,
    /// The same with nothing under way: no reply will bring the driver back to it.
    Soon,
    /// Nothing, or somebody writes.
    Nothing,
}

/// The pen in somebody's hand, with what is to be written.
#[derive(Debug)]
pub(super) struct Held<'a> {
    reads: &'a Reads,
    number: u64,
    pen: Option<Pen>,
}

/// Somebody who reads many keys joins with each of them: until the last has joined, nobody leaves.
#[derive(Debug)]
#[must_use]
pub(super) struct Company<'a> {
    reads: &'a Reads,
}

impl Reads {
    /// A connection comes, whose driver lives on this runtime. Whoever has not got a reply
    /// over the one before it fails, and one from before that has come too late.
    pub(super) fn attach(&self, number: u64, runtime: runtime::Id, pen: Pen) {
        let link = Link::new(number, runtime, pen);
        let mut desk = self.desk.lock();
        if desk
            .link
            .as_ref()
            .is_some_and(|newer| newer.number > number)
        {
            return;
        }
        let over = desk.give_up();
        desk.link = Some(link);
        drop(desk);
        over.end(&gone());
    }

    /// Whether this connection has not gone.
    pub(super) fn is_attached(&self, number: u64) -> bool {
        self.desk.lock().link(number).is_some()
    }

    /// Whether no batch has been answered since so many were.
    pub(super) fn is_silent_since(&self, answered: u64) -> bool {
        self.desk.lock().answered == answered
    }

    /// Whether anybody waits for a reply over this connection.
    pub(super) fn is_awaited(&self, number: u64) -> bool {
        let mut desk = self.desk.lock();
        desk.link(number).is_some() && desk.sent.iter().any(Batch::is_awaited)
    }

    /// The connection goes, and whoever has not got a reply over it fails.
    pub(super) fn detach(&self, number: u64, failure: &Failure) {
        let mut desk = self.desk.lock();
        if desk.link(number).is_none() {
            return;
        }
        let over = desk.give_up();
        drop(desk);
        over.end(failure);
    }

    /// From now on each key has a command of its own.
    pub(super) fn part(&self, number: u64) {
        let mut desk = self.desk.lock();
        if let Some(link) = desk.link(number) {
            link.apart = true;
            desk.close();
        }
    }

    /// Joins the open batch; none if there is no connection. Who has nobody beside it gets the pen,
    /// and who completes a batch that is large enough or finds one that has waited too long.
    ///
    /// The time begins now. The driver gives the read up at its end, or before it after
    /// [some time](given_up), if it looks by then anyway. It is not woken for that: a caller that keeps
    /// its worker busy might keep it from running.
    pub(super) fn join(
        &self,
        key: &Key,
        tags: &[Key],
        time: &Range<Instant>,
    ) -> Option<(Ticket, Option<Held<'_>>)> {
        let mut desk = self.desk.lock();
        let ticket = desk.add(key, tags, time)?;
        Some((ticket, self.joined(desk, time.start)))
    }

    /// The same with a command of its own: if that is refused, it says nothing of others.
    pub(super) fn join_alone(
        &self,
        key: &Key,
        time: &Range<Instant>,
    ) -> Option<(Ticket, Option<Held<'_>>)> {
        let mut desk = self.desk.lock();
        desk.close();
        let ticket = desk.add(key, &[], time)?;
        desk.close();
        Some((ticket, self.joined(desk, time.start)))
    }

    /// Somebody has joined: who does, with the pen, or the driver sees to what is to be written.
    #[inline]
    fn joined(&self, mut guard: MutexGuard<'_, Desk>, now: Instant) -> Option<Held<'_>> {
        let desk = &mut *guard;
        if desk.companies > 0 {
            return None;
        }
        let link = desk.link.as_ref()?;
        let most = match desk.full.is_empty() {
            true => link.most_under_way(),
            false => link.most_full_under_way(),
        };
        let may = desk.sent.len() < most && !desk.waits_for_reply();
        if desk.is_ripe(now)
            && let Some(link) = &mut desk.link
            && let Some(mut pen) = link.pen.take_if(|pen| pen.is_idle())
        {
            let number = link.number;
            match desk.full.is_empty() {
                true => desk.next().leave(&mut pen, &mut desk.sent, now),
                false => desk.let_full_leave(&mut pen),
            }
            return Some(Held::new(self, number, pen));
        }
        let idle = desk.link.as_ref().filter(|link| may && link.idle);
        // Full ones are not called for: nobody will complete them.
        let driver = idle.filter(|_| desk.open.keys == 0 || desk.open.call());
        let driver = driver.and_then(|link| link.driver.clone());
        drop(guard);
        driver.iter().for_each(wake_later);
        None
    }

    /// Somebody gives up a read whose time is not over yet. Of all who do until somebody is answered, the
    /// driver keeps the time of the first.
    pub(super) fn leave_early(&self, deadline: Instant) {
        let mut desk = self.desk.lock();
        let answered = desk.answered;
        let Some(link) = &mut desk.link else {
            return;
        };
        if link.left.is_some_and(|left| left.answered == answered) {
            return;
        }
        link.left = Some(Left { deadline, answered });
        let driver = link.driver.clone();
        let driver = driver.filter(|_| link.is_before_alarm(Some(deadline)));
        drop(desk);
        driver.iter().for_each(wake_later);
    }

    /// Whoever joins from now on leaves with all others who do, when this is dropped. In between
    /// nothing must be awaited: other callers join as well.
    pub(super) fn company(&self) -> Company<'_> {
        let mut desk = self.desk.lock();
        desk.companies += 1;
        desk.once = Once::default();
        Company { reads: self }
    }

    /// A company is complete, and leaves at once with all who have joined by now. It does not wait
    /// for one that has begun meanwhile, on another thread: they might follow each other for ever.
    fn depart(&self) {
        let mut desk = self.desk.lock();
        desk.companies = desk.companies.saturating_sub(1);
        if desk.is_all_sent() {
            return;
        }
        desk.close();
        let Some(link) = &mut desk.link else {
            return;
        };
        let number = link.number;
        let Some(mut pen) = link.pen.take_if(|pen| pen.is_idle()) else {
            // Who has the pen has the driver go on.
            let driver = link.idle_driver();
            drop(desk);
            driver.iter().for_each(wake_later);
            return;
        };
        desk.let_full_leave(&mut pen);
        let mut held = Held::new(self, number, pen);
        drop(desk);
        // What the connection does not take at once, the driver writes.
        let _ = held.write(&mut Context::from_waker(Waker::noop()));
    }

    /// The driver takes the pen to write all that is to be written; the open batch only if no others are
    /// likely to join at this [moment](Moment). It is woken when there is something again.
    pub(super) fn turn(&self, number: u64, moment: Moment) -> Turn<'_> {
        let mut guard = self.desk.lock();
        let desk = &mut *guard;
        // The driver ends a connection that cannot be written to.
        let Some(link) = desk.link(number).filter(|link| link.failure.is_none()) else {
            return Turn::Nothing;
        };
        let Some(mut pen) = link.pen.take() else {
            link.idle = true;
            return Turn::Nothing;
        };
        let (most, alone) = (link.most_under_way(), link.crowd <= 1);
        let waits = desk.waits_for_reply();
        let now = match moment {
            Moment::Reply => desk.leaves_with_reply(),
            _ if alone && desk.sent.is_empty() && desk.full.is_empty() => true,
            Moment::Busy => desk.open.turns >= 2,
            Moment::Idle => desk.open.turns >= 1,
        };
        desk.let_full_leave(&mut pen);
        let may = desk.sent.len() < most && desk.full.is_empty();
        let may = may && desk.companies == 0 && desk.open.keys > 0;
        if may && now {
            let batch = desk.next();
            batch.leave(&mut pen, &mut desk.sent, Instant::now());
        }
        if !pen.is_idle() {
            return Turn::Write(Held::new(self, number, pen));
        }
        let sleeps = moment != Moment::Reply;
        let later = may && !waits && sleeps;
        if later {
            desk.open.turns += 1;
            desk.open.called = Some(thread::current().id());
        }
        if let Some(link) = &mut desk.link {
            link.pen = Some(pen);
            link.idle = sleeps;
        }
        match later {
            true if desk.sent.is_empty() => Turn::Soon,
            true => Turn::Later,
            false => Turn::Nothing,
        }
    }

    /// The driver is there.
    pub(super) fn attend(&self, number: u64, driver: &Waker) {
        let driver = driver.clone();
        if let Some(link) = self.desk.lock().link(number) {
            link.driver = Some(driver);
        }
    }

    /// When to look for reads whose time is over, if that is sooner than before; the driver's own
    /// batch counts too.
    ///
    /// # Errors
    /// If the connection has failed, or has gone.
    pub(super) fn arm(
        &self,
        number: u64,
        received: Option<&Batch>,
    ) -> Result<Option<Instant>, Failure> {
        let mut desk = self.desk.lock();
        let batches = received.into_iter().chain(&desk.sent);
        let batches = batches.chain(&desk.full).chain([&desk.open]);
        let first = batches.filter_map(|batch| batch.deadline).min();
        let link = desk.link(number).ok_or_else(gone)?;
        let left = link.left.map(|left| left.deadline);
        let first = first.into_iter().chain(left).min();
        if let Some(failure) = link.failure.clone() {
            return Err(failure);
        }
        let sooner = first.filter(|_| link.is_before_alarm(first));
        link.alarm = sooner.or(link.alarm);
        Ok(sooner)
    }

    /// The batch whose reply comes next.
    pub(super) fn next(&self, number: u64) -> Option<Batch> {
        let mut desk = self.desk.lock();
        desk.link(number)?;
        let batches = desk.sent.iter().chain(&desk.full).chain([&desk.open]);
        let waiting: usize = batches.map(|batch| batch.callers).sum();
        let batch = desk.sent.pop_front()?;
        if let Some(link) = desk.link(number) {
            link.count(waiting);
            // It is at work, and looks at the desk before it sleeps.
            link.idle = false;
            if let Some(sent) = batch.sent {
                link.took(sent.at.elapsed(), sent.by_itself);
            }
        }
        Some(batch)
    }

    /// Gives back the room of a batch that is over, whose values weighed so much.
    pub(super) fn recycle(&self, mut batch: Batch, bytes: usize) {
        let mut desk = self.desk.lock();
        if let Some(each) = bytes.checked_div(batch.keys) {
            desk.typical_bytes = match desk.typical_bytes {
                0 => each,
                before => before - before / 4 + each / 4,
            };
        }
        batch.clear();
        desk.spare = Some(batch);
        desk.answered += 1;
    }

    /// Answers those whose time is over. How many were still waiting while nobody else was answered
    /// (the others were too many), a company counting as one; and one more if somebody had
    /// [left](Self::leave_early) before, and nobody was answered since.
    pub(super) fn expire(
        &self,
        number: u64,
        received: Option<&mut Batch>,
        now: Instant,
        failure: &Failure,
    ) -> usize {
        let mut late = Vec::new();
        let mut guard = self.desk.lock();
        let desk = &mut *guard;
        let answered = desk.answered;
        let Some(link) = desk.link(number) else {
            return 0;
        };
        link.alarm = None;
        let left = link.left.take_if(|left| left.deadline <= now);
        let unheard = left.is_some_and(|left| left.answered == answered);
        let mut alone = usize::from(unheard && (received.is_some() || !desk.is_clear()));
        let batches = received.into_iter().chain(&mut desk.sent);
        for batch in batches.chain(&mut desk.full).chain([&mut desk.open]) {
            if batch.deadline.is_none_or(|first| first > now) {
                continue;
            }
            let is_alone = batch.answered == answered && !batch.is_begun();
            for read in &mut batch.reads {
                if read.deadline.is_some_and(|deadline| deadline <= now)
                    && let Some(reply) = read.reply.take()
                {
                    late.push((reply, read.once.take(), is_alone));
                }
            }
            let waiting = batch.reads.iter().filter(|read| read.reply.is_some());
            batch.deadline = waiting.filter_map(|read| read.deadline).min();
        }
        // Nobody waits for what they would bring.
        desk.full.retain(Batch::is_awaited);
        if !desk.open.is_awaited() {
            desk.open.clear();
        }
        drop(guard);
        for (reply, once, is_alone) in late {
            let waited = reply.send(Err(failure.clone().into())).is_ok();
            let counts = waited && is_alone && once.as_ref().is_none_or(Once::is_first);
            alone += usize::from(counts);
        }
        alone
    }

    /// Puts the pen back, and has the driver go on with what is left, if this is not the driver.
    fn put_down(&self, number: u64, pen: Pen, failure: Option<Failure>, is_driver: bool) {
        let mut desk = self.desk.lock();
        let rest = !pen.is_idle();
        let waits = desk.open.keys == 0 || desk.waits_for_reply();
        let left = rest || !desk.full.is_empty() || !waits;
        let Some(link) = desk.link(number) else {
            // Outside the lock: it may close the connection.
            drop(desk);
            drop(pen);
            return;
        };
        link.pen = Some(pen);
        let wake = match failure {
            Some(failure) => {
                link.failure = Some(failure);
                link.driver.clone()
            }
            // It has another turn, unless the connection takes no more.
            None if is_driver => {
                link.idle = rest;
                None
            }
            None if left => link.idle_driver(),
            None => None,
        };
        drop(desk);
        wake.iter().for_each(wake_later);
    }
}

impl<'a> Held<'a> {
    fn new(reads: &'a Reads, number: u64, pen: Pen) -> Self {
        Self {
            reads,
            number,
            pen: Some(pen),
        }
    }

    /// Writes what the connection takes; ready if that is everything.
    pub(super) fn write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(pen) = &mut self.pen else {
            return Poll::Ready(());
        };
        pen.write(context)
    }

    /// The driver leaves the rest, if any, until the connection takes more.
    pub(super) fn leave(mut self) {
        self.put_down(true);
    }

    fn put_down(&mut self, is_driver: bool) {
        if let Some(mut pen) = self.pen.take() {
            let failure = pen.failure();
            self.reads.put_down(self.number, pen, failure, is_driver);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.put_down(false);
    }
}

impl Drop for Company<'_> {
    fn drop(&mut self) {
        self.reads.depart();
    }
}

#[cfg(test)]
mod tests;
