//! A lane: two connections that any number of callers share.
//!
//! Plain reads, which are nearly all there is, gather at a [desk](super::reads) and go over a
//! connection of their own. Everything else goes over one of the client library's, multiplexed.
//! Both come and go together. A call takes its place, sends its command and awaits its reply, no
//! more: no `PING`, no checkout. Everything slow happens in the lane's [`Keeper`], a background task that connects,
//! hears of lost connections, checks doubtful ones and reconnects. The keeper starts with the
//! first call and lives on that caller's runtime. When the runtime ends, the slot falls vacant
//! and the next call, from whichever runtime, starts another keeper.

use std::{
    future::poll_fn,
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use redis::{Client, Cmd, aio::MultiplexedConnection};
use tokio::{
    runtime::Handle,
    sync::{mpsc::UnboundedSender, watch},
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    super::{
        Found,
        watch::{Change, Watchers},
    },
    batch::Reply,
    call::{Call, Waiting},
    clock::Clock,
    keeper::{Event, Keeper},
    reads::{Company, Held, Reads},
    reply::{FromReply, Timed},
    script::Script,
    ticket::Ticket,
};
use crate::{
    boxed::Boxed,
    error::{StoreError, StoreErrorKind},
    key::Key,
    resilience::Breaker,
};

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
    /// Those who read on this lane, if it is connected.
    pub(super) reads: Reads,
    /// How many commands have been answered.
    pub(super) answered: AtomicU64,
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

/// The connections of a lane, and their number among all of the process. They come and go together.
#[derive(Debug)]
pub(super) struct Wire {
    /// For all but plain reads.
    pub(super) connection: MultiplexedConnection,
    pub(super) number: u64,
    /// Whether the server tells of changes to keys that were read with the wish to know.
    pub(super) tracking: bool,
    /// Plain reads have a connection of their own.
    pub(super) _driver: AbortOnDrop,
    pub(super) _helper: AbortOnDrop,
    pub(super) lost: Lost,
}

/// Whether some command was under way when a connection broke. The others say nothing more about
/// the link.
pub(super) type Lost = Arc<AtomicBool>;

/// The keeper in charge; ends when dropped.
#[derive(Debug)]
struct Tenant {
    inbox: UnboundedSender<Event>,
    task: Option<AbortOnDrop>,
}

#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a call has no result.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// A command that may run twice can be tried again: the connection broke, so whether it ran is
    /// unknown, or it will be sent in another form.
    pub(super) again: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            again: false,
        }
    }
}

impl Lane {
    /// Does not connect.
    pub(super) fn new(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        Self { shared }
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

    /// Joins those who read; none while there is no connection.
    pub(super) fn begin<'a>(
        &'a self,
        key: &Key,
        tags: &[Key],
        time: &'a Range<Instant>,
        context: &mut Context<'_>,
    ) -> Result<Option<Waiting<'a>>, Failure> {
        self.admit()?;
        let here = runtime()?.id();
        let ticket = self.shared.join(key, tags, time, context);
        Ok(ticket.map(|ticket| Waiting::new(&self.shared, ticket, here, time)))
    }

    /// The same once there is a connection, to the end.
    pub(super) fn begin_connected<'a>(
        &'a self,
        key: &'a Key,
        tags: &'a [Key],
        deadline: Instant,
    ) -> Boxed<'a, Reply> {
        Box::pin(async move {
            // Who comes here again, after a connection broke, may be on no runtime any more.
            runtime().map_err(Failure::from)?;
            // Dropped at the deadline, the call counts as unanswered.
            let boarded = timeout_at(deadline, self.board()).await;
            let (call, wire) = boarded.map_err(|_| late())?.map_err(Failure::from)?;
            call.finish();
            let number = wire.number;
            // Whoever waits for a reply is not to keep a connection that has to go.
            drop(wire);
            let time = Instant::now()..deadline;
            let begun = poll_fn(|context| Poll::Ready(self.begin(key, tags, &time, context)));
            match begun.await? {
                Some(waiting) => waiting.in_time().await,
                None => {
                    // Its reads have ended without it: there has to be another.
                    self.shared.lose(number);
                    Err(gone().into())
                }
            }
        })
    }

    /// Reads a key and then its tags, and asks to be told of the next change of the key: a `GET` for
    /// each, with a word before them.
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

    /// Reads that join from now on leave together, when this is dropped.
    pub(super) fn company(&self) -> Company<'_> {
        self.shared.reads.company()
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

    async fn read_watched(
        &self,
        wire: &Wire,
        key: &Key,
        tags: &[Key],
    ) -> Result<(Found, Change), Failure> {
        if !wire.tracking {
            let (_, found) = self.shared.read_tracked(wire, key, tags).await?;
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
    /// Of lane `number` of those that share `breakers`.
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
            client,
            slot,
            breakers,
            number,
            clock,
            watchers: Arc::default(),
            reads: Reads::default(),
            answered: AtomicU64::new(0),
        }
    }

    pub(super) fn breaker(&self) -> &Breaker {
        #[expect(
            clippy::indexing_slicing,
            reason = "lanes are numbered by their place in this slice"
        )]
        &self.breakers[self.number]
    }

    /// Joins those who read; none while there is no connection.
    fn join(
        &self,
        key: &Key,
        tags: &[Key],
        time: &Range<Instant>,
        context: &mut Context<'_>,
    ) -> Option<Ticket> {
        let joined = self.reads.join(key, tags, time)?;
        Some(begun(joined, context))
    }

    /// Whether the server answers a read in time, with whatever.
    pub(super) async fn answers_reads(&self, deadline: Instant) -> bool {
        // Of no namespace, so a user may have no right to it.
        let key = Key::raw("", "");
        let time = Instant::now()..deadline;
        let join = poll_fn(|context| {
            let joined = self.reads.join_alone(&key, &time);
            Poll::Ready(joined.map(|joined| begun(joined, context)))
        });
        let Some(ticket) = join.await else {
            return false;
        };
        match timeout_at(deadline, ticket).await {
            Ok(Ok(_)) => true,
            Ok(Err(failure)) => !failure.again && failure.error.kind() != StoreErrorKind::Timeout,
            Err(_) => false,
        }
    }

    /// A call was cut off unanswered.
    pub(super) fn unanswered(&self) {
        self.failed(unanswered());
    }

    /// A connection broke, with commands under way.
    pub(super) fn broke(&self, number: u64, lost: &Lost, error: &StoreError) {
        self.lose(number);
        if !lost.swap(true, Ordering::Relaxed) {
            self.failed(error.clone());
        }
    }

    /// The link failed a call: counts, and has the keeper look.
    pub(super) fn failed(&self, reason: StoreError) {
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
            // Only now: whoever reads again waits for the next connection.
            self.reads.detach(number, &gone());
            self.tell(Event::Lost(number));
        }
    }

    /// The connection of the reads has ended. It may not be in the slot yet.
    pub(super) fn reads_ended(&self, number: u64) {
        self.lose(number);
        self.reads.detach(number, &gone());
        self.tell(Event::Lost(number));
    }

    fn tell(&self, event: Event) {
        if let Some(tenant) = &self.slot.borrow().keeper {
            // A keeper that is gone has left the slot vacant, or soon will.
            let _ = tenant.inbox.send(event);
        }
    }

    /// Starts a keeper on the current runtime if the slot's state allows it; false if there is
    /// no runtime, or it ends: what is dropped then may call still, and would start one after another.
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
        let task = runtime.spawn(keeper.run()).abort_handle();
        if task.is_finished() {
            return false;
        }
        let mut task = Some(AbortOnDrop(task));
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

/// Writes what whoever has joined is to write.
fn begun((ticket, held): (Ticket, Option<Held<'_>>), context: &mut Context<'_>) -> Ticket {
    if let Some(mut held) = held {
        // What is left, if anything, the driver writes.
        let _ = held.write(context);
    }
    ticket
}

/// What a read gets whose connection is gone.
pub(super) fn gone() -> Failure {
    Failure {
        error: StoreError::new(StoreErrorKind::Unavailable, "the connection has ended"),
        again: true,
    }
}

/// What a read gets whose connection has failed like this.
pub(super) fn broken(error: &io::Error) -> Failure {
    Failure {
        error: StoreError::new(StoreErrorKind::Unavailable, error.to_string()),
        again: true,
    }
}

/// What a call gets at its deadline.
pub(super) fn late() -> Failure {
    StoreError::no_reply().into()
}

/// Whether the server, up and willing, does not want several keys in one command: a user may lack
/// the right, and keys may belong to different slots.
pub(super) fn refuses_many(error: &StoreError) -> bool {
    use StoreErrorKind::{Auth, Moved, Other};
    matches!(error.kind(), Auth | Moved | Other)
}
