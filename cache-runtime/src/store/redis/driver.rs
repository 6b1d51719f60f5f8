//! [`Driver`]: the task that takes the replies to reads off a connection, and writes what callers have
//! left.
//!
//! It lives where the connection lives, not with any of the callers: whoever leaves takes nobody
//! along, and when that runtime ends both end together.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::AsyncRead,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::io::poll_read_buf;

use super::{
    super::Found,
    answers::{Answer, Answers},
    batch::{Batch, Read, Reply, fail},
    desk::PATIENCE,
    lane::{Failure, Lost, Shared, broken, gone, late, refuses_many},
    later::wake_later,
    reads::{Moment, Turn},
    reply::{self, OutOfStep},
    resp::{self, Part, Received},
};
use crate::error::StoreError;

/// What is received at once. Values are parts of it until nobody has one of them any more.
const BUFFER: usize = 64 << 10;

/// So many bytes are handed out before more is received: nobody waits for all of what others have asked
/// for. Less is not: what comes while workers are woken would be received, too, before any caller runs.
/// 16 callers made 1.1 to 1.2 of the calls, and with more it was the same.
const AT_ONCE: usize = 8 << 10;

/// A buffer with less room than this is followed by another.
const LEAST_ROOM: usize = 4 << 10;

/// No more room is made at a time for a value that has not come: how long it is, the server says.
const MOST_ROOM: usize = 4 << 20;

/// Drives a connection.
pub(super) struct Driver {
    shared: Arc<Shared>,
    /// Of the connection.
    number: u64,
    lost: Lost,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    incoming: BytesMut,
    /// The batch whose reply comes.
    batch: Option<Batch>,
    /// What has come for it.
    come: Come,
    /// What has come of its reads, and those before it.
    answered: VecDeque<Answer>,
    answers: Arc<Answers>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// When replies were handed out at last.
    handed_out: Option<Instant>,
    /// Why it ends, if the connection has failed.
    end: Option<Failure>,
}

/// A part of the reply to a batch.
#[derive(Default)]
struct Come {
    /// The head of the row.
    head: bool,
    /// For the read whose turn it is.
    values: Vec<Option<Bytes>>,
    error: Option<StoreError>,
    /// Of all values.
    bytes: usize,
}

impl Driver {
    /// For a connection that is attached to the desk.
    pub(super) fn new(
        shared: Arc<Shared>,
        number: u64,
        lost: Lost,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        answers: Arc<Answers>,
    ) -> Self {
        Self {
            shared,
            number,
            lost,
            reader,
            incoming: BytesMut::with_capacity(BUFFER),
            batch: None,
            come: Come::default(),
            answered: VecDeque::new(),
            answers,
            alarm: None,
            handed_out: None,
            end: None,
        }
    }

    /// Runs until the connection ends.
    pub(super) async fn run(mut self) {
        poll_fn(|context| {
            self.shared.reads.attend(self.number, context.waker());
            Poll::Ready(())
        })
        .await;
        let Err(failure) = poll_fn(|context| match self.poll(context) {
            Ok(()) => Poll::Pending,
            Err(failure) => Poll::Ready(Err::<Infallible, _>(failure)),
        })
        .await;
        self.end = Some(failure);
    }

    /// Goes on as far as it goes.
    fn poll(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            let received = self.receive(context);
            if !self.answered.is_empty() {
                self.handed_out = Some(Instant::now());
                if !matches!(received, Poll::Ready(Err(_))) {
                    self.write(Moment::Reply, context);
                }
                self.answers.hand_out(&mut self.answered);
            }
            match received {
                Poll::Ready(received) => received?,
                Poll::Pending => break,
            }
        }
        let moment = match self.handed_out {
            Some(at) if at.elapsed() < PATIENCE => Moment::Busy,
            _ => Moment::Idle,
        };
        self.write(moment, context);
        self.keep_time(context)
    }

    /// Takes what has come; ready if there may be more.
    fn receive(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut bytes = 0;
        while bytes < AT_ONCE {
            let reader = Pin::new(&mut self.reader);
            match ready!(poll_read_buf(reader, context, &mut self.incoming)) {
                Ok(0) => return Poll::Ready(Err(gone())),
                Ok(more) => bytes += more,
                Err(error) => return Poll::Ready(Err(broken(&error))),
            }
            if let Err(OutOfStep) = self.take_parts() {
                return Poll::Ready(Err(self.out_of_step()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What came is no reply to what was asked.
    fn out_of_step(&mut self) -> Failure {
        if self.shared.reads.is_attached(self.number) {
            // Those whose reply it might be get no other.
            let garbled = Failure::from(reply::out_of_step());
            self.fail(&garbled);
            self.shared.failed(garbled.error);
        }
        gone()
    }

    fn take_parts(&mut self) -> Result<(), OutOfStep> {
        let reads = &self.shared.reads;
        // All of it has come by now, and reading the clock takes longer than anything else here.
        let now = self.shared.clock.now();
        loop {
            let part = match resp::receive(&mut self.incoming)? {
                Received::Part(part) => part,
                Received::Wanting(bytes) => {
                    let room = self.incoming.capacity() - self.incoming.len();
                    let bytes = bytes.min(MOST_ROOM);
                    if room < bytes.max(LEAST_ROOM) {
                        self.incoming.reserve(bytes.max(BUFFER));
                    }
                    return Ok(());
                }
            };
            // Where it stays: to move it would take longer than to take the part.
            if self.batch.is_none() {
                self.batch = reads.next(self.number);
            }
            let batch = self.batch.as_mut().ok_or(OutOfStep)?;
            match self.come.take(part, batch, now)? {
                Taken::Part => {}
                Taken::Whole(read, reply) => {
                    if let Some(answer) = read.answer(reply) {
                        self.answered.push_back(answer);
                    }
                }
                Taken::Refusal(error) => {
                    let again = refuses_many(&error);
                    if again {
                        reads.part(self.number);
                    }
                    fail(batch.reads.drain(..), &Failure { error, again });
                }
            }
            if let Some(batch) = self.batch.take_if(|batch| batch.reads.is_empty()) {
                self.shared.breaker().succeeded();
                reads.recycle(batch, self.come.bytes);
                (self.come.head, self.come.bytes) = (false, 0);
            }
        }
    }

    /// Writes what callers have left.
    fn write(&self, moment: Moment, context: &mut Context<'_>) {
        loop {
            match self.shared.reads.turn(self.number, moment) {
                Turn::Write(mut held) => {
                    let written = held.write(context);
                    held.leave();
                    if written.is_pending() || moment == Moment::Reply {
                        return;
                    }
                }
                Turn::Later => return wake_later(context.waker()),
                // By any worker: a caller may keep this one busy.
                Turn::Soon => return context.waker().wake_by_ref(),
                Turn::Nothing => return,
            }
        }
    }

    /// Gives up those whose time is over.
    fn keep_time(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            if let Some(first) = self.shared.reads.arm(self.number, self.batch.as_ref())? {
                match &mut self.alarm {
                    Some(alarm) => alarm.as_mut().reset(first),
                    none => *none = Some(Box::pin(sleep_until(first))),
                }
            }
            let Some(alarm) = &mut self.alarm else {
                return Ok(());
            };
            if alarm.as_mut().poll(context).is_pending() {
                return Ok(());
            }
            self.alarm = None;
            let (now, late, batch) = (Instant::now(), late(), self.batch.as_mut());
            let late = self.shared.reads.expire(self.number, batch, now, &late);
            (0..late).for_each(|_| self.shared.unanswered());
        }
    }

    /// Ends the batch whose reply has begun to come, or comes next.
    fn fail(&mut self, failure: &Failure) {
        let batch = self.batch.take();
        if let Some(batch) = batch.or_else(|| self.shared.reads.next(self.number)) {
            fail(batch.reads, failure);
        }
    }
}

/// What came with a part.
enum Taken {
    /// More has to come.
    Part,
    /// A read is answered.
    Whole(Read, Reply),
    /// The server refuses the whole batch.
    Refusal(StoreError),
}

impl Come {
    fn take(
        &mut self,
        part: Part,
        batch: &mut Batch,
        now: Option<u64>,
    ) -> Result<Taken, OutOfStep> {
        let in_row = !batch.apart && batch.keys > 1;
        match part {
            Part::Row(count) if in_row && !self.head && count == batch.keys => {
                self.head = true;
                return Ok(Taken::Part);
            }
            Part::Error(line) if in_row && !self.head => {
                return Ok(Taken::Refusal(reply::line_error(&line)?));
            }
            Part::Value(value) if in_row == self.head => {
                self.bytes += value.as_ref().map_or(0, Bytes::len);
                self.values.push(value);
            }
            Part::Error(line) if !in_row => {
                self.error.get_or_insert(reply::line_error(&line)?);
                self.values.push(None);
            }
            _ => return Err(OutOfStep),
        }
        let whole = |read: &mut Read| read.keys == self.values.len();
        let Some(read) = batch.reads.pop_front_if(whole) else {
            return Ok(Taken::Part);
        };
        let mut values = self.values.drain(..);
        let found = Found::new(values.next().flatten(), values, now);
        let reply = match self.error.take() {
            None => Ok(found),
            Some(error) => Err(Failure::from(error).into()),
        };
        Ok(Taken::Whole(read, reply))
    }
}

/// With the connection, with its runtime, or after a panic.
impl Drop for Driver {
    fn drop(&mut self) {
        let failure = self.end.take().unwrap_or_else(gone);
        // First of all: whoever reads again is not to find it.
        if self.batch.as_ref().is_some_and(Batch::is_awaited)
            || self.shared.reads.is_awaited(self.number)
        {
            self.shared.broke(self.number, &self.lost, &failure.error);
        }
        self.shared.reads_ended(self.number);
        self.fail(&failure);
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io, iter,
        task::{Wake, Waker},
        time::Duration,
    };

    use parking_lot::Mutex;
    use redis::Client;
    use tokio::{
        io::{AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex},
        runtime::Handle,
    };

    use super::{
        super::{
            call::Waiting,
            desk::{ENOUGH_OF_FEW, SEVERAL},
            pen::Pen,
            ticket::{Ticket, reply},
        },
        *,
    };
    use crate::{key::Key, resilience::Breaker, store::redis::BreakerPolicy};

    const NUMBER: u64 = 1;

    /// What happens, in its order.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<&'static str>>>);

    impl Log {
        fn take(&self) -> Vec<&'static str> {
            std::mem::take(&mut self.0.lock())
        }
    }

    /// To a caller.
    impl Wake for Log {
        fn wake(self: Arc<Self>) {
            self.0.lock().push("handed out");
        }
    }

    /// To the server.
    impl AsyncWrite for Log {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.lock().push("written");
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn shared() -> Arc<Shared> {
        let client = Client::open("redis://127.0.0.1").expect("a URL");
        let breaker = Breaker::new(BreakerPolicy::DEFAULT);
        Arc::new(Shared::new(client, [breaker].into(), 0, Arc::default()))
    }

    /// A connection and its driver; and the server.
    fn connect(shared: &Arc<Shared>, log: &Log) -> (Driver, DuplexStream) {
        let pen = Pen::new(Box::new(log.clone()));
        shared.reads.attach(NUMBER, Handle::current().id(), pen);
        let (server, replies) = duplex(1 << 16);
        let (lost, answers) = (Lost::default(), Arc::default());
        let driver = Driver::new(shared.clone(), NUMBER, lost, Box::new(replies), answers);
        (driver, server)
    }

    fn drive(driver: &mut Driver) -> Result<(), Failure> {
        driver.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// So many callers join, one after the other, and wait.
    fn join(shared: &Shared, log: &Log, callers: usize) -> Vec<Ticket> {
        let waker = Waker::from(Arc::new(log.clone()));
        let context = &mut Context::from_waker(&waker);
        let join = || {
            let (now, key) = (Instant::now(), Key::raw("driver", "key"));
            let time = now..now + Duration::from_secs(1);
            let joined = shared.reads.join(&key, &[], &time);
            let (mut ticket, held) = joined.expect("a connection");
            if let Some(mut held) = held {
                assert!(held.write(context).is_ready());
            }
            assert!(Pin::new(&mut ticket).poll(context).is_pending());
            ticket
        };
        iter::repeat_with(join).take(callers).collect()
    }

    /// The reply to so many keys: there is nothing.
    fn row(keys: usize) -> Vec<u8> {
        [format!("*{keys}\r\n"), "$-1\r\n".repeat(keys)]
            .concat()
            .into_bytes()
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_reply_is_written_before_that_is_handed_out() {
        let (shared, log) = (shared(), Log::default());
        let (mut driver, mut server) = connect(&shared, &log);
        let mut drive = || {
            assert!(drive(&mut driver).is_ok());
            log.take()
        };
        let _alone = join(&shared, &log, 1);
        let _beside = join(&shared, &log, SEVERAL);
        assert_eq!(drive(), ["written"], "by the first");
        assert_eq!(drive(), ["written"], "of the others");
        let replies = [b"$-1\r\n".to_vec(), row(SEVERAL)].concat();
        server.write_all(&replies).await.expect("room");
        assert_eq!(drive(), ["handed out"; 1 + SEVERAL]);

        let _several = join(&shared, &log, SEVERAL);
        assert_eq!(log.take(), ["written"; 2], "by who completes a batch");
        server.write_all(&row(ENOUGH_OF_FEW)).await.expect("room");
        let seen = drive();
        assert_eq!(seen.first(), Some(&"written"), "who was left over");
        assert_eq!(seen.get(1..), Some(&["handed out"; ENOUGH_OF_FEW][..]));
    }

    /// Of four that share a command, some have got what came for them before the rest was no reply.
    #[tokio::test(start_paused = true)]
    async fn what_is_out_of_step_ends_a_connection_wherever_it_comes() {
        const ONE: &str = "$1\r\nx\r\n";
        for (rest, served) in [
            (format!("*4\r\n{ONE}-ERR no\r\n"), 1),
            (format!("*4\r\n{ONE}{ONE}*1\r\n{ONE}"), 2),
            (format!("*4\r\n{ONE}{ONE}{ONE}:1\r\n"), 3),
            (format!("*4\r\n{}{ONE}", ONE.repeat(4)), 4),
            (format!("*3\r\n{}", ONE.repeat(3)), 0),
            (format!("*5\r\n{}", ONE.repeat(5)), 0),
            (ONE.repeat(4), 0),
        ] {
            let (shared, log) = (shared(), Log::default());
            let (mut driver, mut server) = connect(&shared, &log);
            let _alone = join(&shared, &log, 1);
            let mut tickets = join(&shared, &log, 4);
            (0..2).for_each(|_| assert!(drive(&mut driver).is_ok()));
            let replies = format!("$-1\r\n{rest}");
            server.write_all(replies.as_bytes()).await.expect("room");
            assert!(drive(&mut driver).is_err(), "{rest:?}");
            drop(driver);
            for (number, ticket) in tickets.iter_mut().enumerate() {
                let reply = reply(ticket).expect("an end");
                assert_eq!(reply.is_ok(), number < served, "{number} of {rest:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_a_read_is_there() {
        let (shared, log) = (shared(), Log::default());
        let (mut driver, mut server) = connect(&shared, &log);
        let mut answers = Box::pin(shared.answers_reads(Instant::now() + Duration::from_secs(1)));
        let _alone = join(&shared, &log, 1);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(answers.as_mut().poll(context).is_pending());
        let _beside = join(&shared, &log, 1);
        (0..2).for_each(|_| assert!(drive(&mut driver).is_ok()));
        let refusal = b"$-1\r\n-NOPERM this user has no permissions to access one of the keys\r\n";
        server.write_all(refusal).await.expect("room");
        assert!(drive(&mut driver).is_ok());
        assert_eq!(answers.as_mut().poll(context), Poll::Ready(true));
    }

    #[tokio::test(start_paused = true)]
    async fn no_room_is_made_for_what_a_server_only_announces() {
        let (shared, log) = (shared(), Log::default());
        let (mut driver, mut server) = connect(&shared, &log);
        let _alone = join(&shared, &log, 1);
        server.write_all(b"$1000000000\r\n").await.expect("room");
        assert!(drive(&mut driver).is_ok());
        let room = driver.incoming.capacity();
        assert!((MOST_ROOM..2 * MOST_ROOM).contains(&room), "{room}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_late_says_nothing_of_the_link_if_others_were_answered() {
        for answered in [false, true] {
            let (shared, log) = (shared(), Log::default());
            let (mut driver, mut server) = connect(&shared, &log);
            let _alone = join(&shared, &log, 1);
            let (here, now) = (Handle::current().id(), Instant::now());
            let time = now..now + Duration::from_secs(1);
            let tickets = join(&shared, &log, 8).into_iter();
            let waiting = tickets.map(|ticket| Waiting::new(&shared, ticket, here, &time));
            let waiting: Vec<_> = waiting.collect();
            if answered {
                server.write_all(b"$-1\r\n").await.expect("room");
                assert!(drive(&mut driver).is_ok());
            }
            tokio::time::advance(Duration::from_millis(100)).await;
            drop(waiting);
            assert_eq!(shared.breaker().admit().is_ok(), answered);
        }
    }
}
