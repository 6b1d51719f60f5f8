//! A lane: one multiplexed connection that any number of callers share.
//!
//! A call reads the lane's slot, sends its command and awaits its reply, no more: no `PING`, no
//! checkout. Everything slow happens in the lane's [`Keeper`], a background task that connects,
//! hears of lost connections, checks doubtful ones and reconnects. The keeper starts with the
//! first call and lives on that caller's runtime. When the runtime ends, the slot falls vacant
//! and the next call, from whichever runtime, starts another keeper.

use std::{
    future::poll_fn,
    iter,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use redis::{Client, Cmd, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{mpsc::UnboundedSender, watch},
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    super::{
        Found,
        watch::{Change, Watchers},
    },
    carrier::Carrier,
    clock::Clock,
    keeper::{Event, Keeper},
    reads::{Batch, Reads, Ticket},
    reply::{self, First, FromReply, Stored, Timed},
    script::Script,
};
use crate::{
    boxed::Boxed,
    error::{StoreError, StoreErrorKind},
    key::Key,
    resilience::Breaker,
};

/// A call dropped unanswered after this long says something about the link, and so does one whose
/// deadline has passed; one dropped sooner says something about its caller.
const CUT_OFF: Duration = Duration::from_millis(50);

/// Limit of a call whose own deadline is later, or that has none.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a due probe may stay undone before a caller starts another keeper: longer than a
/// keeper takes for any attempt, so only a keeper on a stalled runtime loses its lane.
const PATIENCE: Duration = Duration::from_secs(4);

/// The owning handle. Dropping it closes the connection and ends the keeper.
#[derive(Debug)]
pub(super) struct Lane {
    shared: Arc<Shared>,
}

/// What callers and the keeper share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) slot: watch::Sender<Slot>,
    /// The breakers of all lanes, ours at `number`: lanes fail alone when one connection hangs
    /// and together when the server does.
    breakers: Arc<[Breaker]>,
    number: usize,
    /// The server's, shared by all lanes.
    pub(super) clock: Arc<Clock>,
    /// Those who read on this lane and want to hear of changes.
    pub(super) watchers: Arc<Watchers>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: State,
    /// Counts keepers. A keeper that finds another number has been replaced.
    pub(super) tenure: u64,
    keeper: Option<Tenant>,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nobody connects: not used yet, or the keeper's runtime ended.
    Vacant,
    /// A first attempt is under way; callers wait for it.
    Connecting,
    Ready(Arc<Wire>),
    /// The last attempt failed and the keeper tries again; callers do not wait.
    Down(StoreError),
    /// Shut down for good.
    Closed,
}

/// A connection and its number among all connections of the process.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) connection: MultiplexedConnection,
    pub(super) number: u64,
    /// Whether the server tells of changes to keys that were read with the wish to know.
    pub(super) tracking: bool,
    pub(super) reads: Reads,
    /// Some command was under way when it broke. The others say nothing more about the link.
    lost: AtomicBool,
    /// The server refuses `MGET`: to this user, or of keys in different slots.
    apart: AtomicBool,
    /// Where the connection lives, and what waits for its replies should end with it.
    runtime: Handle,
    /// Whether that runtime runs several tasks at a time.
    pub(super) many_workers: bool,
}

impl Wire {
    /// A connection of the current runtime.
    pub(super) fn new(connection: MultiplexedConnection, number: u64, tracking: bool) -> Self {
        let runtime = Handle::current();
        Self {
            connection,
            number,
            tracking,
            reads: Reads::new(),
            lost: AtomicBool::new(false),
            apart: AtomicBool::new(false),
            many_workers: runtime.runtime_flavor() == RuntimeFlavor::MultiThread,
            runtime,
        }
    }
}

/// The keeper in charge; ends when dropped.
#[derive(Debug)]
struct Tenant {
    inbox: UnboundedSender<Event>,
    task: Option<AbortOnDrop>,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a call has no result.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// The connection broke with the command under way, so whether it ran is unknown. A command
    /// that may run twice can be tried again.
    pub(super) lost: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, lost: false }
    }
}

impl Lane {
    /// Lane `number` of those that share `breakers`. Does not connect.
    pub(super) fn new(
        client: Client,
        breakers: Arc<[Breaker]>,
        number: usize,
        clock: Arc<Clock>,
    ) -> Self {
        let (slot, _) = watch::channel(Slot {
            state: State::Vacant,
            tenure: 0,
            keeper: None,
        });
        Self {
            shared: Arc::new(Shared {
                client,
                slot,
                breakers,
                number,
                clock,
                watchers: Arc::default(),
            }),
        }
    }

    /// Sends a command and reads its reply.
    ///
    /// Fails at once while the breaker is open or the server is known to be down; otherwise
    /// waits for the connection and the reply. Safe to drop at any time.
    pub(super) async fn call<R: FromReply>(&self, command: &Cmd) -> Result<R, Failure> {
        let (call, wire) = self.board().await?;
        let reply = self.limited(self.shared.exchange(&wire, command)).await;
        call.finish();
        reply
    }

    /// Runs a script on one key; its reply and the number of the connection it ran on.
    ///
    /// Fails, waits and is dropped like [`call`](Self::call).
    pub(super) async fn run<R: Timed>(
        &self,
        script: &Script,
        key: &Key,
        arguments: &[&[u8]],
    ) -> Result<(R, u64), Failure> {
        let (call, wire) = self.board().await?;
        let reply = self
            .limited(self.evaluate(&wire, script, key, arguments))
            .await;
        call.finish();
        reply.map(|reply| (reply, wire.number))
    }

    /// Runs a script on the connection of this number; none, and nothing is sent, if that is not
    /// the lane's any more.
    ///
    /// Fails, waits and is dropped like [`call`](Self::call).
    pub(super) async fn run_on<R: Timed>(
        &self,
        number: u64,
        script: &Script,
        key: &Key,
        arguments: &[&[u8]],
    ) -> Result<Option<R>, Failure> {
        let (call, wire) = self.board().await?;
        let reply = match wire.number == number {
            true => self
                .limited(self.evaluate(&wire, script, key, arguments))
                .await
                .map(Some),
            false => Ok(None),
        };
        call.finish();
        reply
    }

    /// Reads a key and its tags: by itself if nothing else is under way, otherwise with the others
    /// that wait. Fails at the deadline.
    ///
    /// Fails, waits and is dropped like [`call`](Self::call).
    pub(super) async fn look_up(
        &self,
        key: &Key,
        tags: &[Key],
        deadline: Instant,
    ) -> Result<Found, Failure> {
        self.admit()?;
        let wire = match self.ready() {
            Some(wire) => wire,
            None => self.connected(deadline).await?,
        };
        match wire.reads.alone() {
            Some(_alone) => self.read(&wire, key, tags, deadline).await,
            None => self.join(&wire, key, tags, deadline).await,
        }
    }

    /// The connection, once there is one.
    fn connected(&self, deadline: Instant) -> Boxed<'_, Result<Arc<Wire>, Failure>> {
        Box::pin(self.by(deadline, async { Ok(self.wire().await?) }))
    }

    /// Reads by oneself.
    fn read<'a>(
        &'a self,
        wire: &'a Wire,
        key: &'a Key,
        tags: &'a [Key],
        deadline: Instant,
    ) -> Boxed<'a, Result<Found, Failure>> {
        Box::pin(self.by(deadline, self.shared.read(wire, key, tags)))
    }

    /// Reads a key and its tags, and asks to be told of the next change of the key: one `GET` or
    /// `MGET` with a word before it.
    ///
    /// Fails, waits and is dropped like [`call`](Self::call).
    pub(super) async fn look_up_watched(
        &self,
        key: &Key,
        tags: &[Key],
    ) -> Result<(Found, Change), Failure> {
        let (call, wire) = self.board().await?;
        let reply = self.limited(self.read_watched(&wire, key, tags)).await;
        call.finish();
        reply
    }

    /// How many wait for a change.
    pub(super) fn watchers(&self) -> usize {
        self.shared.watchers.len()
    }

    /// Closes the connection for good.
    pub(super) fn close(&self) {
        let mut last = None;
        self.shared.slot.send_modify(|slot| {
            slot.state = State::Closed;
            last = slot.keeper.take();
        });
    }

    /// The beginning of every call: past the breaker, on to the connection.
    async fn board(&self) -> Result<(Call<'_>, Arc<Wire>), StoreError> {
        self.admit()?;
        let call = Call::start(&self.shared);
        match self.wire().await {
            Ok(wire) => Ok((call, wire)),
            Err(error) => {
                call.finish();
                Err(error)
            }
        }
    }

    fn admit(&self) -> Result<(), StoreError> {
        let breaker = self.shared.breaker();
        breaker.admit().inspect_err(|_| {
            if breaker.adopt_probe(PATIENCE, Instant::now()) {
                self.shared.start_keeper(|_| true);
            }
        })
    }

    async fn evaluate<R: Timed>(
        &self,
        wire: &Wire,
        script: &Script,
        key: &Key,
        arguments: &[&[u8]],
    ) -> Result<R, Failure> {
        let reply: Result<R, Failure> = self
            .shared
            .exchange(wire, &script.by_hash(key, arguments))
            .await;
        let reply = match reply {
            Err(failure) if failure.error.kind() == StoreErrorKind::NoScript => {
                self.shared
                    .exchange(wire, &script.in_full(key, arguments))
                    .await
            }
            reply => reply,
        };
        reply.inspect(|reply| self.shared.clock.heard(reply.now()))
    }

    /// Reads in the company of others.
    async fn join(
        &self,
        wire: &Arc<Wire>,
        key: &Key,
        tags: &[Key],
        deadline: Instant,
    ) -> Result<Found, Failure> {
        let here = runtime()?.id();
        let joined = poll_fn(|context| {
            let joined = wire.reads.join(key, tags, deadline, context.waker());
            Poll::Ready(joined)
        });
        let (ticket, opens) = joined.await;
        let mut waiting = Waiting {
            shared: &self.shared,
            deadline: ticket.deadline(deadline),
            ticket,
        };
        if opens {
            self.carry(wire);
        }
        // The carrier keeps the time, but its runtime may not be driven while this one is.
        match here == wire.runtime.id() {
            true => Pin::new(&mut waiting.ticket).await,
            false => waiting.in_time().await,
        }
    }

    /// Has the batch sent that was just opened.
    fn carry(&self, wire: &Arc<Wire>) {
        let carrier = Carrier::new(Arc::clone(&self.shared), Arc::clone(wire));
        wire.runtime.spawn(carrier.run());
        if wire.many_workers {
            // What a worker has spawned last it runs next, and no other worker can take it away. If
            // the task that opened the batch keeps its worker busy, this one has to wait for it,
            // and the carrier is where the others look for work.
            wire.runtime.spawn(async {});
        }
    }

    async fn read_watched(
        &self,
        wire: &Wire,
        key: &Key,
        tags: &[Key],
    ) -> Result<(Found, Change), Failure> {
        if !wire.tracking {
            let found = self.shared.read(wire, key, tags).await?;
            return Ok((found, Change::never()));
        }
        // Before it is sent: the push may overtake our hearing of the reply.
        let change = self.shared.watchers.watch(key.as_bytes());
        let (tracked, found) = self.shared.read_tracked(wire, key, tags).await?;
        Ok((found, if tracked { change } else { Change::never() }))
    }

    /// Ends a call that has no deadline here. Every call of the flow has a budget, far below.
    async fn limited<T>(
        &self,
        part: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        runtime()?;
        timeout(RESPONSE_TIMEOUT, part).await.unwrap_or_else(|_| {
            let failure = late();
            self.shared.failed(failure.error.clone());
            Err(failure)
        })
    }

    /// Watches over a part of a call, and ends it at the deadline.
    async fn by<T>(
        &self,
        deadline: Instant,
        part: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        runtime()?;
        let mut call = Call::start(&self.shared);
        let deadline = *call
            .deadline
            .insert(deadline.min(call.started + RESPONSE_TIMEOUT));
        // Cut off, the call is not finished and says so.
        let result = timeout_at(deadline, part).await.map_err(|_| late())?;
        call.finish();
        result
    }

    /// The connection, if there is one.
    fn ready(&self) -> Option<Arc<Wire>> {
        match &self.shared.slot.borrow().state {
            State::Ready(wire) => Some(Arc::clone(wire)),
            _ => None,
        }
    }

    /// The connection, once there is one.
    async fn wire(&self) -> Result<Arc<Wire>, StoreError> {
        if let Some(wire) = self.ready() {
            return Ok(wire);
        }
        runtime()?;
        let mut changes = self.shared.slot.subscribe();
        loop {
            let vacant = match &changes.borrow_and_update().state {
                State::Ready(wire) => return Ok(wire.clone()),
                State::Down(error) => return Err(error.clone()),
                State::Closed => return Err(closed()),
                State::Connecting => false,
                State::Vacant => true,
            };
            if vacant
                && !self
                    .shared
                    .start_keeper(|state| matches!(state, State::Vacant))
            {
                return Err(StoreError::no_runtime());
            }
            if changes.changed().await.is_err() {
                return Err(closed());
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
    }
}

fn runtime() -> Result<Handle, StoreError> {
    Handle::try_current().map_err(|_| StoreError::no_runtime())
}

fn unanswered() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "calls went unanswered; they fail at once until the store answers again",
    )
}

fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the cache is shut down")
}

impl Shared {
    pub(super) fn breaker(&self) -> &Breaker {
        #[expect(
            clippy::indexing_slicing,
            reason = "lanes are numbered by their place in this slice"
        )]
        &self.breakers[self.number]
    }

    /// Reads a key and its tags: one `GET`, or one `MGET` if there are any.
    async fn read(&self, wire: &Wire, key: &Key, tags: &[Key]) -> Result<Found, Failure> {
        if tags.is_empty() {
            let envelope: Option<Bytes> = self.exchange(wire, &get(key)).await?;
            let bytes = envelope.as_ref().map_or(0, Bytes::len);
            wire.reads.weigh(bytes, 1);
            return Ok(Found::new(envelope, []));
        }
        let keys: Vec<Key> = iter::once(key).chain(tags).cloned().collect();
        let replies = self.fetch(wire, &keys).await?;
        Ok(reply::found(replies.into_iter())?)
    }

    /// The replies to a `GET` of each key, whichever way they are asked for.
    pub(super) async fn fetch(&self, wire: &Wire, keys: &[Key]) -> Result<Vec<Value>, Failure> {
        if let [key] = keys {
            let value = self.exchange::<Value>(wire, &get(key)).await?;
            return Ok(vec![value]);
        }
        let mut connection = wire.connection.clone();
        if !wire.apart.load(Ordering::Relaxed) {
            let reply = connection.send_packed_command(&get_many(keys)).await;
            match self.settle_as(wire, reply, |reply| reply::row(reply, keys.len())) {
                Err(failure) if refuses_many(&failure) => wire.apart.store(true, Ordering::Relaxed),
                replies => return replies,
            }
        }
        let mut commands = redis::pipe();
        keys.iter().for_each(|key| {
            commands.add_command(get(key));
        });
        let replies = connection.send_packed_commands(&commands, 0, keys.len());
        let replies = replies.await.map(Value::Array);
        self.settle_as(wire, replies, |replies| reply::gets(replies, keys.len()))
    }

    /// The same with a word before it; whether the server will tell of changes of the first key.
    async fn read_tracked(
        &self,
        wire: &Wire,
        key: &Key,
        tags: &[Key],
    ) -> Result<(bool, Found), Failure> {
        let keys: Vec<Key> = iter::once(key).chain(tags).cloned().collect();
        let mut connection = wire.connection.clone();
        loop {
            let many = !tags.is_empty() && !wire.apart.load(Ordering::Relaxed);
            let mut commands = redis::pipe();
            commands.cmd("CLIENT").arg("CACHING").arg("YES");
            if many {
                commands.add_command(get_many(&keys));
            } else {
                keys.iter().for_each(|key| {
                    commands.add_command(get(key));
                });
            }
            let count = commands.cmd_iter().count();
            let replies = connection.send_packed_commands(&commands, 0, count).await;
            let First(caching, rest) = self.settle(wire, replies.map(Value::Array))?;
            let tracked = self.settle::<Stored>(wire, Ok(caching)).is_ok();
            let rest = if many {
                rest.into_iter().next().unwrap_or(Value::Nil)
            } else {
                Value::Array(rest)
            };
            let replies = match many {
                true => self.settle_as(wire, Ok(rest), |reply| reply::row(reply, keys.len())),
                false => self.settle_as(wire, Ok(rest), |replies| reply::gets(replies, keys.len())),
            };
            match replies {
                Err(failure) if many && refuses_many(&failure) => {
                    wire.apart.store(true, Ordering::Relaxed);
                }
                replies => return Ok((tracked, reply::found(replies?.into_iter())?)),
            }
        }
    }

    async fn exchange<R: FromReply>(&self, wire: &Wire, command: &Cmd) -> Result<R, Failure> {
        let mut connection = wire.connection.clone();
        let reply = connection.send_packed_command(command).await;
        self.settle(wire, reply)
    }

    /// What a reply means for the link, and for the caller.
    fn settle<R: FromReply>(&self, wire: &Wire, reply: RedisResult<Value>) -> Result<R, Failure> {
        self.settle_as(wire, reply, R::from_reply)
    }

    fn settle_as<R>(
        &self,
        wire: &Wire,
        reply: RedisResult<Value>,
        read: impl FnOnce(Value) -> Result<R, reply::OutOfStep>,
    ) -> Result<R, Failure> {
        let error = match reply {
            Ok(Value::ServerError(error)) => {
                self.breaker().succeeded();
                return Err(reply::store_error(&error.into()).into());
            }
            Ok(value) => match read(value) {
                Ok(reply) => {
                    self.breaker().succeeded();
                    return Ok(reply);
                }
                Err(reply::OutOfStep) => {
                    let error = StoreError::new(
                        StoreErrorKind::Protocol,
                        "a reply does not fit its command; the connection is replaced",
                    );
                    self.lose(wire.number);
                    self.failed(error.clone());
                    return Err(error.into());
                }
            },
            Err(error) => error,
        };
        let lost = error.is_unrecoverable_error();
        let error = reply::store_error(&error);
        if lost {
            self.lose(wire.number);
        }
        if !lost || !wire.lost.swap(true, Ordering::Relaxed) {
            self.failed(error.clone());
        }
        Err(Failure { error, lost })
    }

    /// Ends the reads of an unanswered batch whose time is over. Each is a failure like that of
    /// [`Call`].
    pub(super) fn expire(&self, wire: &Wire, batch: &mut Batch) {
        let now = Instant::now();
        let late = wire.reads.expire(batch, now, &late());
        (0..late).for_each(|_| self.failed(unanswered()));
    }

    /// The link failed a call: counts, and has the keeper look.
    fn failed(&self, reason: StoreError) {
        if self.breaker().failed(reason, Instant::now()) {
            let others = self.breakers.iter().enumerate();
            others
                .filter(|(number, _)| *number != self.number)
                .for_each(|(_, breaker)| breaker.suspect());
        }
        self.tell(Event::Doubt);
    }

    /// Takes a broken connection out of the slot, so that nobody else runs into it.
    pub(super) fn lose(&self, number: u64) {
        let lost = self.slot.send_if_modified(|slot| {
            let current = matches!(&slot.state, State::Ready(wire) if wire.number == number);
            if current {
                slot.state = State::Connecting;
            }
            current
        });
        if lost {
            self.tell(Event::Lost(number));
        }
    }

    fn tell(&self, event: Event) {
        if let Some(tenant) = &self.slot.borrow().keeper {
            // A keeper that is gone has left the slot vacant, or soon will.
            let _ = tenant.inbox.send(event);
        }
    }

    /// Starts a keeper on the current runtime if the slot's state allows it; false if there is
    /// no runtime.
    fn start_keeper(self: &Arc<Self>, allowed: impl Fn(&State) -> bool) -> bool {
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        let mut keeper = None;
        let mut replaced = None;
        self.slot.send_if_modified(|slot| {
            if matches!(slot.state, State::Closed) || !allowed(&slot.state) {
                return false;
            }
            slot.tenure += 1;
            let (new, inbox) = Keeper::new(Arc::clone(self), slot.tenure);
            keeper = Some((new, slot.tenure));
            replaced = slot.keeper.replace(Tenant { inbox, task: None });
            slot.state = State::Connecting;
            true
        });
        drop(replaced);
        let Some((keeper, tenure)) = keeper else {
            return true;
        };
        let mut task = Some(AbortOnDrop(runtime.spawn(keeper.run()).abort_handle()));
        self.slot.send_if_modified(|slot| {
            // Otherwise the keeper was replaced or closed already, and is aborted here.
            if slot.tenure == tenure
                && let Some(tenant) = &mut slot.keeper
            {
                tenant.task = task.take();
            }
            false
        });
        true
    }
}

fn get(key: &Key) -> Cmd {
    let mut command = Cmd::with_capacity(2, key.as_bytes().len() + 3);
    command.arg("GET").arg(key.as_bytes());
    command
}

fn get_many(keys: &[Key]) -> Cmd {
    let size: usize = keys.iter().map(|key| key.as_bytes().len()).sum();
    let mut command = Cmd::with_capacity(1 + keys.len(), size + 4);
    command.arg("MGET");
    keys.iter().for_each(|key| {
        command.arg(key.as_bytes());
    });
    command
}

/// What a call gets at its deadline.
fn late() -> Failure {
    StoreError::new(StoreErrorKind::Timeout, "no reply in time").into()
}

/// Whether the server, up and willing, does not want several keys in one command: a user may lack
/// the right, and keys may belong to different slots.
fn refuses_many(failure: &Failure) -> bool {
    use StoreErrorKind::{Auth, Moved, Other};
    !failure.lost && matches!(failure.error.kind(), Auth | Moved | Other)
}

/// Watches over a read in company, like [`Call`] over one that is not.
struct Waiting<'a> {
    shared: &'a Shared,
    ticket: Ticket<'a>,
    deadline: Instant,
}

impl Waiting<'_> {
    /// The reply, if it comes by the deadline.
    fn in_time(&mut self) -> Boxed<'_, Result<Found, Failure>> {
        let ticket = timeout_at(self.deadline, Pin::new(&mut self.ticket));
        Box::pin(async { ticket.await.unwrap_or_else(|_| Err(late())) })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(since) = self.ticket.waits_since()
            && is_overdue(since, Some(self.deadline))
        {
            self.shared.failed(unanswered());
        }
    }
}

/// Watches over one call: dropped unfinished after its deadline or [`CUT_OFF`], it counts as a
/// failure. The latter because most calls have no deadline: the budget that cuts them off is not
/// visible from here.
struct Call<'a> {
    shared: &'a Shared,
    started: Instant,
    deadline: Option<Instant>,
    finished: bool,
}

impl<'a> Call<'a> {
    fn start(shared: &'a Shared) -> Self {
        Self {
            shared,
            started: Instant::now(),
            deadline: None,
            finished: false,
        }
    }

    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.finished && is_overdue(self.started, self.deadline) {
            self.shared.failed(unanswered());
        }
    }
}

/// Whether an unanswered call has been given long enough to say something about the link.
fn is_overdue(since: Instant, deadline: Option<Instant>) -> bool {
    let now = Instant::now();
    now.saturating_duration_since(since) >= CUT_OFF || deadline.is_some_and(|by| now >= by)
}
