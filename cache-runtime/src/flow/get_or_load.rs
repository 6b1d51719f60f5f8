//! The order of the steps of one call: the only file that knows it.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::{Budget, Engine};
use crate::call::{Control, Loading, Mode};
use crate::codec::TypeIdentity;
use crate::envelope::Rejected;
use crate::error::StoreErrorKind;
use crate::key::Key;
use crate::observe::{Advice, Bypass, Event, Miss, NotStored, Outcome, SiteStats};
use crate::policy::{Policy, SingleFlight};
use crate::rules::Verdict;
use crate::single_flight::{Landing, Lead, Role, SharedError, Waiter};

/// One call of an annotated function, with everything that types decide already decided.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) stats: Arc<SiteStats>,
    pub(crate) policy: Policy,
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
    Load(Loading),
    /// Run the origin and say [`bypassed`](Flow::bypassed): the cache has no part in this call.
    Bypass(Bypass),
}

/// One call on its way.
#[derive(Debug)]
pub(crate) struct Flow {
    call: Call,
    control: Option<Control>,
    budget: Budget,
    stage: Stage,
    // Held from the moment this call may run the origin.
    lead: Option<Lead>,
    load_started: Option<Instant>,
    // When this call stops waiting for other callers' loads.
    patience: Option<Instant>,
    // That came once already, and another caller loads instead of the one waited for first.
    again: bool,
    // The store has failed to answer, or must not be believed: it is not asked again.
    unanswered: bool,
    // The payload handed out last, and what serving it would be called.
    handed_out: Option<(Bytes, Outcome)>,
}

/// Where the call stands.
#[derive(Debug)]
enum Stage {
    /// See whether the cache is to be asked at all.
    Enter,
    /// Ask the store.
    LookUp,
    /// Share the load of another caller or lead one.
    Join,
    /// As the leader, ask the store once more: a load may have ended between our look-up and our
    /// lead, and it must not be followed by another.
    LookAgain,
    /// Wait for the leader.
    Wait(Waiter),
    /// Lead a load instead of waiting for this one any longer.
    Overtake(Waiter),
    /// Load without sharing.
    Alone,
    /// Load.
    Load,
}

impl Flow {
    pub(crate) fn new(call: Call) -> Self {
        Self {
            control: Control::take(),
            budget: Budget::new(call.policy.timeout),
            stage: Stage::Enter,
            lead: None,
            load_started: None,
            patience: None,
            again: false,
            unanswered: false,
            handed_out: None,
            call,
        }
    }

    /// Goes on until the typed caller is needed.
    ///
    /// Cancel safe: dropping the call at any point abandons the flight it leads, and a waiter
    /// takes over.
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
                        Mode::Refresh => match self.call.policy.single_flight {
                            SingleFlight::Fleet | SingleFlight::Process => {
                                match engine.flights.replace(&key, identity, None) {
                                    Role::Lead(lead) => self.leads(lead, Stage::Load),
                                    Role::Wait(_) => Stage::Alone,
                                }
                            }
                            SingleFlight::Off => {
                                engine.flights.fence(&key);
                                Stage::Alone
                            }
                        },
                    };
                }
                Stage::LookUp => {
                    let found = self.look_up(&engine, &key, identity).await;
                    self.stage = match self.call.policy.single_flight {
                        SingleFlight::Off => Stage::Alone,
                        SingleFlight::Fleet | SingleFlight::Process => Stage::Join,
                    };
                    if let Ok(payload) = found {
                        return self.hand_out(payload, Outcome::Hit);
                    }
                }
                Stage::Join => {
                    self.stage = match engine.flights.join(&key, identity) {
                        Role::Lead(lead) if self.unanswered => self.leads(lead, Stage::Load),
                        Role::Lead(lead) => self.leads(lead, Stage::LookAgain),
                        Role::Wait(flight) => Stage::Wait(flight),
                    };
                }
                Stage::LookAgain => {
                    self.stage = Stage::Load;
                    if let Ok(payload) = self.look_up(&engine, &key, identity).await {
                        return self.hand_out(payload, Outcome::Hit);
                    }
                }
                Stage::Wait(flight) => {
                    self.record(Event::Waited);
                    self.stage = match self.wait(&flight).await {
                        Ok(Landing::Value(payload)) => {
                            self.stage = Stage::Alone;
                            return self.hand_out(payload, Outcome::Joined);
                        }
                        Ok(Landing::Failed(error)) => {
                            self.stage = Stage::Alone;
                            return Step::Fail(error);
                        }
                        Ok(Landing::Nothing) => Stage::Alone,
                        Ok(Landing::Abandoned) => {
                            self.record(Event::GaveUp);
                            Stage::Join
                        }
                        Err(_) => {
                            self.record(Event::GaveUp);
                            self.patience = None;
                            match mem::replace(&mut self.again, true) {
                                false => Stage::Overtake(flight),
                                true => Stage::Alone,
                            }
                        }
                    };
                }
                Stage::Overtake(flight) => {
                    self.stage = match engine.flights.replace(&key, identity, Some(&flight)) {
                        Role::Lead(lead) => self.leads(lead, Stage::Load),
                        Role::Wait(flight) => Stage::Wait(flight),
                    };
                }
                Stage::Alone => {
                    let lead = engine.flights.alone(&key, identity);
                    self.stage = self.leads(lead, Stage::Load);
                }
                Stage::Load => {
                    if self.lead.is_none() {
                        self.stage = Stage::Alone;
                        continue;
                    }
                    self.record(Event::Load);
                    self.load_started = Some(Instant::now());
                    return Step::Load(Loading::new(engine.id(), key));
                }
            }
        }
    }

    /// The payload handed out last has been decoded: the call is over.
    pub(crate) fn served(&mut self) {
        if let Some((payload, outcome)) = self.handed_out.take() {
            if let Some(lead) = self.lead.take() {
                lead.land(Landing::Value(payload));
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
                self.discard_outdated(reason).await;
                Outcome::NotStored(reason)
            }
        };
        self.end(outcome);
    }

    /// The origin has failed; `error` if it can be shared.
    pub(crate) fn failed(&mut self, error: Option<SharedError>) {
        if let Some(lead) = self.lead.take() {
            lead.land(error.map_or(Landing::Nothing, Landing::Failed));
        }
        self.end(Outcome::NotStored(NotStored::Failed));
    }

    /// The origin has returned; the cache had no part in it.
    pub(crate) fn bypassed(&mut self, reason: Bypass) {
        self.end(Outcome::Bypassed(reason));
    }

    fn leads(&mut self, lead: Lead, then: Stage) -> Stage {
        self.lead = Some(lead);
        then
    }

    fn bypass(&self, reason: Bypass) -> Step {
        self.record(Event::Load);
        Step::Bypass(reason)
    }

    fn hand_out(&mut self, payload: Bytes, outcome: Outcome) -> Step {
        self.handed_out = Some((payload.clone(), outcome));
        Step::Decode(payload)
    }

    /// Waits for a landing. However many leaders go away one after another, the waits for them
    /// together are no longer than `wait`.
    async fn wait(&mut self, flight: &Waiter) -> Result<Landing, Elapsed> {
        if Handle::try_current().is_err() {
            // Without timers nobody could stop waiting.
            return Ok(Landing::Nothing);
        }
        let wait = self.call.policy.wait;
        match self.patience.or_else(|| Instant::now().checked_add(wait)) {
            Some(patience) => {
                self.patience = Some(patience);
                timeout_at(patience, flight.landed()).await
            }
            // Longer than the clock counts.
            None => Ok(flight.landed().await),
        }
    }

    async fn look_up(
        &mut self,
        engine: &Arc<Engine>,
        key: &Key,
        identity: TypeIdentity,
    ) -> Result<Bytes, Miss> {
        let found = if engine.unconfirmed.covers(key) {
            engine.confirm_in_background();
            Err(Miss::Unconfirmed)
        } else {
            let found = engine.look_up(&mut self.budget, key, identity).await;
            found.unwrap_or_else(|error| Err(Miss::Store(error.kind())))
        };
        if let Err(miss) = found {
            self.record(Event::Missed(miss));
            self.unanswered = matches!(miss, Miss::Store(_) | Miss::Unconfirmed);
            if miss == Miss::Rejected(Rejected::OtherType) {
                self.call.stats.advise(Advice::OtherType, || {
                    "the entry under this key holds another type: if two functions share the \
                     template, give each its own; after a deploy that changed the type this is \
                     expected once per entry"
                        .to_owned()
                });
            }
        }
        found
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
        let Ok((key, identity)) = &self.call.at else {
            return Err(NotStored::Refused);
        };
        let engine = &self.call.engine;
        let cost = self
            .load_started
            .map_or(Duration::ZERO, |start| start.elapsed());
        let sealed = Engine::seal(encoded, key, *identity, cost);
        lead.land(Landing::Value(sealed.payload));
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
        let Some(_fill) = lead.fill() else {
            return Err(NotStored::Fenced);
        };
        if engine.unconfirmed.covers(key) {
            return Err(NotStored::Unconfirmed);
        }
        let put = engine.store.put(key, sealed.envelope, sealed.ttl);
        let stored = self.budget.spend(put).await;
        stored.map_err(|error| {
            // Outages are reported where they begin and end.
            let outage = [StoreErrorKind::Unavailable, StoreErrorKind::Timeout];
            if !outage.contains(&error.kind()) {
                let advice = || format!("the store does not take values: {error}");
                self.call.stats.advise(Advice::Store(error.kind()), advice);
            }
            NotStored::Store(error.kind())
        })
    }

    /// A refresh that has nothing to store leaves nothing behind: what the entry holds is outdated.
    async fn discard_outdated(&mut self, reason: NotStored) {
        let refreshed = self.control.as_ref().map(Control::mode) == Some(Mode::Refresh);
        let replaced = matches!(reason, NotStored::Fenced | NotStored::Store(_));
        if let (true, false, Ok((key, _))) = (refreshed, replaced, &self.call.at) {
            let keys = std::slice::from_ref(key);
            // Unconfirmed, it is repeated in the background.
            let _ = self.call.engine.invalidate(&mut self.budget, keys).await;
        }
    }

    fn end(&mut self, outcome: Outcome) {
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
