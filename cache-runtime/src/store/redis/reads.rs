//! The desk where reads gather: those that wait at the same moment leave together, and each gets its
//! own part of the reply.
//!
//! ```text
//!   caller ──join──► open batch ──pen──► sent ──► server
//!   caller ◄── its ticket ◄── answers ◄── driver ◄── server
//! ```
//!
//! Whoever has the [`Pen`] writes: a caller with nobody beside it, one that completes a batch or finds
//! one that has waited too long, otherwise the driver. No I/O here.

use std::{
    collections::VecDeque,
    future::Future,
    mem,
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    thread::{self, ThreadId},
    time::Duration,
};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::{runtime, sync::oneshot, time::Instant};

use super::{
    super::Found,
    answers::Answer,
    lane::{Failure, RESPONSE_TIMEOUT, gone},
    later::wake_later,
    pen::Pen,
    resp,
};
use crate::key::Key;

/// The most keys in one `MGET`. The server does nothing else meanwhile, and with 2,048 callers more
/// than 256 gained nothing; but a batch of 1,000 ids is to be one command.
const MOST_KEYS: usize = 1_024;

/// About how many bytes one `MGET` asks for, going by what came before: small values should not
/// wait for many large ones. Beside readers of 100 KB values, small reads took longer without a
/// limit, and both kinds were slower with an eighth of this.
const MOST_BYTES: usize = 512 << 10;

/// With nothing under way, a batch of so many reads, or of half of all callers if that is more, is written
/// by whoever completes it: the server works on it while others still join the next. With the callers on
/// one processor and the server on another, 64 callers made 1.82 of the calls of a raw `GET` with decoding
/// instead of 1.51. 16 and 32 were the same. 256 callers made 1.05 of the calls where half of them are
/// waited for; with three or five of eight it was less.
const ENOUGH: usize = 24;

/// The same beside another batch. 256 callers made 1.05 of the calls again, since they no longer leave all
/// at once and find the server, and then themselves, with nothing to do; 96 and 128 callers 1.02. With
/// fewer, 64 callers made 0.97.
const ENOUGH_BESIDE: usize = 2 * FEW;

/// The most callers that are few. All that they do takes less than a round trip, so they and the server
/// would take turns at waiting for each other; and to wake a processor may take longer than the work.
const FEW: usize = 32;

/// More callers than this are not told apart: when they are gone, those that are left are soon few.
const MANY: usize = 16 * FEW;

/// Of few callers, a batch of so many reads, or of all of them, is written by whoever completes it, also
/// with others under way. As above, 16 callers made 1.16 of the calls instead of 0.73, and on whichever
/// processors 1.1 instead of 0.9; where all share one processor 1.4 instead of 1.6, since they have more
/// batches to read and write. Five were the same; with three, six or eight it was less.
const ENOUGH_OF_FEW: usize = 4;

/// From so many [few](FEW) callers on, what is left over when others have completed their batches waits for
/// one of the replies, and leaves before that is handed out: the server has something to do meanwhile, and
/// nobody has to see to the rest, for which a task, and with it a worker that sleeps, would be woken each
/// time. 16 callers made 1.1 of the calls, on whichever processors; with 6, 8 or 12 it was less.
const SEVERAL: usize = 2 * ENOUGH_OF_FEW + 1;

/// With nothing under way, a batch that has waited so long is written by whoever joins it: a caller
/// keeps its worker busy, and no reply will wake the driver.
const OVERDUE: Duration = Duration::from_millis(1);

/// The most batches under way at a time to a server that is [near](NEAR): reads that come then wait for
/// one of the replies, so the busier the server, the more of them leave together; and those that wait in
/// vain are not sent, so that a server that is behind catches up. All that are of [few](FEW) callers may
/// be under way, unless there have just been fewer.
const MOST_UNDER_WAY: usize = 8;

/// The same of more than [few](FEW) callers, as long as their batch is not full and has
/// [patience](PATIENCE): so more of them leave together. 64 callers made 1.05 of the calls with two instead
/// of eight or three, on whichever processors, and 256 callers 1.0 to 1.05; with one it was less.
const MOST_UNDER_WAY_OF_MANY: usize = 2;

/// How long the reads of [several](SEVERAL) callers or of many wait for a reply; then who joins them writes
/// them all the same, unless [enough](MOST_UNDER_WAY) are under way, and if nobody does, the reply decides.
/// With more, up to 1 ms, 64 and 256 callers beside the server were the same.
pub(super) const PATIENCE: Duration = Duration::from_micros(200);

/// A server is near whose replies take no longer than this. Whoever waits for a reply before it leaves
/// waits as long as the way to the server is, so with one that is far few have to.
const NEAR: Duration = Duration::from_micros(500);

/// The most batches under way to a server that is not [near](NEAR). With 10 ms to the server and back, the
/// last of a burst of 30, 100 or 300 callers had its reply after 13 ms, and after 25 with eight.
const MOST_UNDER_WAY_AFAR: usize = 64;

/// No server is nearer, so from here on longer ways are found to be longer.
const LEAST_WAY: Duration = Duration::from_micros(1);

/// The reads of one lane. Every call writes here, so what others only read does not share a cache
/// line with it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Reads {
    desk: Mutex<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    link: Option<Link>,
    open: Batch,
    /// No more fits in.
    full: VecDeque<Batch>,
    /// In the order in which they were written, or are being written.
    sent: VecDeque<Batch>,
    /// One that is over, whose room is used again.
    spare: Option<Batch>,
    /// The size of a value, as a moving average.
    typical_bytes: usize,
    /// How many batches have been answered.
    answered: u64,
    /// How many times somebody who reads many keys has begun and not yet ended to join.
    companies: usize,
    /// Of those that join in company.
    once: Once,
}

/// The connection that the reads go over.
#[derive(Debug)]
struct Link {
    number: u64,
    /// Where its driver runs.
    runtime: runtime::Id,
    /// None while somebody writes.
    pen: Option<Pen>,
    driver: Option<Waker>,
    /// The driver is to be woken if there is something to write: it is not at work.
    idle: bool,
    /// When the driver will look for reads whose time is over.
    alarm: Option<Instant>,
    left: Option<Left>,
    /// About how many callers there are, up to [`MANY`]: as many as have waited at a time lately.
    crowd: usize,
    /// How long a reply has taken at least of late. What the server worked on before for this lane does not
    /// count, since to wait for that here is no worse: other replies than to a batch
    /// [by itself](Sent::by_itself), which there is none of while many ask without a break, can only show
    /// that the way is shorter. None before the first.
    way: Option<Duration>,
    /// The server refuses `MGET`.
    apart: bool,
    /// Writing has failed.
    failure: Option<Failure>,
}

/// A connection that has gone, and those who have not got a reply over it.
#[must_use]
struct Over {
    link: Option<Link>,
    reads: Vec<Read>,
}

/// Somebody who has given up a read.
#[derive(Clone, Copy, Debug)]
struct Left {
    /// When its time is over.
    deadline: Instant,
    /// How many batches had been answered when it left.
    answered: u64,
}

/// Reads that leave together. Their keys follow one another.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// As they are sent.
    pub(super) arguments: BytesMut,
    pub(super) keys: usize,
    /// Who reads many keys is none, and neither is who joins meanwhile.
    callers: usize,
    /// Each key has a command of its own.
    pub(super) apart: bool,
    pub(super) reads: VecDeque<Read>,
    /// When its first read joined.
    since: Option<Instant>,
    /// How many batches had been answered then.
    answered: u64,
    /// On which thread the driver is to be woken later for it, at last. That may be kept busy, or forget.
    called: Option<ThreadId>,
    /// How often everyone who could run has had, or is having, the opportunity to join.
    turns: usize,
    /// None before it leaves.
    sent: Option<Sent>,
    /// When the first of its reads is over; none if nobody waits.
    pub(super) deadline: Option<Instant>,
}

/// How a batch has left.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// When it was written, or began to be.
    at: Instant,
    /// Nothing else was under way then.
    by_itself: bool,
}

/// Whether one of the reads of a company has been late: the others say nothing more about the link.
#[derive(Clone, Debug, Default)]
struct Once(Arc<AtomicBool>);

impl Once {
    fn is_first(&self) -> bool {
        !self.0.swap(true, Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct Read {
    /// None once it was given up.
    reply: Option<oneshot::Sender<Reply>>,
    once: Option<Once>,
    pub(super) keys: usize,
    /// None as long as nobody has it.
    deadline: Option<Instant>,
}

/// What a read comes to. It changes hands several times, so what seldom comes is elsewhere.
pub(super) type Reply = Result<Found, Box<Failure>>;

/// When the driver has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Replies have come, whose callers do not know yet. Those of [several](SEVERAL) who wait leave.
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

/// A caller's right to its reply.
#[derive(Debug)]
pub(super) struct Ticket {
    reply: oneshot::Receiver<Reply>,
    /// Where the driver runs, if that keeps the time.
    pub(super) timed_by: Option<runtime::Id>,
    once: Option<Once>,
}

impl Reads {
    /// A connection comes, whose driver lives on this runtime. Whoever has not got a reply
    /// over the one before it fails, and one from before that has come too late.
    pub(super) fn attach(&self, number: u64, runtime: runtime::Id, pen: Pen) {
        let link = Link {
            number,
            runtime,
            pen: Some(pen),
            driver: None,
            idle: false,
            alarm: None,
            left: None,
            crowd: 0,
            way: None,
            apart: false,
            failure: None,
        };
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
    /// [`RESPONSE_TIMEOUT`], if it looks by then anyway. It is not woken for that: a caller that keeps
    /// its worker busy might keep it from running.
    pub(super) fn join(
        &self,
        key: &Key,
        tags: &[Key],
        time: &Range<Instant>,
    ) -> Option<(Ticket, Option<Held<'_>>)> {
        let (reply, ticket) = oneshot::channel();
        let mut guard = self.desk.lock();
        let desk = &mut *guard;
        let apart = desk.link.as_ref()?.apart;
        if desk.open.keys + 1 + tags.len() > desk.most_keys() {
            desk.close();
        }
        let batch = &mut desk.open;
        if batch.keys == 0 {
            batch.apart = apart;
            batch.answered = desk.answered;
        }
        batch.since.get_or_insert(time.start);
        let deadline = given_up(time);
        let once = (desk.companies > 0).then(|| desk.once.clone());
        batch.add(key, tags, reply, once.clone(), deadline);
        let link = desk.link.as_mut()?;
        let ticket = Ticket {
            reply: ticket,
            timed_by: Some(link.runtime).filter(|_| !link.is_before_alarm(Some(deadline))),
            once,
        };
        if desk.companies > 0 {
            return Some((ticket, None));
        }
        let most = match desk.full.is_empty() {
            true => link.most_under_way(),
            false => link.most_full_under_way(),
        };
        let may = desk.sent.len() < most && !desk.waits_for_reply();
        if desk.is_ripe(time.start)
            && let Some(link) = &mut desk.link
            && let Some(mut pen) = link.pen.take_if(|pen| pen.is_idle())
        {
            let number = link.number;
            let batch = desk.next();
            batch.leave(&mut pen, &mut desk.sent, time.start);
            return Some((ticket, Some(Held::new(self, number, pen))));
        }
        let idle = desk.link.as_ref().filter(|link| may && link.idle);
        let driver = idle.filter(|_| desk.open.call());
        let driver = driver.and_then(|link| link.driver.clone());
        drop(guard);
        driver.iter().for_each(wake_later);
        Some((ticket, None))
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
        driver.into_iter().for_each(Waker::wake);
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
            let driver = link.rouse();
            drop(desk);
            driver.into_iter().for_each(Waker::wake);
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
        let may = desk.sent.len() < most && desk.companies == 0;
        let waits = desk.waits_for_reply();
        let now = match moment {
            Moment::Reply => desk.leaves_with_reply(),
            _ if alone && desk.sent.is_empty() && desk.full.is_empty() => true,
            Moment::Busy => desk.open.turns >= 2,
            Moment::Idle => desk.open.turns >= 1,
        };
        desk.let_full_leave(&mut pen);
        let may = may && desk.full.is_empty() && desk.open.keys > 0;
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
            let gone = match waiting {
                0 | 1 => link.crowd.div_ceil(2),
                _ => link.crowd.div_ceil(8),
            };
            link.crowd = (link.crowd - gone).max(waiting).min(MANY);
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
            for read in &mut batch.reads {
                if read.deadline.is_some_and(|deadline| deadline <= now)
                    && let Some(reply) = read.reply.take()
                {
                    late.push((reply, read.once.take(), batch.answered == answered));
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
            None if left => link.rouse(),
            None => None,
        };
        drop(desk);
        wake.into_iter().for_each(Waker::wake);
    }
}

impl Link {
    /// The driver, if it is to be woken.
    fn rouse(&mut self) -> Option<Waker> {
        let idle = mem::take(&mut self.idle);
        self.driver.clone().filter(|_| idle)
    }

    /// The reply to a batch took so long.
    fn took(&mut self, time: Duration, by_itself: bool) {
        let longer = |way: Duration| way.max(LEAST_WAY) * 9 / 8;
        self.way = match self.way {
            Some(way) if time < way || by_itself => Some(time.min(longer(way))),
            way => way.or(Some(time)),
        };
    }

    /// How many batches may be under way, if the next may still grow.
    fn most_under_way(&self) -> usize {
        match self.way {
            Some(way) if way > NEAR => MOST_UNDER_WAY_AFAR,
            _ if self.crowd > FEW => MOST_UNDER_WAY_OF_MANY,
            _ => MOST_UNDER_WAY,
        }
    }

    /// The same of those that are full, or have waited.
    fn most_full_under_way(&self) -> usize {
        self.most_under_way().max(MOST_UNDER_WAY)
    }

    /// Whether the callers are few, but more than two batches of them, and the server is near.
    fn is_of_several(&self) -> bool {
        let several = SEVERAL..=FEW;
        several.contains(&self.crowd) && self.way.is_some_and(|way| way <= NEAR)
    }

    fn is_before_alarm(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| self.alarm.is_none_or(|alarm| deadline < alarm))
    }
}

impl Over {
    /// Outside the lock: it closes and wakes.
    fn end(self, failure: &Failure) {
        let driver = self.link.and_then(|link| link.driver);
        fail(self.reads, failure);
        // It may be in the middle of a reply, and keeps the time of those who wait for that.
        driver.into_iter().for_each(Waker::wake);
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

impl Desk {
    /// The link of this number, if that is the one.
    fn link(&mut self, number: u64) -> Option<&mut Link> {
        self.link.as_mut().filter(|link| link.number == number)
    }

    fn most_keys(&self) -> usize {
        (MOST_BYTES / self.typical_bytes.max(1)).clamp(1, MOST_KEYS)
    }

    /// Whether the open batch is to be written by who has just joined it, if nobody writes.
    fn is_ripe(&self, now: Instant) -> bool {
        let Some(link) = self.link.as_ref().filter(|_| self.full.is_empty()) else {
            return false;
        };
        let (open, under_way) = (&self.open, self.sent.len());
        let waits = || Some(now.saturating_duration_since(open.since?));
        let waited = |time| waits().is_some_and(|waits| waits >= time);
        let is_enough = match link.crowd {
            ..=1 => open.reads.len() == 1 && under_way == 0,
            crowd @ 2..=FEW => {
                under_way < link.most_under_way()
                    && (open.reads.len() >= crowd.min(ENOUGH_OF_FEW) || waited(PATIENCE))
            }
            crowd if under_way == 0 => open.reads.len() >= ENOUGH.max(crowd / 2),
            crowd => {
                let is_large = open.reads.len() >= ENOUGH_BESIDE.max(crowd / 2);
                is_large && under_way < link.most_under_way()
                    || waited(PATIENCE) && under_way < link.most_full_under_way()
            }
        };
        is_enough || under_way == 0 && waited(OVERDUE)
    }

    /// Whether the open batch waits for a reply, unless it is completed before.
    fn waits_for_reply(&self) -> bool {
        !self.sent.is_empty() && self.leaves_with_reply()
    }

    /// Whether the open batch leaves as soon as a reply comes, before those who get it may join.
    fn leaves_with_reply(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_of_several)
    }

    fn is_all_sent(&self) -> bool {
        self.full.is_empty() && self.open.keys == 0
    }

    /// Whether nobody waits, but for those whose reply is coming.
    fn is_clear(&self) -> bool {
        self.sent.is_empty() && self.is_all_sent()
    }

    /// What is left of a connection.
    fn give_up(&mut self) -> Over {
        let batches = self.sent.drain(..).chain(self.full.drain(..));
        let batches = batches.chain([mem::take(&mut self.open)]);
        Over {
            reads: batches.flat_map(|batch| batch.reads).collect(),
            link: self.link.take(),
        }
    }

    /// The open batch; another one takes its place.
    fn next(&mut self) -> Batch {
        let next = self.spare.take().unwrap_or_default();
        mem::replace(&mut self.open, next)
    }

    /// Full batches leave, as many as may be under way.
    fn let_full_leave(&mut self, pen: &mut Pen) {
        let most = self.link.as_ref().map_or(0, Link::most_full_under_way);
        while self.sent.len() < most
            && let Some(batch) = self.full.pop_front()
        {
            batch.leave(pen, &mut self.sent, Instant::now());
        }
    }

    /// Nobody joins the open batch any more.
    fn close(&mut self) {
        if self.open.keys > 0 {
            let full = self.next();
            self.full.push_back(full);
        }
    }
}

impl Batch {
    /// Whether anybody waits for a reply.
    pub(super) fn is_awaited(&self) -> bool {
        self.deadline.is_some()
    }

    fn add(
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
    fn call(&mut self) -> bool {
        let here = Some(thread::current().id());
        self.turns += usize::from(self.called.is_none());
        mem::replace(&mut self.called, here) != here
    }

    /// Is written by who has the pen.
    fn leave(mut self, pen: &mut Pen, sent: &mut VecDeque<Self>, now: Instant) {
        pen.load(&self);
        let by_itself = sent.is_empty();
        self.sent = Some(Sent { at: now, by_itself });
        sent.push_back(self);
    }

    fn clear(&mut self) {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

    use super::{super::woken::Woken, *};

    const LINK: u64 = 7;
    const LONG: Duration = Duration::from_secs(1);

    fn key(text: &str) -> Key {
        Key::raw("reads", text)
    }

    /// A time that begins now.
    fn lasting(limit: Duration) -> Range<Instant> {
        let now = Instant::now();
        now..now + limit
    }

    /// A desk with a connection, and what is written to it.
    fn desk() -> (Reads, DuplexStream) {
        let reads = Reads::default();
        let server = attach(&reads, LINK, 1 << 20);
        (reads, server)
    }

    /// A connection that takes so many bytes at once, and what is written to it.
    fn attach(reads: &Reads, number: u64, bytes: usize) -> DuplexStream {
        let (client, server) = duplex(bytes);
        let runtime = runtime::Handle::current().id();
        reads.attach(number, runtime, Pen::new(Box::new(client)));
        server
    }

    /// Joins and lets the pen, if it gets one, lie where it is.
    fn join(reads: &Reads, text: &str, limit: Duration) -> Ticket {
        let joined = reads.join(&key(text), &[], &lasting(limit));
        joined.expect("a connection").0
    }

    /// What there is to write once others have had the opportunity to join.
    fn due(reads: &Reads) -> Turn<'_> {
        reads.desk.lock().open.turns += 1;
        reads.turn(LINK, Moment::Idle)
    }

    fn write(turn: Turn<'_>) {
        let Turn::Write(mut held) = turn else {
            panic!("there is something to write, not {turn:?}");
        };
        let mut context = Context::from_waker(Waker::noop());
        assert!(held.write(&mut context).is_ready());
    }

    async fn written(server: &mut DuplexStream) -> String {
        let mut bytes = vec![0; 1 << 16];
        let length = server.read(&mut bytes).await.expect("something written");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// What the ticket has got so far.
    fn reply(ticket: &mut Ticket) -> Option<Reply> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(ticket).poll(&mut context) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        }
    }

    fn answer(batch: Batch, value: &'static str) {
        let found = Found::new(Some(value.into()), [], None);
        let answers = batch
            .reads
            .into_iter()
            .filter_map(|read| read.answer(Ok(found.clone())));
        answers.for_each(Answer::deliver);
    }

    /// So many callers have been answered, and may all ask again.
    async fn crowd(reads: &Reads, server: &mut DuplexStream, callers: usize) {
        crowd_afar(reads, server, callers, Duration::ZERO).await;
    }

    /// The same where a reply takes so long.
    async fn crowd_afar(reads: &Reads, server: &mut DuplexStream, callers: usize, way: Duration) {
        let texts = (0..callers).map(|number| number.to_string());
        let _tickets: Vec<_> = texts.map(|text| join(reads, &text, LONG)).collect();
        write(due(reads));
        let _ = written(server).await;
        if !way.is_zero() {
            tokio::time::advance(way).await;
        }
        while let Some(batch) = reads.next(LINK) {
            answer(batch, "value");
        }
    }

    fn failure() -> Failure {
        use crate::error::{StoreError, StoreErrorKind};
        StoreError::new(StoreErrorKind::Timeout, "late").into()
    }

    #[tokio::test]
    async fn nobody_joins_where_there_is_no_connection() {
        let none = Reads::default();
        assert!(none.join(&key("a"), &[], &lasting(LONG)).is_none());
        let (reads, _server) = desk();
        let (mut sent, mut open) = (join(&reads, "a", LONG), join(&reads, "b", LONG));
        reads.detach(LINK + 1, &failure());
        assert!(reply(&mut sent).is_none(), "another connection");
        assert!(reads.is_awaited(LINK));
        reads.detach(LINK, &failure());
        assert!(reply(&mut sent).expect("an end").is_err());
        assert!(reply(&mut open).expect("an end").is_err());
        assert!(reads.join(&key("a"), &[], &lasting(LONG)).is_none());
        assert!(matches!(due(&reads), Turn::Nothing));
    }

    /// As where a connection's runtime is not driven any more, so that nobody says that it has gone.
    #[tokio::test]
    async fn a_connection_does_not_inherit_the_reads_of_the_one_before() {
        const NEXT: u64 = LINK + 1;
        let (reads, _server) = desk();
        let mut old = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
        let _next_server = attach(&reads, NEXT, 1 << 20);
        for ticket in &mut old {
            let failure = reply(ticket).expect("an end").expect_err("no reply");
            assert!(failure.again);
        }
        let mut new = join(&reads, "d", LONG);
        assert!(reads.next(LINK).is_none());
        answer(reads.next(NEXT).expect("a batch"), "of d");
        let found = reply(&mut new).expect("a reply").expect("a value");
        assert_eq!(found.envelope, Some("of d".into()));
        assert!(reads.next(NEXT).is_none());
        let _late_server = attach(&reads, LINK, 1 << 20);
        assert!(!reads.is_attached(LINK), "it was made before the other");
        assert!(reads.is_attached(NEXT));
    }

    #[tokio::test]
    async fn a_driver_hears_of_the_end_of_its_connection() {
        for replaced in [false, true] {
            let (reads, _server) = desk();
            let woken = Arc::new(Woken::default());
            reads.attend(LINK, &Waker::from(woken.clone()));
            // Partly received.
            let _waits = join(&reads, "a", LONG);
            let batch = reads.next(LINK);
            assert!(reads.arm(LINK, batch.as_ref()).is_ok());
            if replaced {
                attach(&reads, LINK + 1, 1);
            } else {
                reads.detach(LINK, &failure());
            }
            assert_eq!(woken.0.load(Relaxed), 1);
            let end = reads.arm(LINK, batch.as_ref()).expect_err("it ends");
            assert!(end.again);
        }
    }

    #[tokio::test]
    async fn who_has_nobody_beside_it_writes_by_itself_and_those_who_follow_share() {
        let (reads, mut server) = desk();
        let (_alone, held) = reads
            .join(&key("a"), &[], &lasting(LONG))
            .expect("a connection");
        let beside = reads
            .join(&key("b"), &[], &lasting(LONG))
            .expect("a connection");
        assert!(beside.1.is_none(), "somebody writes");
        write(Turn::Write(held.expect("the pen")));
        assert_eq!(
            written(&mut server).await,
            "*2\r\n$3\r\nGET\r\n$7\r\nreads:a\r\n"
        );
        assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Later));
        let _third = join(&reads, "c", LONG);
        write(due(&reads));
        assert_eq!(
            written(&mut server).await,
            "*3\r\n$4\r\nMGET\r\n$7\r\nreads:b\r\n$7\r\nreads:c\r\n"
        );
        assert!(matches!(due(&reads), Turn::Nothing));
    }

    #[tokio::test]
    async fn where_many_are_refused_each_key_has_its_command() {
        let (reads, mut server) = desk();
        let _tickets = ["a", "b"].map(|text| join(&reads, text, LONG));
        write(due(&reads));
        let _ = written(&mut server).await;
        let _together = join(&reads, "c", LONG);
        reads.part(LINK);
        let _apart = ["d", "e"].map(|text| join(&reads, text, LONG));
        write(due(&reads));
        let get = |text| format!("*2\r\n$3\r\nGET\r\n$7\r\nreads:{text}\r\n");
        let gets = ["c", "d", "e"].map(get).concat();
        assert_eq!(written(&mut server).await, gets);
        let forms = reads
            .desk
            .lock()
            .sent
            .iter()
            .map(|batch| batch.apart)
            .collect::<Vec<_>>();
        assert_eq!(forms, [false, false, false, true], "one is settled before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_company_that_is_late_counts_as_one() {
        let (reads, _server) = desk();
        let company = reads.company();
        let mut tickets = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
        drop(company);
        let _alone = join(&reads, "d", LONG);
        tokio::time::advance(LONG).await;
        assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 2);
        assert!(reply(&mut tickets[2]).expect("an end").is_err());

        let company = reads.company();
        let dropped = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
        drop(company);
        assert_eq!(dropped.map(|ticket| ticket.counts()), [true, false, false]);
    }

    #[tokio::test]
    async fn a_company_leaves_when_it_is_complete_also_beside_another() {
        let (reads, mut server) = desk();
        let first = reads.company();
        let _tickets = ["a", "b"].map(|text| join(&reads, text, LONG));
        let second = reads.company();
        let _third = join(&reads, "c", LONG);
        assert!(matches!(due(&reads), Turn::Nothing));
        drop(first);
        let many = "*4\r\n$4\r\nMGET\r\n";
        assert!(written(&mut server).await.starts_with(many));
        let _fourth = join(&reads, "d", LONG);
        drop(second);
        assert!(written(&mut server).await.ends_with("reads:d\r\n"));
    }

    /// One after the other joins until one of them writes; with how many others.
    async fn completed(reads: &Reads, server: &mut DuplexStream) -> usize {
        for number in 1..=MANY {
            let joined = reads.join(&key(&number.to_string()), &[], &lasting(LONG));
            let (_, held) = joined.expect("a connection");
            if let Some(held) = held {
                write(Turn::Write(held));
                let head = match number {
                    1 => "*2\r\n$3\r\nGET\r\n".to_owned(),
                    _ => format!("*{}\r\n$4\r\nMGET\r\n", number + 1),
                };
                let written = written(server).await;
                assert!(written.starts_with(&head), "{written}");
                return number;
            }
        }
        panic!("nobody writes");
    }

    #[tokio::test(start_paused = true)]
    async fn with_nothing_under_way_who_completes_a_batch_of_many_writes_it() {
        for (callers, enough) in [(FEW + 1, ENOUGH), (8 * ENOUGH, 4 * ENOUGH)] {
            let (reads, mut server) = desk();
            // The first was answered alone.
            crowd(&reads, &mut server, callers + 1).await;
            assert_eq!(completed(&reads, &mut server).await, enough);
            let joined = reads.join(&key("beside"), &[], &lasting(LONG));
            assert!(
                joined.expect("a connection").1.is_none(),
                "more may still join"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_who_completes_a_large_batch_writes_it_also_beside_another() {
        for (callers, enough) in [
            (FEW + 1, ENOUGH_BESIDE),
            (4 * ENOUGH_BESIDE, 2 * ENOUGH_BESIDE),
        ] {
            let (reads, mut server) = desk();
            crowd(&reads, &mut server, callers + 1).await;
            completed(&reads, &mut server).await;
            assert_eq!(completed(&reads, &mut server).await, enough);
            for number in 0..=MANY {
                let joined = reads.join(&key(&number.to_string()), &[], &lasting(LONG));
                assert!(joined.expect("a connection").1.is_none(), "two are");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_few_who_completes_a_batch_writes_it_also_beside_others() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, ENOUGH_OF_FEW + 1).await;
        for _ in 0..MOST_UNDER_WAY {
            assert_eq!(completed(&reads, &mut server).await, ENOUGH_OF_FEW);
        }
        for number in 0..=ENOUGH_OF_FEW {
            let joined = reads.join(&key(&number.to_string()), &[], &lasting(LONG));
            assert!(joined.expect("a connection").1.is_none(), "enough are");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_two_batches_are_under_way_and_more_if_the_next_has_waited() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, 2 * FEW).await;
        let come = |number: usize| {
            let joined = reads.join(&key(&number.to_string()), &[], &lasting(LONG));
            joined.expect("a connection")
        };
        let mut tickets = Vec::new();
        for number in 0..MOST_UNDER_WAY_OF_MANY {
            tickets.push(come(number).0);
            write(due(&reads));
        }
        tickets.extend((0..2 * ENOUGH).map(|number| {
            let (ticket, held) = come(number);
            assert!(held.is_none(), "two are under way");
            ticket
        }));
        assert!(matches!(due(&reads), Turn::Nothing));
        for under_way in MOST_UNDER_WAY_OF_MANY..MOST_UNDER_WAY {
            tokio::time::advance(PATIENCE).await;
            let (ticket, held) = come(under_way);
            write(Turn::Write(held.expect("the pen")));
            tickets.extend([ticket, come(under_way).0]);
        }
        tokio::time::advance(PATIENCE).await;
        assert!(come(0).1.is_none(), "however long it has waited");
        answer(reads.next(LINK).expect("a batch"), "value");
        assert!(come(0).1.is_some());
    }

    /// How many batches leave until one has to wait for a reply.
    fn under_way(reads: &Reads, tickets: &mut Vec<Ticket>) -> usize {
        let next = || {
            tickets.push(join(reads, "a", LONG));
            due(reads)
        };
        let turns = std::iter::repeat_with(next);
        turns
            .take_while(|turn| matches!(turn, Turn::Write(_)))
            .map(write)
            .count()
    }

    #[tokio::test(start_paused = true)]
    async fn far_from_the_server_nobody_waits_for_company() {
        let (reads, mut server) = desk();
        let mut tickets = Vec::new();
        crowd_afar(&reads, &mut server, 2 * FEW, NEAR * 2).await;
        assert_eq!(under_way(&reads, &mut tickets), MOST_UNDER_WAY_AFAR);
        while let Some(batch) = reads.next(LINK) {
            answer(batch, "value");
        }
        crowd(&reads, &mut server, 2 * FEW).await;
        assert_eq!(under_way(&reads, &mut tickets), MOST_UNDER_WAY_OF_MANY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_near_once_may_be_far() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, 2 * FEW).await;
        let once = reads
            .desk
            .lock()
            .link(LINK)
            .expect("a link")
            .most_under_way();
        assert_eq!(once, MOST_UNDER_WAY_OF_MANY);
        for _ in 0..64 {
            crowd_afar(&reads, &mut server, 2 * FEW, NEAR * 2).await;
        }
        assert_eq!(under_way(&reads, &mut Vec::new()), MOST_UNDER_WAY_AFAR);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_is_not_far() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, 2 * FEW).await;
        let mut tickets = vec![join(&reads, "a", LONG)];
        write(due(&reads));
        for _ in 0..64 {
            tickets.push(join(&reads, "beside", LONG));
            write(due(&reads));
            tokio::time::advance(NEAR * 2).await;
            answer(reads.next(LINK).expect("a batch"), "value");
        }
        let way = reads.desk.lock().link(LINK).expect("a link").way;
        assert!(way.is_some_and(|way| way <= NEAR), "{way:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_who_waits_for_a_reply_leaves_with_it_or_is_given_up() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, 2 * FEW).await;
        let mut tickets = Vec::new();
        assert_eq!(under_way(&reads, &mut tickets), MOST_UNDER_WAY_OF_MANY);
        let _ = written(&mut server).await;
        answer(reads.next(LINK).expect("a batch"), "value");
        assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Later));
        write(due(&reads));
        assert!(written(&mut server).await.ends_with("reads:a\r\n"));
        let mut last = join(&reads, "last", LONG);
        assert!(matches!(due(&reads), Turn::Nothing));
        tokio::time::advance(LONG).await;
        assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 3);
        assert!(reply(&mut last).expect("an end").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_leave_early_count_as_one_unless_somebody_is_answered() {
        let (reads, _server) = desk();
        let leave = |after| {
            drop(join(&reads, "a", LONG));
            reads.leave_early(Instant::now() + after);
        };
        let expire = || reads.expire(LINK, None, Instant::now(), &failure());
        let armed = || reads.arm(LINK, None).expect("a link");
        for _ in 0..2 {
            leave(LONG);
            leave(LONG / 2);
            leave(LONG * 2);
            assert_eq!(armed(), Some(Instant::now() + LONG), "the first's");
            tokio::time::advance(LONG).await;
            assert_eq!((expire(), expire()), (1, 0));
        }
        leave(LONG);
        let first = reads.next(LINK).expect("a batch");
        reads.recycle(first, 0);
        leave(LONG / 2);
        tokio::time::advance(LONG / 2).await;
        assert_eq!(expire(), 1, "since then nobody was answered");
        leave(LONG / 2);
        let answered = || {
            write(due(&reads));
            while let Some(batch) = reads.next(LINK) {
                reads.recycle(batch, 0);
            }
        };
        answered();
        tokio::time::advance(LONG).await;
        assert_eq!(expire(), 0);
        reads.leave_early(Instant::now() + LONG);
        tokio::time::advance(LONG).await;
        assert_eq!(expire(), 0, "its reply was being handed out");
    }

    #[tokio::test]
    async fn a_batch_of_all_callers_is_complete_whatever_they_ask_for() {
        let (reads, mut server) = desk();
        // The last two replies are those of two of them.
        crowd(&reads, &mut server, 3).await;
        assert_eq!(completed(&reads, &mut server).await, 2);
        let tags = ["x", "y", "z"].map(key);
        let joined = reads.join(&key("tagged"), &tags, &lasting(LONG));
        assert!(
            joined.expect("a connection").1.is_none(),
            "one read of four keys"
        );
    }

    #[tokio::test]
    async fn one_that_reads_many_keys_is_no_crowd() {
        let (reads, mut server) = desk();
        let company = reads.company();
        let _tickets = ["a", "b", "c"].map(|text| join(&reads, text, LONG));
        drop(company);
        let _ = written(&mut server).await;
        answer(reads.next(LINK).expect("a batch"), "value");
        assert_eq!(completed(&reads, &mut server).await, 1);
    }

    #[tokio::test]
    async fn a_lone_caller_is_soon_alone_after_many() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, 10 * MANY).await;
        for _ in 0..10 {
            crowd(&reads, &mut server, 1).await;
        }
        assert_eq!(completed(&reads, &mut server).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_taken_for_few_soon_after_many() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, 10 * MANY).await;
        for _ in 0..24 {
            crowd(&reads, &mut server, ENOUGH_OF_FEW).await;
        }
        assert_eq!(completed(&reads, &mut server).await, ENOUGH_OF_FEW);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_the_driver_leaves_is_written_by_who_comes() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, FEW).await;
        let _left = ["d", "e"].map(|text| join(&reads, text, LONG));
        tokio::time::advance(OVERDUE).await;
        let (_last, held) = reads
            .join(&key("f"), &[], &lasting(LONG))
            .expect("a connection");
        write(Turn::Write(held.expect("the pen")));
        assert!(
            written(&mut server)
                .await
                .starts_with("*4\r\n$4\r\nMGET\r\n")
        );
    }

    #[tokio::test]
    async fn a_driver_that_cannot_write_sleeps_until_it_can() {
        let reads = Reads::default();
        let _server = attach(&reads, LINK, 16);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        reads.attend(LINK, &waker);
        let _alone = join(&reads, "longer than the connection takes at once", LONG);
        let Turn::Write(mut held) = due(&reads) else {
            panic!("it has been left by the one who joined");
        };
        assert!(held.write(&mut Context::from_waker(&waker)).is_pending());
        held.leave();
        assert_eq!(
            woken.0.swap(0, Relaxed),
            0,
            "it would be here again at once"
        );
        let company = reads.company();
        let _beside = join(&reads, "beside", LONG);
        drop(company);
        assert_eq!(woken.0.load(Relaxed), 1, "there is more");
    }

    #[tokio::test]
    async fn what_a_caller_cannot_write_the_driver_does() {
        let reads = Reads::default();
        let mut server = attach(&reads, LINK, 16);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        reads.attend(LINK, &waker);
        assert!(matches!(due(&reads), Turn::Nothing));
        let long = key("longer than the connection takes at once");
        let (_alone, held) = reads
            .join(&long, &[], &lasting(LONG))
            .expect("a connection");
        let mut held = held.expect("the pen");
        let mut context = Context::from_waker(Waker::noop());
        assert!(held.write(&mut context).is_pending());
        drop(held);
        assert_eq!(woken.0.load(Relaxed), 1);
        let _ = written(&mut server).await;
        let Turn::Write(mut held) = reads.turn(LINK, Moment::Busy) else {
            panic!("there is a rest");
        };
        assert!(held.write(&mut Context::from_waker(&waker)).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_batch_stays_for_so_many_turns_whatever_comes() {
        let (reads, mut server) = desk();
        for (moment, turns) in [(Moment::Busy, 2), (Moment::Idle, 1)] {
            crowd(&reads, &mut server, 3).await;
            let _open = join(&reads, "a", LONG);
            for _ in 0..turns {
                assert!(matches!(reads.turn(LINK, moment), Turn::Soon));
            }
            write(reads.turn(LINK, moment));
            answer(reads.next(LINK).expect("a batch"), "value");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_driver_is_called_once_on_each_thread_for_each_batch() {
        let (reads, mut server) = desk();
        let woken = Arc::new(Woken::default());
        reads.attend(LINK, &Waker::from(woken.clone()));
        crowd(&reads, &mut server, SEVERAL).await;
        for _ in 0..2 {
            assert!(matches!(reads.turn(LINK, Moment::Idle), Turn::Nothing));
            woken.0.store(0, Relaxed);
            let _first = ["a", "b"].map(|text| join(&reads, text, LONG));
            assert_eq!(woken.0.load(Relaxed), 1);
            let elsewhere = || join(&reads, "c", LONG);
            let joined = thread::scope(|scope| scope.spawn(elsewhere).join());
            let _third = joined.expect("no panic");
            assert_eq!(woken.0.load(Relaxed), 2, "the other may not come to it");
            write(reads.turn(LINK, Moment::Idle));
            answer(reads.next(LINK).expect("a batch"), "value");
            assert!(matches!(reads.turn(LINK, Moment::Reply), Turn::Nothing));
            let _at_work = join(&reads, "d", LONG);
            assert_eq!(woken.0.load(Relaxed), 2, "it looks before it sleeps");
            write(due(&reads));
            answer(reads.next(LINK).expect("a batch"), "value");
        }
    }

    #[tokio::test]
    async fn a_driver_that_has_written_has_another_turn_before_it_is_called() {
        let (reads, mut server) = desk();
        let woken = Arc::new(Woken::default());
        reads.attend(LINK, &Waker::from(woken.clone()));
        crowd(&reads, &mut server, 3).await;
        let _first = join(&reads, "a", LONG);
        let Turn::Write(mut held) = due(&reads) else {
            panic!("there is something to write");
        };
        let mut context = Context::from_waker(Waker::noop());
        assert!(held.write(&mut context).is_ready());
        held.leave();
        woken.0.store(0, Relaxed);
        let _second = join(&reads, "b", LONG);
        assert_eq!(woken.0.load(Relaxed), 0);
        assert!(matches!(reads.turn(LINK, Moment::Idle), Turn::Later));
    }

    /// So many callers are near a server, and wait for the replies to some of them.
    async fn several(reads: &Reads, server: &mut DuplexStream) -> Ticket {
        crowd(reads, server, SEVERAL + ENOUGH_OF_FEW).await;
        for _ in 0..2 {
            assert_eq!(completed(reads, server).await, ENOUGH_OF_FEW);
        }
        join(reads, "left over", LONG)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_several_waits_for_a_reply_and_leaves_before_it_is_handed_out() {
        let (reads, mut server) = desk();
        let woken = Arc::new(Woken::default());
        reads.attend(LINK, &Waker::from(woken.clone()));
        let _left = several(&reads, &mut server).await;
        assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Nothing));
        let _beside = join(&reads, "beside", LONG);
        assert_eq!(woken.0.load(Relaxed), 0, "a reply will come");
        let batch = reads.next(LINK).expect("a batch");
        write(reads.turn(LINK, Moment::Reply));
        let written = written(&mut server).await;
        assert!(written.contains("left over") && written.contains("beside"));
        answer(batch, "value");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_several_does_not_wait_for_long() {
        let (reads, mut server) = desk();
        let _left = several(&reads, &mut server).await;
        tokio::time::advance(PATIENCE).await;
        let (_last, held) = reads
            .join(&key("last"), &[], &lasting(LONG))
            .expect("a connection");
        write(Turn::Write(held.expect("the pen")));
        assert!(written(&mut server).await.contains("left over"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_reply_is_to_come_soon_the_driver_sees_to_what_is_left() {
        for (callers, way) in [(SEVERAL + 1, NEAR * 2), (SEVERAL - 1, Duration::ZERO)] {
            let (reads, mut server) = desk();
            let woken = Arc::new(Woken::default());
            reads.attend(LINK, &Waker::from(woken.clone()));
            crowd_afar(&reads, &mut server, callers, way).await;
            completed(&reads, &mut server).await;
            assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Nothing));
            let _left = join(&reads, "left over", LONG);
            tokio::task::yield_now().await;
            assert_eq!(woken.0.load(Relaxed), 1);
            assert!(matches!(reads.turn(LINK, Moment::Reply), Turn::Nothing));
            assert!(matches!(reads.turn(LINK, Moment::Busy), Turn::Later));
            write(reads.turn(LINK, Moment::Busy));
            assert!(written(&mut server).await.contains("left over"));
        }
    }

    /// As many batches are under way as may be, of a read each.
    fn as_many_as_may(reads: &Reads, limit: Duration) -> Vec<Ticket> {
        let batches = (0..MOST_UNDER_WAY).map(|number| {
            let ticket = join(reads, &number.to_string(), limit);
            if number > 0 {
                write(due(reads));
            }
            ticket
        });
        batches.collect()
    }

    #[tokio::test]
    async fn only_so_many_batches_are_under_way() {
        let (reads, _server) = desk();
        let mut tickets = as_many_as_may(&reads, LONG);
        tickets.push(join(&reads, "more", LONG));
        assert!(matches!(due(&reads), Turn::Nothing));
        answer(reads.next(LINK).expect("a batch"), "value");
        write(due(&reads));
        tickets.extend((0..=MOST_KEYS).map(|number| join(&reads, &number.to_string(), LONG)));
        assert!(matches!(due(&reads), Turn::Nothing));
        answer(reads.next(LINK).expect("a batch"), "value");
        write(reads.turn(LINK, Moment::Busy));
        let desk = reads.desk.lock();
        assert_eq!((desk.full.len(), desk.open.keys), (0, 1), "the full one");
    }

    /// Of many callers two batches are under way at a time, which may not stop full ones.
    #[tokio::test]
    async fn a_full_batch_waits_for_no_company() {
        let (reads, mut server) = desk();
        crowd(&reads, &mut server, MANY).await;
        let lots = (MOST_UNDER_WAY_OF_MANY + 1) * MOST_KEYS;
        let texts = (0..lots).map(|number| number.to_string());
        let _tickets: Vec<_> = texts.map(|text| join(&reads, &text, LONG)).collect();
        while let Turn::Write(held) = reads.turn(LINK, Moment::Busy) {
            write(Turn::Write(held));
        }
        assert!(reads.desk.lock().sent.len() > MOST_UNDER_WAY_OF_MANY);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_in_vain_is_not_sent_for() {
        let (reads, mut server) = desk();
        let _under_way = as_many_as_may(&reads, 3 * LONG);
        let late: Vec<_> = (0..2 * MOST_KEYS)
            .map(|number| join(&reads, &format!("late{number}"), LONG))
            .collect();
        tokio::time::advance(LONG).await;
        reads.expire(LINK, None, Instant::now(), &failure());
        assert!(!late.iter().any(Ticket::waits));
        let _in_time = join(&reads, "in time", LONG);
        answer(reads.next(LINK).expect("a batch"), "value");
        write(due(&reads));
        let written = written(&mut server).await;
        assert!(written.contains("in time") && !written.contains("late"));
    }

    #[tokio::test]
    async fn replies_belong_to_their_batch_whoever_leaves() {
        let (reads, _server) = desk();
        let mut first = join(&reads, "a", LONG);
        let gone = join(&reads, "b", LONG);
        let mut second = join(&reads, "c", LONG);
        write(due(&reads));
        drop(gone);
        answer(reads.next(LINK).expect("a batch"), "first");
        assert!(reply(&mut second).is_none());
        answer(reads.next(LINK).expect("a batch"), "second");
        let value = |ticket: &mut Ticket| reply(ticket).expect("a reply").expect("found").envelope;
        assert_eq!(value(&mut first), Some(Bytes::from("first")));
        assert_eq!(value(&mut second), Some(Bytes::from("second")));
        assert!(reads.next(LINK).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_late_is_given_up_and_the_others_are_not() {
        let (reads, _server) = desk();
        let _alone = join(&reads, "a", LONG);
        let (mut hasty, mut patient) = (join(&reads, "b", LONG / 2), join(&reads, "c", LONG));
        write(due(&reads));
        let now = Instant::now();
        assert_eq!(reads.arm(LINK, None).expect("a link"), Some(now + LONG / 2));
        assert_eq!(reads.arm(LINK, None).expect("a link"), None, "it is set");
        tokio::time::advance(LONG / 2).await;
        assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 1);
        assert!(reply(&mut hasty).expect("an end").is_err());
        assert!(reply(&mut patient).is_none());
        assert_eq!(reads.arm(LINK, None).expect("a link"), Some(now + LONG));
        answer(reads.next(LINK).expect("a batch"), "alone");
        answer(reads.next(LINK).expect("a batch"), "late");
        assert!(reply(&mut patient).expect("a reply").is_ok());
    }

    #[tokio::test]
    async fn the_larger_the_values_the_smaller_the_batches() {
        let (reads, _server) = desk();
        let most_keys = || reads.desk.lock().most_keys();
        let carry = |keys, bytes| {
            let batch = Batch {
                keys,
                ..Batch::default()
            };
            reads.recycle(batch, bytes);
        };
        assert_eq!(most_keys(), MOST_KEYS);
        (0..20).for_each(|_| carry(10, 10 * 64 * 1024));
        assert!((8..=9).contains(&most_keys()));
        (0..20).for_each(|_| carry(1, 1 << 20));
        assert_eq!(most_keys(), 1);
        (0..60).for_each(|_| carry(100, 100 * 256));
        assert_eq!(most_keys(), MOST_KEYS);
    }

    #[tokio::test]
    async fn who_is_late_while_others_are_answered_is_one_of_too_many() {
        let (reads, _server) = desk();
        let _first = join(&reads, "a", LONG);
        write(due(&reads));
        let _second = join(&reads, "b", Duration::ZERO);
        let first = reads.next(LINK).expect("a batch");
        reads.recycle(first, 0);
        assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 0);
        let _third = join(&reads, "c", Duration::ZERO);
        assert_eq!(reads.expire(LINK, None, Instant::now(), &failure()), 1);
    }

    #[tokio::test]
    async fn a_company_leaves_at_once_when_the_last_has_joined() {
        let (reads, mut server) = desk();
        let company = reads.company();
        let mut tickets: Vec<_> = (0..2 * ENOUGH)
            .map(|id| join(&reads, &id.to_string(), LONG))
            .collect();
        assert!(matches!(due(&reads), Turn::Nothing));
        tickets.push(join(&reads, "the last", LONG));
        drop(company);
        let written = written(&mut server).await;
        assert!(written.starts_with("*50\r\n$4\r\nMGET\r\n"), "{written}");
        assert!(matches!(due(&reads), Turn::Nothing));
        let batch = reads.next(LINK).expect("a batch");
        assert_eq!(batch.reads.len(), tickets.len());
    }

    #[tokio::test]
    async fn a_company_that_finds_the_pen_taken_is_written_by_who_has_it() {
        let (reads, mut server) = desk();
        let (_alone, held) = reads
            .join(&key("alone"), &[], &lasting(LONG))
            .expect("a connection");
        let mut held = held.expect("the pen");
        let company = reads.company();
        let _beside = join(&reads, "beside", LONG);
        drop(company);
        let mut context = Context::from_waker(Waker::noop());
        assert!(held.write(&mut context).is_ready());
        drop(held);
        write(reads.turn(LINK, Moment::Busy));
        let written = written(&mut server).await;
        assert!(written.contains("reads:alone") && written.contains("reads:beside"));
    }

    #[tokio::test]
    async fn a_company_without_a_connection_leaves_nobody_behind() {
        let (reads, _server) = desk();
        let company = reads.company();
        let mut ticket = join(&reads, "a", LONG);
        reads.detach(LINK, &failure());
        drop(company);
        assert!(matches!(reply(&mut ticket), Some(Err(_))));
        assert!(reads.join(&key("a"), &[], &lasting(LONG)).is_none());
    }
}
