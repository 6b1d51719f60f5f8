//! The order of the steps of one call: the only file that knows it.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::leased::{Asked, LONGEST, Leased};
use super::sight::{Seen, Sight};
use super::{Budget, Engine};
use crate::call::{Control, Loading, Mode, Run};
use crate::codec::TypeIdentity;
use crate::envelope::Rejected;
use crate::error::StoreErrorKind;
use crate::key::Key;
use crate::lease::{Acquire, Acquired, LeaseKind, Release, Token};
use crate::observe::{Advice, Bypass, Event, Miss, NotStored, Outcome, SiteStats};
use crate::policy::{Policy, SingleFlight};
use crate::resilience::backoff::{Backoff, random};
use crate::rules::{Stale, Verdict};
use crate::single_flight::{Caller, Landing, Lead, Role, SharedError, Since, Waiter};
use crate::sync::Moment;

/// The pauses between two looks at an entry that another process loads: where the store tells of
/// changes, looking is for the case that it did not, and otherwise it is all there is.
const TOLD: Backoff = Backoff {
    first: Duration::from_millis(40),
    cap: Duration::from_millis(500),
};
const UNTOLD: Backoff = Backoff {
    first: Duration::from_millis(10),
    cap: Duration::from_millis(100),
};

/// One call of an annotated function, with everything that types decide already decided.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) stats: Arc<SiteStats>,
    pub(crate) policy: Policy,
    /// How long old values may be served.
    pub(crate) stale: Stale,
    /// How long an entry is kept that holds nothing but a lease.
    pub(crate) hold: Duration,
    /// Whether the origin can be run in the background.
    pub(crate) detachable: bool,
    /// Where the value is, or why the cache is not asked.
    pub(crate) at: Result<(Key, TypeIdentity), Bypass>,
}

/// The next thing that only the typed caller can do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Decode this payload; then say [`served`](Flow::served) or [`undecodable`](Flow::undecodable).
    Decode(Bytes),
    /// Return this error of another caller's load, or say [`undecodable`](Flow::undecodable).
    Fail(SharedError),
    /// Run the origin; then say [`loaded`](Flow::loaded) or [`failed`](Flow::failed).
    Load(Run),
    /// Let this flow load in the background, from [`begin`](Flow::begin) on, and go on with this one.
    Detach(Box<Flow>),
    /// Run the origin and say [`bypassed`](Flow::bypassed): the cache has no part in this call.
    Bypass(Bypass),
}

/// One call on its way.
#[derive(Debug)]
pub(crate) struct Flow {
    call: Call,
    control: Option<Control>,
    called: Moment,
    budget: Budget,
    stage: Stage,
    // What the store told last.
    seen: Seen,
    // An old value that may be served if the load fails.
    old: Option<Bytes>,
    // Given up before the lead, so that who takes over finds no lease.
    leased: Option<Leased>,
    // Held from the moment this call may run the origin.
    lead: Option<Lead>,
    // Why the load has no lease, and so will not be stored.
    unleased: NotStored,
    started: Option<(Instant, Since)>,
    // When this call stops waiting for other callers' loads.
    patience: Option<Instant>,
    // That came once already, and another caller loads instead of the one waited for first.
    again: bool,
    // The store has failed to answer, or must not be believed: it is not asked again.
    unanswered: bool,
    // An invalidation that is not confirmed hides what the store holds.
    hidden: bool,
    // Whether this is a load in the background, and not a call.
    detached: bool,
    // What was handed out last.
    handed_out: Option<HandedOut>,
}

#[derive(Debug)]
struct HandedOut {
    payload: Bytes,
    /// What serving it would be called.
    outcome: Outcome,
    /// Since when it is known to be current.
    since: Since,
}

/// Where the call stands.
#[derive(Debug)]
enum Stage {
    /// See whether the cache is to be asked at all.
    Enter,
    /// Ask the store.
    LookUp,
    /// Serve what was found.
    Serve(HandedOut),
    /// Share the load of another caller of this process or lead one.
    Join,
    /// Wait for the leader.
    Wait(Waiter),
    /// Lead a load instead of waiting for this one any longer.
    Overtake(Waiter),
    /// Lead a load that is not shared.
    Alone,
    /// The same after a load that came to nothing: without a lease, for which others would wait.
    Unleased,
    /// As the leader, ask for the lease. Another process may have it, or have stored a value.
    Acquire { force: bool },
    /// Wait for the process that has the lease.
    Watch(Token),
    /// Load.
    Load,
}

impl Flow {
    pub(crate) fn new(call: Call) -> Self {
        Self {
            control: Control::take(),
            called: Moment::now(),
            budget: Budget::new(call.policy.timeout),
            stage: Stage::Enter,
            seen: Seen::default(),
            old: None,
            lead: None,
            leased: None,
            unleased: NotStored::Leased,
            started: None,
            patience: None,
            again: false,
            unanswered: false,
            hidden: false,
            detached: false,
            handed_out: None,
            call,
        }
    }

    /// Goes on until the typed caller is needed.
    ///
    /// Cancel safe: dropping the call at any point abandons the flight it leads and the lease it
    /// holds or has asked for, and a waiter takes over.
    pub(crate) async fn next(&mut self) -> Step {
        let (key, identity) = match &self.call.at {
            Ok((key, identity)) => (key.clone(), *identity),
            Err(reason) => return self.bypass(*reason),
        };
        let engine = self.call.engine.clone();
        loop {
            match mem::replace(&mut self.stage, Stage::Load) {
                Stage::Enter => {
                    let mode = self.control.as_ref().map_or(Mode::Cached, Control::mode);
                    self.stage = match mode {
                        Mode::Uncached => return self.bypass(Bypass::Uncached),
                        _ if Loading::is_under_way(engine.id(), &key) => {
                            return self.bypass(Bypass::Reentrant);
                        }
                        Mode::Cached => Stage::LookUp,
                        Mode::Refresh => {
                            self.lead = Some(engine.flights.replace(&key, identity));
                            Stage::Acquire { force: true }
                        }
                    };
                }
                Stage::LookUp => {
                    self.stage = self.after_look_up();
                    if let Some(step) = self.look_up(&engine, &key, identity).await {
                        return step;
                    }
                }
                Stage::Serve(found) => {
                    self.stage = self.after_look_up();
                    return self.hand_out(found);
                }
                Stage::Join => {
                    self.stage = match engine.flights.join(&key, identity, &self.caller()) {
                        Role::Lead(lead) => self.leads(lead),
                        Role::Wait(flight) => Stage::Wait(flight),
                    };
                }
                Stage::Wait(flight) => {
                    self.record(Event::Waited);
                    self.stage = match self.wait(&flight).await {
                        Ok(Landing::Value { payload, since }) => {
                            if !flight.may_share(since, &self.caller()) {
                                self.stage = Stage::LookUp;
                                continue;
                            }
                            self.stage = Stage::Unleased;
                            return self.hand_out(HandedOut {
                                payload,
                                outcome: Outcome::Joined,
                                since,
                            });
                        }
                        Ok(Landing::Failed(error)) => match (self.old.take(), error) {
                            (Some(old), _) => Stage::Serve(self.salvaged(old)),
                            (None, Some(error)) => {
                                self.stage = Stage::Unleased;
                                return Step::Fail(error);
                            }
                            (None, None) => Stage::Unleased,
                        },
                        Ok(Landing::Nothing) => Stage::Unleased,
                        Ok(Landing::Abandoned) => {
                            self.record(Event::GaveUp);
                            Stage::Join
                        }
                        Err(_) => {
                            self.record(Event::GaveUp);
                            self.patience = None;
                            match (self.impatient(), mem::replace(&mut self.again, true)) {
                                (Some(old), _) => Stage::Serve(old),
                                // Its leader has waited for another process, and loads now.
                                (None, false) if flight.is_delayed() => Stage::Wait(flight),
                                (None, false) => Stage::Overtake(flight),
                                (None, true) => Stage::Alone,
                            }
                        }
                    };
                }
                Stage::Overtake(flight) => {
                    let caller = self.caller();
                    self.stage = match engine.flights.overtake(&key, identity, &flight, &caller) {
                        Role::Lead(lead) => self.leads(lead),
                        Role::Wait(flight) => Stage::Wait(flight),
                    };
                }
                Stage::Alone => {
                    // Who has waited in vain once waits no more.
                    self.again = true;
                    let lead = engine.flights.alone(&key, identity);
                    self.stage = self.leads(lead);
                }
                Stage::Unleased => {
                    self.lead = Some(engine.flights.alone(&key, identity));
                }
                Stage::Acquire { force } => {
                    if let Some(step) = self.acquire(&engine, &key, identity, force).await {
                        return step;
                    }
                }
                Stage::Watch(token) => {
                    self.record(Event::Waited);
                    if let Some(step) = self.watch(&engine, &key, identity, token).await {
                        return step;
                    }
                }
                Stage::Load => match self.lead.take() {
                    None => self.stage = Stage::Alone,
                    Some(lead) if self.may_detach() => {
                        self.stage = Stage::Wait(lead.waiter());
                        return Step::Detach(self.detach(lead));
                    }
                    Some(lead) => return Step::Load(self.start(&engine, key, lead)),
                },
            }
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.call.engine
    }

    /// The first step of a load in the background: runs the origin if the lease is granted.
    pub(crate) async fn begin(&mut self) -> Option<Run> {
        let (key, identity) = self.call.at.clone().ok()?;
        let engine = self.call.engine.clone();
        if self.leased.is_none() {
            self.acquire(&engine, &key, identity, false).await;
            self.handed_out = None;
        }
        self.leased.as_ref()?;
        let lead = self.lead.take()?;
        Some(self.start(&engine, key, lead))
    }

    /// The payload handed out last has been decoded: the call is over.
    pub(crate) fn served(&mut self) {
        if let Some(HandedOut {
            payload,
            outcome,
            since,
        }) = self.handed_out.take()
        {
            if let Some(lead) = self.lead.take() {
                lead.land(Landing::Value { payload, since });
            }
            self.end(outcome);
        }
    }

    /// Another caller's error has been returned: the call is over.
    pub(crate) fn shared_failure(&mut self) {
        self.end(Outcome::Joined);
    }

    /// What was handed out last is of no use to this caller.
    pub(crate) fn undecodable(&mut self) {
        if self.handed_out.take().is_some() {
            self.record(Event::Missed(Miss::Undecodable));
            if self.lead.is_some() && self.leased.is_none() {
                self.stage = Stage::Acquire { force: false };
            }
        }
    }

    /// The origin has returned a value.
    ///
    /// The waiters get it at once, the store within what is left of the budget.
    pub(crate) async fn loaded(&mut self, verdict: Verdict) {
        let Some(lead) = self.lead.take() else {
            return;
        };
        let outcome = match self.fill(&lead, verdict).await {
            Ok(()) => {
                self.record(Event::Filled);
                Outcome::Loaded
            }
            Err(reason) => {
                lead.land(Landing::Nothing);
                if let Some(leased) = self.leased.take() {
                    leased.end(&mut self.budget, Release::Emptied).await;
                }
                Outcome::NotStored(reason)
            }
        };
        self.end(outcome);
    }

    /// The origin has failed; `error` if it can be shared. Hands out the old value, if there is one
    /// that may be served instead.
    pub(crate) async fn failed(&mut self, error: Option<SharedError>) -> Option<Bytes> {
        if let Some(lead) = self.lead.take() {
            lead.land(Landing::Failed(error));
        }
        if let Some(leased) = self.leased.take() {
            let retry = Release::Ended(self.call.policy.retry);
            leased.end(&mut self.budget, retry).await;
        }
        let old = self.old.take()?;
        self.handed_out = Some(self.salvaged(old.clone()));
        Some(old)
    }

    /// There is no old value that would do: the call ends with the origin's error.
    pub(crate) fn gave_nothing(&mut self) {
        self.end(Outcome::NotStored(NotStored::Failed));
    }

    /// The origin has returned; the cache had no part in it.
    pub(crate) fn bypassed(&mut self, reason: Bypass) {
        self.end(Outcome::Bypassed(reason));
    }

    fn caller(&self) -> Caller {
        let alone = self.call.policy.single_flight != SingleFlight::Fleet;
        let broken = self.call.engine.is_broken(crate::broken::Rule::Join);
        Caller {
            called: self.called,
            seen: self.seen.load_token(),
            trusting: self.unanswered || alone || broken,
            hidden: self.hidden,
        }
    }

    fn after_look_up(&self) -> Stage {
        match self.call.policy.single_flight {
            SingleFlight::Off => Stage::Alone,
            SingleFlight::Fleet | SingleFlight::Process => Stage::Join,
        }
    }

    fn leads(&mut self, lead: Lead) -> Stage {
        self.lead = Some(lead);
        match self.unanswered {
            true => Stage::Load,
            false => Stage::Acquire { force: false },
        }
    }

    fn bypass(&self, reason: Bypass) -> Step {
        self.record(Event::Load);
        Step::Bypass(reason)
    }

    fn hand_out(&mut self, found: HandedOut) -> Step {
        let payload = found.payload.clone();
        self.handed_out = Some(found);
        Step::Decode(payload)
    }

    fn salvaged(&self, payload: Bytes) -> HandedOut {
        HandedOut {
            payload,
            outcome: Outcome::StaleIfError,
            since: Since::Stored(self.called),
        }
    }

    /// How long to wait for another caller's load with an old value at hand.
    fn soft_timeout(&self) -> Option<Duration> {
        self.old.as_ref().and(self.call.policy.soft_timeout)
    }

    /// The old value, for a caller that has waited for the new one long enough.
    fn impatient(&mut self) -> Option<HandedOut> {
        self.call.policy.soft_timeout?;
        let old = self.old.take()?;
        Some(HandedOut {
            outcome: Outcome::Stale,
            ..self.salvaged(old)
        })
    }

    async fn look_up(
        &mut self,
        engine: &Arc<Engine>,
        key: &Key,
        identity: TypeIdentity,
    ) -> Option<Step> {
        if engine.unconfirmed.covers(key) {
            engine.confirm_in_background();
            return self.missed(Miss::Unconfirmed);
        }
        let since = Since::Stored(Moment::now());
        match self.budget.spend(engine.store.get(key)).await {
            Err(error) => self.missed(Miss::Store(error.kind())),
            Ok(None) => {
                self.seen = Seen::default();
                self.missed(Miss::Absent)
            }
            Ok(Some(envelope)) => self.look_at(&envelope, since, key, identity, Outcome::Hit),
        }
    }

    /// What an envelope from the store is good for.
    fn look_at(
        &mut self,
        envelope: &Bytes,
        since: Since,
        key: &Key,
        identity: TypeIdentity,
        outcome: Outcome,
    ) -> Option<Step> {
        let now = self.call.engine.store.now(key);
        let (seen, sight) = Seen::look(envelope, key, identity, now);
        self.seen = seen;
        let found = |payload, outcome| HandedOut {
            payload,
            outcome,
            since,
        };
        match sight {
            Err(rejected) => self.missed(Miss::Rejected(rejected)),
            Ok(Sight::Fresh { payload, left }) => {
                let early = self.call.detachable
                    && self.seen.is_due_early(left, self.call.policy.early_refresh);
                self.serve(found(payload, outcome), early, key, identity)
            }
            Ok(Sight::Stale { payload, by }) if by < self.call.stale.while_revalidate => {
                self.serve(found(payload, Outcome::Stale), true, key, identity)
            }
            Ok(Sight::Stale { payload, by }) if by < self.call.stale.if_error => {
                if self.seen.is_throttled(now) {
                    let found = found(payload, Outcome::StaleIfError);
                    return self.serve(found, false, key, identity);
                }
                self.old = Some(payload);
                self.missed(Miss::Expired)
            }
            Ok(Sight::Stale { .. } | Sight::Dead) => self.missed(Miss::Expired),
        }
    }

    /// Serves what was found, and refreshes it in the background if nobody else does.
    fn serve(
        &mut self,
        found: HandedOut,
        refresh: bool,
        key: &Key,
        identity: TypeIdentity,
    ) -> Option<Step> {
        let engine = &self.call.engine;
        let due = refresh
            && self.call.detachable
            && self.lead.is_none()
            && !self.seen.is_busy(engine.store.now(key));
        let lead = due.then(|| engine.flights.background(key, identity));
        match lead.flatten() {
            Some(lead) => {
                self.stage = Stage::Serve(found);
                Some(Step::Detach(self.detach(lead)))
            }
            None => Some(self.hand_out(found)),
        }
    }

    fn missed(&mut self, miss: Miss) -> Option<Step> {
        self.record(Event::Missed(miss));
        match miss {
            // It did answer: there is something that is overwritten.
            Miss::Store(StoreErrorKind::WrongType) => {}
            Miss::Store(kind) => {
                self.unanswered = true;
                self.unleased = NotStored::Store(kind);
            }
            Miss::Unconfirmed => {
                self.hidden = true;
                self.unanswered = true;
                self.unleased = NotStored::Unconfirmed;
            }
            Miss::Rejected(Rejected::OtherType) => {
                self.call.stats.advise(Advice::OtherType, || {
                    "the entry under this key holds another type: if two functions share the \
                     template, give each its own; after a deploy that changed the type this is \
                     expected once per entry"
                        .to_owned()
                });
            }
            _ => {}
        }
        None
    }

    /// Asks for the lease. Leaves the stage at what comes next.
    async fn acquire(
        &mut self,
        engine: &Arc<Engine>,
        key: &Key,
        identity: TypeIdentity,
        force: bool,
    ) -> Option<Step> {
        let lease = self.call.policy.lease;
        let request = Acquire {
            token: Token::random(),
            identity,
            lease,
            // A load may take longer than its value lives, and the embedded store is not told that
            // it goes on.
            hold: self.call.hold.max(lease.saturating_mul(LONGEST)),
            rejected: self.seen.stamp(),
            force,
        };
        let since = Since::Stored(Moment::now());
        self.stage = Stage::Load;
        match Leased::acquire(engine, &mut self.budget, key, &request).await {
            Ok(Asked::Granted(leased)) => {
                self.record(Event::Leased);
                self.leased = Some(leased);
                None
            }
            Ok(Asked::Other(Acquired::Value(envelope))) => {
                // If it is of no use, it is rejected and leased the next time.
                self.stage = Stage::Acquire { force: false };
                self.look_at(&envelope, since, key, identity, Outcome::Hit)
            }
            Ok(Asked::Other(Acquired::Busy { kind, token, .. })) => {
                let fleet = self.call.policy.single_flight == SingleFlight::Fleet;
                if fleet && kind == LeaseKind::Load && !self.again {
                    self.stage = Stage::Watch(token);
                }
                None
            }
            Ok(Asked::Other(Acquired::Granted(_))) => None,
            Err(error) => {
                self.unleased = NotStored::Store(error.kind());
                self.advise(&error);
                None
            }
        }
    }

    /// Waits until the lease of another process has come to something. Leaves the stage at what
    /// comes next.
    async fn watch(
        &mut self,
        engine: &Arc<Engine>,
        key: &Key,
        identity: TypeIdentity,
        mut token: Token,
    ) -> Option<Step> {
        if let Some(lead) = &self.lead {
            lead.delay();
        }
        let policy = self.call.policy;
        // A little less than the waiters of this process wait for us.
        let wait = self.seen.patience().unwrap_or(policy.wait);
        let wait = wait.min(policy.wait - policy.wait / 8);
        let wait = self.soft_timeout().map_or(wait, |soft| soft.min(wait));
        let patience = self.patience.or_else(|| Instant::now().checked_add(wait));
        self.patience = patience;
        self.stage = Stage::Acquire { force: false };
        let mut switched = false;
        for attempt in 0.. {
            let since = Since::Stored(Moment::now());
            let read = timeout(policy.timeout, engine.store.get_watched(key)).await;
            let Ok(Ok((found, mut change))) = read else {
                self.record(Event::GaveUp);
                self.stage = Stage::Load;
                return None;
            };
            let Some(envelope) = found else {
                // Deleted. Whoever asks first loads.
                self.seen = Seen::default();
                return None;
            };
            let now = engine.store.now(key);
            let (seen, sight) = Seen::look(&envelope, key, identity, now);
            self.seen = seen;
            let stale = self.call.stale.while_revalidate;
            match sight {
                Ok(Sight::Fresh { payload, .. }) => {
                    return Some(self.hand_out(HandedOut {
                        payload,
                        outcome: Outcome::Joined,
                        since,
                    }));
                }
                Ok(Sight::Stale { payload, by }) if by < stale => {
                    return Some(self.hand_out(HandedOut {
                        payload,
                        outcome: Outcome::Stale,
                        since,
                    }));
                }
                _ => {}
            }
            if seen.has_ended(token) {
                return self.left_alone(seen.is_throttled(now));
            }
            match seen.load_token().filter(|_| seen.is_busy(now)) {
                Some(current) if current == token => {}
                // Deleted or taken over, and leased by another caller already: that one is waited
                // for, but none after it.
                Some(current) if !mem::replace(&mut switched, true) => token = current,
                Some(_) => {
                    self.again = true;
                    return None;
                }
                // Given up, or not renewed: whoever asks first takes over.
                None => return None,
            }
            let rest = patience.map(|patience| patience.saturating_duration_since(Instant::now()));
            let pause = match change.is_told() {
                true => TOLD.wait(attempt, random()),
                false => UNTOLD.wait(attempt, random()),
            };
            if rest.is_some_and(|rest| rest.is_zero()) {
                break;
            }
            let pause = pause.min(seen.left(now)).min(rest.unwrap_or(pause));
            let _ = timeout(pause, change.happened()).await;
        }
        self.record(Event::GaveUp);
        self.again = true;
        let old = self.impatient()?;
        self.stage = Stage::Alone;
        // Those who wait for this call may have no old value, or more patience.
        self.lead = None;
        Some(self.hand_out(old))
    }

    /// The load waited for has ended without a value: everyone loads at once, never one after
    /// another. But who has an old value, while loads fail, is content with that.
    fn left_alone(&mut self, failing: bool) -> Option<Step> {
        self.stage = Stage::Load;
        if let Some(lead) = &self.lead {
            lead.land(match failing {
                true => Landing::Failed(None),
                false => Landing::Nothing,
            });
        }
        let old = self.old.take_if(|_| failing)?;
        let old = self.salvaged(old);
        Some(self.hand_out(old))
    }

    /// Waits for a landing. However many leaders go away one after another, the waits for them
    /// together are no longer than `wait`.
    async fn wait(&mut self, flight: &Waiter) -> Result<Landing, Elapsed> {
        if Handle::try_current().is_err() {
            // Without timers nobody could stop waiting.
            return Ok(Landing::Nothing);
        }
        let wait = self.soft_timeout().map_or(self.call.policy.wait, |soft| {
            soft.min(self.call.policy.wait)
        });
        match self.patience.or_else(|| Instant::now().checked_add(wait)) {
            Some(patience) => {
                self.patience = Some(patience);
                timeout_at(patience, flight.landed()).await
            }
            // Longer than the clock counts.
            None => Ok(flight.landed().await),
        }
    }

    fn start(&mut self, engine: &Arc<Engine>, key: Key, lead: Lead) -> Run {
        self.record(Event::Load);
        let token = self.leased.as_ref().map(Leased::token);
        self.started = Some((Instant::now(), lead.start(token)));
        self.lead = Some(lead);
        let policy = &self.call.policy;
        let upkeep = self
            .leased
            .as_ref()
            .and_then(|leased| leased.upkeep(policy.lease, policy.timeout));
        Loading::new(engine.id(), key).run(upkeep)
    }

    /// Whether the load goes on in the background if it takes too long.
    fn may_detach(&self) -> bool {
        self.call.detachable
            && self.old.is_some()
            && self.leased.is_some()
            && self.call.policy.soft_timeout.is_some()
    }

    /// The load as a flow of its own.
    fn detach(&mut self, lead: Lead) -> Box<Self> {
        self.record(Event::Detached);
        Box::new(Self {
            control: None,
            lead: Some(lead),
            leased: self.leased.take(),
            seen: self.seen,
            again: true,
            detached: true,
            ..Self::new(self.call.clone())
        })
    }

    async fn fill(&mut self, lead: &Lead, verdict: Verdict) -> Result<(), NotStored> {
        let encoded = match verdict {
            Verdict::Store(encoded) => encoded,
            Verdict::Leave(reason) => return Err(reason),
            Verdict::Refuse(error) => {
                let advice = || format!("a value is not stored: {error}");
                self.call.stats.advise(Advice::Refused, advice);
                return Err(NotStored::Refused);
            }
        };
        let (Ok((key, identity)), Some((started, since))) = (&self.call.at, self.started) else {
            return Err(NotStored::Refused);
        };
        let engine = &self.call.engine;
        let encoded = encoded.jittered(self.call.policy.jitter);
        // Zero would say that the value does not come from the origin.
        let cost = started.elapsed().max(Duration::from_millis(1));
        let sealed = engine.seal(encoded, key, *identity, cost);
        let payload = sealed.payload;
        lead.land(Landing::Value { payload, since });
        if sealed.envelope.len() > engine.value_limit {
            let size = sealed.envelope.len();
            let limit = engine.value_limit;
            self.call.stats.advise(Advice::TooLarge, || {
                format!(
                    "a value of {size} bytes is over the limit of {limit} and is not stored: \
                     cache a smaller part of it, or raise `Cache::builder().value_limit(…)`"
                )
            });
            return Err(NotStored::TooLarge);
        }
        if engine.unconfirmed.covers(key) {
            return Err(NotStored::Unconfirmed);
        }
        let Some(leased) = self.leased.take() else {
            return Err(self.unleased);
        };
        match leased
            .fill(&mut self.budget, sealed.envelope, sealed.ttl)
            .await
        {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotStored::Fenced),
            Err(error) => {
                self.advise(&error);
                Err(NotStored::Store(error.kind()))
            }
        }
    }

    fn advise(&self, error: &crate::error::StoreError) {
        // Outages are reported where they begin and end.
        let outage = [StoreErrorKind::Unavailable, StoreErrorKind::Timeout];
        if !outage.contains(&error.kind()) {
            let advice = || format!("the store does not take values: {error}");
            self.call.stats.advise(Advice::Store(error.kind()), advice);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if self.detached {
            if outcome == Outcome::NotStored(NotStored::Failed) {
                self.record(Event::Failed);
            }
            return;
        }
        self.record(Event::Ended(outcome));
        tracing::debug!(
            target: "cache",
            function = self.call.stats.name(),
            key = self.call.at.as_ref().map_or("", |(key, _)| key.as_str()),
            outcome = %outcome,
        );
    }

    fn record(&self, event: Event) {
        self.call.stats.count(event);
        if let Some(control) = &self.control {
            control.record(event);
        }
    }
}
