//! Reads that wait at the same moment leave together, each with a place of its own for the reply.
//!
//! ```text
//!   nothing under way ──► alone: one GET, sent and awaited by the caller itself
//!   something under way ► join the open batch ──carrier──► one MGET ──► every place answered
//! ```
//!
//! No I/O here. A place belongs to one caller from [`Reads::join`] until its [`Ticket`] is gone
//! *and* its batch is answered, so a reply never meets another caller, whoever leaves when.

use std::{
    collections::VecDeque,
    future::Future,
    mem,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use redis::Value;
use tokio::time::Instant;

use super::{
    super::Found,
    lane::{Failure, RESPONSE_TIMEOUT},
    reply,
};
use crate::key::Key;

/// The most keys in one `MGET`. The server does nothing else meanwhile, and with 2,048 callers more
/// than 256 gained nothing.
const MOST_KEYS: usize = 512;

/// About how many bytes one `MGET` asks for, going by what came before: a reply is handed out
/// only when all of it has come, so small values should not wait for many large ones. Beside
/// readers of 100 KB values, small reads took longer without a limit, and both kinds were slower
/// with an eighth of this.
const MOST_BYTES: usize = 512 << 10;

/// The reads of one connection.
#[derive(Debug)]
pub(super) struct Reads {
    /// Commands gathered or sent, and not answered yet.
    under_way: AtomicUsize,
    /// The size of a value, as a moving average.
    typical_bytes: AtomicUsize,
    desk: Mutex<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    open: Option<Batch>,
    /// Full, and not sent yet; their carriers are on the way.
    full: VecDeque<Batch>,
    places: Vec<Place>,
    free: Vec<usize>,
}

/// Reads that share one command. Their keys follow one another.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) keys: Vec<Key>,
    reads: Vec<Read>,
    since: Instant,
    /// The first of its reads'.
    pub(super) deadline: Instant,
}

#[derive(Debug)]
struct Read {
    /// None once nobody is to get the reply.
    place: Option<usize>,
    keys: usize,
    deadline: Instant,
}

#[derive(Debug)]
enum Place {
    Free,
    Waiting(Waker),
    Answered(Result<Found, Failure>),
    /// The caller has left; the reply is dropped when it comes.
    Left,
}

/// What a caller finds in its place.
enum Visit {
    Answered(Result<Found, Failure>),
    Waits,
    /// The reply, when it comes, would wake somebody else.
    Moved,
}

/// A caller's right to the reply in its place.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    reads: &'a Reads,
    place: usize,
    /// When its batch was opened.
    since: Instant,
    /// The waker left when joining is still the one of this poll.
    fresh: bool,
    taken: bool,
}

/// While this lives, other reads join a batch.
#[derive(Debug)]
pub(super) struct Alone<'a> {
    reads: &'a Reads,
}

impl Reads {
    pub(super) fn new() -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            typical_bytes: AtomicUsize::new(0),
            desk: Mutex::default(),
        }
    }

    /// If nothing is under way: the right to read by oneself.
    pub(super) fn alone(&self) -> Option<Alone<'_>> {
        if self.under_way.load(Ordering::Relaxed) != 0 {
            return None;
        }
        self.under_way
            .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then(|| Alone { reads: self })
    }

    /// Takes a place in the open batch; true if this opened one, which needs a carrier then.
    /// The carrier gives the place up at the deadline, or before it at [`RESPONSE_TIMEOUT`].
    pub(super) fn join(
        &self,
        key: &Key,
        tags: &[Key],
        deadline: Instant,
        waker: &Waker,
    ) -> (Ticket<'_>, bool) {
        let asked = 1 + tags.len();
        // Not under the lock: that may run anything.
        let waker = waker.clone();
        let mut desk = self.desk.lock();
        let desk = &mut *desk;
        let place = desk.seat(waker);
        if let Some(batch) = &desk.open
            && batch.keys.len() + asked > self.most_keys()
        {
            desk.full.extend(desk.open.take());
        }
        let opens = desk.open.is_none();
        let batch = desk.open.get_or_insert_with(Batch::new);
        let deadline = deadline.min(batch.since + RESPONSE_TIMEOUT);
        batch.deadline = batch.deadline.min(deadline);
        batch.keys.push(key.clone());
        batch.keys.extend_from_slice(tags);
        batch.reads.push(Read {
            place: Some(place),
            keys: asked,
            deadline,
        });
        if opens {
            self.under_way.fetch_add(1, Ordering::Relaxed);
        }
        let ticket = Ticket {
            reads: self,
            place,
            since: batch.since,
            fresh: true,
            taken: false,
        };
        (ticket, opens)
    }

    /// The oldest batch that has not been sent. Nobody joins it any more.
    pub(super) fn close(&self) -> Option<Batch> {
        let mut desk = self.desk.lock();
        desk.full.pop_front().or_else(|| desk.open.take())
    }

    /// Hands out the replies to a batch, as many as it has keys, or the failure to everyone.
    pub(super) fn answer(&self, batch: Batch, replies: Result<Vec<Value>, Failure>) {
        self.under_way.fetch_sub(1, Ordering::Release);
        if let Ok(replies) = &replies {
            self.weigh(replies.iter().map(weight).sum(), replies.len());
        }
        let mut wakers = Vec::with_capacity(batch.reads.len());
        let mut replies = replies.map(Vec::into_iter);
        let mut desk = self.desk.lock();
        for Read { place, keys, .. } in batch.reads {
            let found = match &mut replies {
                Ok(replies) => reply::found(replies.by_ref().take(keys)).map_err(Failure::from),
                Err(failure) => Err(failure.clone()),
            };
            wakers.extend(place.and_then(|place| desk.answer(place, found)));
        }
        drop(desk);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Answers those in an unanswered batch whose time is over; how many were still waiting.
    pub(super) fn expire(&self, batch: &mut Batch, now: Instant, failure: &Failure) -> usize {
        let mut wakers = Vec::new();
        let mut desk = self.desk.lock();
        for read in &mut batch.reads {
            if read.deadline <= now
                && let Some(place) = read.place.take()
            {
                wakers.extend(desk.answer(place, Err(failure.clone())));
            }
        }
        drop(desk);
        let waiting = batch.reads.iter().filter(|read| read.place.is_some());
        batch.deadline = waiting.map(|read| read.deadline).min().unwrap_or(now);
        let late = wakers.len();
        wakers.into_iter().for_each(Waker::wake);
        late
    }

    /// What the values of a reply weigh, for the size of batches to come.
    pub(super) fn weigh(&self, bytes: usize, keys: usize) {
        if keys == 0 {
            return;
        }
        let before = self.typical_bytes.load(Ordering::Relaxed);
        let now = match before {
            0 => bytes / keys,
            before => before - before / 4 + bytes / keys / 4,
        };
        if now != before {
            self.typical_bytes.store(now, Ordering::Relaxed);
        }
    }

    fn most_keys(&self) -> usize {
        let typical = self.typical_bytes.load(Ordering::Relaxed).max(1);
        (MOST_BYTES / typical).clamp(1, MOST_KEYS)
    }
}

impl Desk {
    fn seat(&mut self, waker: Waker) -> usize {
        let waiting = Place::Waiting(waker);
        match self.free.pop() {
            Some(number) => {
                if let Some(place) = self.places.get_mut(number) {
                    *place = waiting;
                }
                number
            }
            None => {
                self.places.push(waiting);
                self.places.len() - 1
            }
        }
    }

    /// Takes the reply out of its place. If it has not come and would wake somebody else, `spare`
    /// changes places with the waker that is there.
    fn visit(&mut self, number: usize, waker: &Waker, spare: &mut Option<Waker>) -> Visit {
        let Some(place) = self.places.get_mut(number) else {
            return Visit::Waits;
        };
        match place {
            Place::Waiting(old) if old.will_wake(waker) => Visit::Waits,
            Place::Waiting(old) => match spare {
                Some(spare) => {
                    mem::swap(old, spare);
                    Visit::Waits
                }
                None => Visit::Moved,
            },
            Place::Answered(_) => match mem::replace(place, Place::Free) {
                Place::Answered(found) => {
                    self.free.push(number);
                    Visit::Answered(found)
                }
                _ => Visit::Waits,
            },
            // Not polled again after its reply.
            Place::Free | Place::Left => Visit::Waits,
        }
    }

    fn waits(&self, number: usize) -> bool {
        matches!(self.places.get(number), Some(Place::Waiting(_)))
    }

    /// Gives a place up, at once if it is answered; what it held.
    fn leave(&mut self, number: usize) -> Place {
        let Some(place) = self.places.get_mut(number) else {
            return Place::Free;
        };
        match place {
            Place::Waiting(_) => mem::replace(place, Place::Left),
            Place::Answered(_) => {
                self.free.push(number);
                mem::replace(place, Place::Free)
            }
            Place::Free | Place::Left => Place::Free,
        }
    }

    /// Puts the reply into its place; whom to wake.
    fn answer(&mut self, number: usize, found: Result<Found, Failure>) -> Option<Waker> {
        let place = self.places.get_mut(number)?;
        match place {
            Place::Waiting(_) => match mem::replace(place, Place::Answered(found)) {
                Place::Waiting(waker) => Some(waker),
                _ => None,
            },
            Place::Left => {
                *place = Place::Free;
                self.free.push(number);
                None
            }
            Place::Free | Place::Answered(_) => None,
        }
    }
}

impl Batch {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            keys: Vec::with_capacity(16),
            reads: Vec::with_capacity(16),
            since: now,
            deadline: now + RESPONSE_TIMEOUT,
        }
    }

    /// Whether anybody is to get a reply.
    pub(super) fn is_awaited(&self) -> bool {
        self.reads.iter().any(|read| read.place.is_some())
    }
}

fn weight(reply: &Value) -> usize {
    match reply {
        Value::BulkString(bytes) => bytes.len(),
        _ => 0,
    }
}

impl Future for Ticket<'_> {
    type Output = Result<Found, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if mem::take(&mut self.fresh) {
            return Poll::Pending;
        }
        let waker = context.waker();
        // Made and dropped outside the lock, whichever waker it is: that may run anything.
        let mut spare = None;
        loop {
            let visit = self.reads.desk.lock().visit(self.place, waker, &mut spare);
            match visit {
                Visit::Answered(found) => {
                    self.taken = true;
                    return Poll::Ready(found);
                }
                Visit::Waits => return Poll::Pending,
                Visit::Moved => spare = Some(waker.clone()),
            }
        }
    }
}

impl Ticket<'_> {
    /// When the carrier gives it up, if its caller waits until `deadline`.
    pub(super) fn deadline(&self, deadline: Instant) -> Instant {
        deadline.min(self.since + RESPONSE_TIMEOUT)
    }

    /// Since when it has been waiting, if its reply has not come yet.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let waits = !self.taken && self.reads.desk.lock().waits(self.place);
        waits.then_some(self.since)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let left = self.reads.desk.lock().leave(self.place);
        // Not under the lock: this may run anything.
        drop(left);
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.reads.under_way.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use super::*;

    fn key(text: &str) -> Key {
        Key::raw("reads", text)
    }

    fn join<'a>(reads: &'a Reads, text: &str, limit: Duration) -> Ticket<'a> {
        let deadline = Instant::now() + limit;
        reads.join(&key(text), &[], deadline, Waker::noop()).0
    }

    fn replies(batch: &Batch) -> Vec<Value> {
        let reply = |key: &Key| Value::BulkString(key.as_bytes().to_vec());
        batch.keys.iter().map(reply).collect()
    }

    /// What the ticket has got so far.
    fn reply(ticket: &mut Ticket<'_>) -> Option<Result<Option<bytes::Bytes>, Failure>> {
        let mut context = Context::from_waker(Waker::noop());
        ticket.fresh = false;
        match pin!(ticket).poll(&mut context) {
            Poll::Ready(found) => Some(found.map(|found| found.envelope)),
            Poll::Pending => None,
        }
    }

    fn served(ticket: &mut Ticket<'_>) -> Option<Key> {
        let bytes = reply(ticket)?.expect("no failure").expect("a value");
        let text = std::str::from_utf8(&bytes).expect("a key");
        Some(key(text
            .strip_prefix("reads:")
            .expect("a key of this test")))
    }

    fn failure() -> Failure {
        use crate::error::{StoreError, StoreErrorKind};
        StoreError::new(StoreErrorKind::Timeout, "late").into()
    }

    const LONG: Duration = Duration::from_secs(1);

    #[test]
    fn a_place_is_not_given_to_another_before_its_reply_has_come() {
        let reads = Reads::new();
        let first = join(&reads, "a", LONG);
        let mut second = join(&reads, "b", LONG);
        let batch = reads.close().expect("a batch");
        drop(first);
        let mut third = join(&reads, "c", LONG);
        let next = reads.close().expect("another batch");
        let answers = replies(&batch);
        reads.answer(batch, Ok(answers));
        assert_eq!(served(&mut second), Some(key("b")));
        assert_eq!(served(&mut third), None);
        let answers = replies(&next);
        reads.answer(next, Ok(answers));
        assert_eq!(served(&mut third), Some(key("c")));
        assert!(reads.alone().is_some(), "nothing is under way");
    }

    /// The place is free before the reply comes, and the reply belongs to nobody.
    #[test]
    fn the_reply_to_an_overdue_read_does_not_reach_the_next_in_its_place() {
        let reads = Reads::new();
        let mut hasty = join(&reads, "a", Duration::ZERO);
        let mut patient = join(&reads, "b", LONG);
        let mut batch = reads.close().expect("a batch");
        assert_eq!(reads.expire(&mut batch, Instant::now(), &failure()), 1);
        assert!(reply(&mut hasty).expect("an end").is_err());
        let place = hasty.place;
        drop(hasty);
        let mut next = join(&reads, "c", LONG);
        assert_eq!(next.place, place);
        assert!(batch.is_awaited());
        let answers = replies(&batch);
        reads.answer(batch, Ok(answers));
        assert_eq!(served(&mut patient), Some(key("b")));
        assert_eq!(served(&mut next), None);
    }

    #[test]
    fn places_are_used_again() {
        let reads = Reads::new();
        for round in 0..100 {
            let mut tickets: Vec<_> = (0..10)
                .map(|n| join(&reads, &n.to_string(), LONG))
                .collect();
            tickets.remove(round % 10);
            let batch = reads.close().expect("a batch");
            let answers = replies(&batch);
            reads.answer(batch, Ok(answers));
            tickets.iter_mut().take(round % 5).for_each(|ticket| {
                assert!(served(ticket).is_some());
            });
        }
        assert_eq!(reads.desk.lock().places.len(), 10);
    }

    #[test]
    fn the_larger_the_values_the_smaller_the_batches() {
        let reads = Reads::new();
        assert_eq!(reads.most_keys(), MOST_KEYS);
        for _ in 0..20 {
            reads.weigh(10 * 64 * 1024, 10);
        }
        assert!((8..=9).contains(&reads.most_keys()));
        for _ in 0..20 {
            reads.weigh(1 << 20, 1);
        }
        assert_eq!(reads.most_keys(), 1);
        for _ in 0..60 {
            reads.weigh(100 * 256, 100);
        }
        assert_eq!(reads.most_keys(), MOST_KEYS);
    }
}
