//! The background task behind a lane: connects, watches, probes, reconnects.
//!
//! ```text
//!   connect ──ok──► watch ──lost──────────────────► connect at once
//!      │              └──in doubt──► PING ──no PONG─► connect at once, PING before it is trusted
//!      └──failed──► breaker open, wait ────────────► connect
//! ```
//!
//! A connection that ends as soon as it is made is one in doubt, and after several of them there is a
//! pause before the next.
//!
//! The breaker opens with every failed attempt and closes with every connection and every `PONG`,
//! so callers learn of both without asking the server themselves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join;
use redis::{
    AsyncConnectionConfig, PushInfo, PushKind, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    super::watch::Watchers,
    answers::Answers,
    driver::Driver,
    lane::{AbortOnDrop, Lost, Shared, State, Wire, gone},
    pen::Pen,
    reply::{self, FromReply, Pair, Pong, Stored, Time},
    socket::{self, Socket},
};
use crate::error::{StoreError, StoreErrorKind};
use crate::resilience::{
    backoff::{Backoff, random},
    breaker::BreakerPolicy,
};

/// Limit of one attempt to connect, the handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection in doubt has to answer a `PING` before it is replaced.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection that ends before is one in doubt: a server or a proxy may hang up on whoever comes.
const BRIEF: Duration = Duration::from_secs(1);

/// The pauses after several of them in a row, as between attempts that fail.
const PAUSES: Backoff = BreakerPolicy::DEFAULT.backoff;

/// The wait after a server that refused the credentials: asking ten times a second would fill its
/// log and may lock the account.
const REFUSED_WAIT: Duration = Duration::from_secs(1);

/// Commands that may wait for the connection's writer, and bytes it gathers before it writes.
/// Both above the library's defaults, which stall callers by the hundred.
const QUEUE: usize = 1024;
const WRITE_BOUNDARY: usize = 64 << 10;

/// What a keeper is told.
#[derive(Debug)]
pub(super) enum Event {
    /// The connection of this number ended.
    Lost(u64),
    /// A call failed or was cut off: the connection may be hanging.
    Doubt,
}

pub(super) struct Keeper {
    shared: Arc<Shared>,
    inbox: UnboundedReceiver<Event>,
    outbox: UnboundedSender<Event>,
    tenure: u64,
    // Whether the present outage has been reported.
    down: bool,
    // How many connections in a row were brief, or did not answer in the end.
    doubtful: u32,
    // Whether what the server refuses at the start has been reported.
    modest: bool,
}

impl Keeper {
    /// A keeper and the way to tell it things.
    pub(super) fn new(shared: Arc<Shared>, tenure: u64) -> (Self, UnboundedSender<Event>) {
        let (outbox, inbox) = unbounded_channel();
        let keeper = Self {
            shared,
            inbox,
            outbox: outbox.clone(),
            tenure,
            down: false,
            doubtful: 0,
            modest: false,
        };
        (keeper, outbox)
    }

    /// Runs until replaced or aborted.
    pub(super) async fn run(mut self) {
        loop {
            let failure = match self.connect_usable().await {
                Ok(wire) => {
                    let (wire, made) = (Arc::new(wire), Instant::now());
                    if !self.publish(State::Ready(Arc::clone(&wire))) {
                        return;
                    }
                    self.shared.breaker().probe_succeeded();
                    let answered = self.watch(wire).await;
                    let lasted = made.elapsed() >= BRIEF;
                    if lasted {
                        self.doubtful = 0;
                    }
                    if !lasted || !answered {
                        self.doubtful = self.doubtful.saturating_add(1);
                    }
                    (self.doubtful > 1).then(no_answer)
                }
                Err(error) => Some(error),
            };
            if let Some(error) = failure
                && !self.pause(error).await
            {
                return;
            }
        }
    }

    /// A connection. Where the one before it was in doubt, it has to answer before it is trusted: that the
    /// server takes connections says little then.
    async fn connect_usable(&mut self) -> Result<Wire, StoreError> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let wire = self.connect(deadline).await?;
        match self.doubtful == 0 || self.answers(&wire, deadline).await {
            true => Ok(wire),
            false => Err(no_answer()),
        }
    }

    /// Waits before the next attempt, while calls fail at once; false if another keeper has the slot.
    async fn pause(&mut self, error: StoreError) -> bool {
        self.report_down(&error);
        // What is told of connections that are gone already.
        while self.inbox.try_recv().is_ok() {}
        let now = Instant::now();
        let mut due = self.shared.breaker().probe_failed(error.clone(), now);
        if error.kind() == StoreErrorKind::Auth {
            due = now + REFUSED_WAIT;
        } else if let Some(before) = self.doubtful.checked_sub(2) {
            due = due.max(now + PAUSES.wait(before, random()));
        }
        if !self.publish(State::Down(error)) {
            return false;
        }
        sleep_until(due).await;
        self.shared.breaker().begin_probe(Instant::now());
        true
    }

    /// Says once that an outage has begun.
    fn report_down(&mut self, error: &StoreError) {
        if !self.down {
            self.down = true;
            tracing::warn!(
                target: "cache", %error,
                "Redis cannot be used: calls go to their functions until it can"
            );
        }
    }

    /// Says that it is over.
    fn report_up(&mut self) {
        if std::mem::take(&mut self.down) {
            tracing::info!(target: "cache", "Redis answers again");
        }
    }

    async fn connect(&mut self, deadline: Instant) -> Result<Wire, StoreError> {
        // One count for the process: a grant names its connection by nothing else.
        static WIRES: AtomicU64 = AtomicU64::new(1);

        let number = WIRES.fetch_add(1, Ordering::Relaxed);
        let watcher = Watcher {
            number,
            keeper: self.outbox.clone(),
            watchers: Arc::clone(&self.shared.watchers),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            // Lanes keep the time themselves, with one timer for many reads.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_write_backpressure_boundary(WRITE_BOUNDARY)
            .set_push_sender(move |push: PushInfo| {
                watcher.hear(push);
                Ok::<(), SendError>(())
            });
        let shared = Arc::clone(&self.shared);
        let info = shared.client.get_connection_info();
        let connecting = async {
            let connection = shared
                .client
                .get_multiplexed_async_connection_with_config(&config);
            let connection = connection
                .await
                .map_err(|error| reply::connect_error(&error, info))?;
            let tracking = self.greet(connection.clone()).await?;
            let socket = socket::open(info).await?;
            Ok(self.wire(connection, number, tracking, socket))
        };
        match timeout_at(deadline, connecting).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "no connection within the time limit",
            )),
        }
    }

    /// Asks for the time and for news of changes; a server that refuses either is used without.
    ///
    /// Whether it tells of changes.
    async fn greet(&mut self, mut connection: MultiplexedConnection) -> Result<bool, StoreError> {
        let mut commands = redis::pipe();
        commands.cmd("TIME");
        // Only reads that say so are tracked, so all others cost the server nothing.
        commands
            .cmd("CLIENT")
            .arg("TRACKING")
            .arg("ON")
            .arg("OPTIN");
        let replies = connection.send_packed_commands(&commands, 0, 2).await;
        let replies = replies.map_err(|error| reply::store_error(&error))?;
        let Pair(time, tracking) =
            understood(Value::Array(replies))?.unwrap_or(Pair(Value::Nil, Value::Nil));
        let time: Option<Time> = understood(time)?;
        let tracking: Option<Stored> = understood(tracking)?;
        if let Some(Time(millis)) = time {
            self.shared.clock.heard(millis);
        }
        let refused = time.is_none() || tracking.is_none();
        if refused && !std::mem::replace(&mut self.modest, true) {
            tracing::debug!(
                target: "cache", time = time.is_some(), tracking = tracking.is_some(),
                "Redis refuses TIME or CLIENT TRACKING: who waits for a change will poll"
            );
        }
        Ok(tracking.is_some())
    }

    fn wire(
        &self,
        connection: MultiplexedConnection,
        number: u64,
        tracking: bool,
        socket: Socket,
    ) -> Wire {
        let (shared, lost) = (&self.shared, Lost::default());
        let Socket { reader, writer } = socket;
        let pen = Pen::new(writer);
        shared.reads.attach(number, Handle::current().id(), pen);
        let answers = Arc::<Answers>::default();
        let helper = answers.clone().help();
        let driver = Driver::new(shared.clone(), number, lost.clone(), reader, answers);
        Wire {
            connection,
            number,
            tracking,
            _helper: AbortOnDrop(tokio::spawn(helper).abort_handle()),
            _driver: AbortOnDrop(tokio::spawn(driver.run()).abort_handle()),
            lost,
        }
    }

    /// Returns when the connection has to be replaced; false if it does not answer.
    async fn watch(&mut self, wire: Arc<Wire>) -> bool {
        let lasts = Instant::now() + BRIEF;
        let mut answered = true;
        while let Some(event) = self.event(lasts).await {
            match event {
                Event::Lost(number) if number == wire.number => break,
                Event::Lost(_) => {}
                Event::Doubt => {
                    self.await_probe().await;
                    let deadline = Instant::now() + PROBE_TIMEOUT;
                    answered = self.answers(&wire, deadline).await;
                    if !answered {
                        let now = Instant::now();
                        self.shared.breaker().probe_failed(no_answer(), now);
                        break;
                    }
                    // Before closing: what was doubted until now has been answered.
                    if self.drop_doubts(&wire) {
                        break;
                    }
                    self.shared.breaker().probe_succeeded();
                }
            }
        }
        self.publish(State::Connecting);
        // Only now: whoever reads again waits for the next connection.
        self.shared.reads.detach(wire.number, &gone());
        answered
    }

    /// What it is told next. Meanwhile an outage is over; where connections were in doubt, once one lasts.
    async fn event(&mut self, lasts: Instant) -> Option<Event> {
        if self.down
            && self.doubtful > 0
            && let Ok(event) = timeout_at(lasts, self.inbox.recv()).await
        {
            return event;
        }
        self.report_up();
        self.inbox.recv().await
    }

    /// With the breaker open, probes keep to its times.
    async fn await_probe(&self) {
        if let Some(due) = self.shared.breaker().probe_at() {
            sleep_until(due).await;
            self.shared.breaker().begin_probe(Instant::now());
        }
    }

    /// Whether both connections answer in time.
    async fn answers(&self, wire: &Wire, deadline: Instant) -> bool {
        let mut connection = wire.connection.clone();
        let ping = redis::cmd("PING");
        let pong = timeout_at(deadline, connection.send_packed_command(&ping));
        let (pong, reads) = join(pong, self.shared.answers_reads(deadline)).await;
        let alive = match pong {
            // Busy, loading, or a user without the right to ask: alive.
            Ok(Ok(Value::ServerError(_))) => true,
            Ok(Ok(reply)) => Pong::from_reply(reply).is_ok(),
            Ok(Err(_)) | Err(_) => false,
        };
        alive && reads
    }

    /// Empties the inbox; whether the connection was lost meanwhile.
    fn drop_doubts(&mut self, wire: &Wire) -> bool {
        std::iter::from_fn(|| self.inbox.try_recv().ok())
            .any(|event| matches!(event, Event::Lost(number) if number == wire.number))
    }

    /// Puts `state` into the slot unless another keeper has it; whether it did.
    fn publish(&self, state: State) -> bool {
        let mut state = Some(state);
        self.shared.slot.send_if_modified(|slot| {
            let ours = slot.tenure == self.tenure && !matches!(slot.state, State::Closed);
            if ours && let Some(new) = state.take() {
                slot.state = new;
            }
            ours
        })
    }
}

/// A keeper ends with its runtime, and the next caller starts another. If it ends by a panic in
/// the client library, callers fail at once, until one of them adopts the overdue probe: starting
/// another keeper for each would panic as often.
impl Drop for Keeper {
    fn drop(&mut self) {
        let breaker = self.shared.breaker();
        if std::thread::panicking() {
            let reason = StoreError::new(StoreErrorKind::Other, "the connecting task panicked");
            if self.publish(State::Down(reason.clone())) {
                breaker.probe_failed(reason, Instant::now());
            }
        } else if self.publish(State::Vacant) {
            breaker.probe_succeeded();
        }
    }
}

fn no_answer() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "the server takes connections, but ends them or does not answer",
    )
}

/// A reply of the right shape, or none if the server refuses.
fn understood<R: FromReply>(reply: Value) -> Result<Option<R>, StoreError> {
    if matches!(reply, Value::ServerError(_)) {
        return Ok(None);
    }
    R::from_reply(reply).map(Some).map_err(|reply::OutOfStep| {
        StoreError::new(StoreErrorKind::Protocol, "a reply does not fit its command")
    })
}

/// Lives inside the connection's driver. Passes on which keys have changed, and tells the keeper
/// of the connection's end, be it by a disconnection, a panic or the end of the runtime.
struct Watcher {
    number: u64,
    keeper: UnboundedSender<Event>,
    watchers: Arc<Watchers>,
}

impl Watcher {
    fn hear(&self, push: PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.report(),
            PushKind::Invalidate => match reply::changed_keys(push.data) {
                Some(keys) => keys.iter().for_each(|key| self.watchers.wake(key)),
                None => self.watchers.wake_all(),
            },
            _ => {}
        }
    }

    fn report(&self) {
        // A keeper that is gone needs no report.
        let _ = self.keeper.send(Event::Lost(self.number));
        // Nobody tells of changes any more.
        self.watchers.wake_all();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.report();
    }
}
