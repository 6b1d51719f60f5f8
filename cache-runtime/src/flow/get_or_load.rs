//! The order of the steps of one call: the only file that knows it.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::company::Turn;
use super::leased::Leased;
use super::nearby::Nearby;
use super::sight::Seen;
use super::{Budget, Company, Engine};
use crate::boxed::Boxed;
use crate::call::{Control, Loading, Mode, Run};
use crate::lease::Token;
use crate::near::Filling;
use crate::observe::{Bypass, Event, NotStored, Outcome, SiteStats};
use crate::place::{Mark, Place};
use crate::policy::{Policy, SingleFlight};
use crate::rules::Stale;
use crate::single_flight::{Caller, Landing, Lead, Role, SharedError, Since, Waiter};
use crate::sync::Moment;

/// One call of an annotated function, with everything that types decide already decided.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    /// The number of the annotated function's site.
    pub(crate) site: usize,
    pub(crate) policy: Policy,
    /// How long old values may be served.
    pub(crate) stale: Stale,
    /// How long an entry is kept that holds nothing but a lease.
    pub(crate) hold: Duration,
    /// Whether the origin can be run in the background.
    pub(crate) detachable: bool,
    /// The function, if copies of what is found are kept.
    pub(crate) nearby: Option<Nearby>,
    /// Where the value is, or why the cache is not asked.
    pub(crate) at: Result<Place, Bypass>,
}

impl Call {
    pub(super) fn place(&self) -> Option<&Place> {
        self.at.as_ref().ok()
    }
}

/// The next thing that only the typed caller can do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Decode the [`payload`](Flow::payload); then say [`served`](Flow::served) or
    /// [`undecodable`](Flow::undecodable).
    Decode,
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
    pub(super) call: Call,
    pub(super) control: Option<Control>,
    pub(super) called: Moment,
    pub(super) budget: Budget,
    pub(super) stage: Stage,
    // What the store told last.
    pub(super) seen: Seen,
    // An old value that may be served if the load fails.
    pub(super) old: Option<Bytes>,
    // Given up before the lead, so that who takes over finds no lease.
    pub(super) leased: Option<Leased>,
    // Held from the moment this call may run the origin.
    pub(super) lead: Option<Lead>,
    // Why the load has no lease, and so will not be stored.
    pub(super) unleased: NotStored,
    // Whose lease or intent was in the way.
    pub(super) met: Option<Mark>,
    // Whether the lease has been asked for already.
    pub(super) asked: bool,
    pub(super) started: Option<(Instant, Since)>,
    // When this call stops waiting for other callers' loads.
    pub(super) patience: Option<Instant>,
    // The flight it waited for first, which may land all the same.
    pub(super) given_up: Option<Waiter>,
    // That came once already, and another caller loads instead of the one waited for first.
    pub(super) again: bool,
    // The store has failed to answer, or must not be believed: it is not asked again.
    pub(super) unanswered: bool,
    // An invalidation that is not confirmed hides what the store holds.
    pub(super) hidden: bool,
    // Whether this is a load in the background, and not a call.
    pub(super) detached: bool,
    // Its own load does not go on in the background, if there is one.
    pub(super) attached: bool,
    // What was handed out last.
    pub(super) handed_out: Option<HandedOut>,
    // If a copy of what is found may be kept.
    pub(super) filling: Option<Filling>,
    // If it is one of a batch.
    pub(super) company: Option<Company>,
    // Held from before it may load.
    pub(super) turn: Option<Turn>,
}

#[derive(Debug)]
pub(super) struct HandedOut {
    pub(super) payload: Bytes,
    /// What serving it would be called.
    pub(super) outcome: Outcome,
    /// Since when it is known to be current.
    pub(super) since: Since,
}

/// Where the call stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// See whether the cache is to be asked at all.
    Enter,
    /// Ask the store.
    LookUp,
    /// Load whatever the store holds.
    Replace,
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
    /// Made where it stays: moving all of it would take longer than writing what is there. So what may
    /// panic comes first.
    #[inline]
    pub(crate) fn boxed(call: Call) -> Box<Self> {
        let (control, called) = (Control::take(), Moment::now());
        let budget = Budget::new(call.policy.timeout);
        let room = Box::new_uninit();
        let flow = Self {
            control,
            called,
            budget,
            stage: Stage::Enter,
            seen: Seen::default(),
            old: None,
            lead: None,
            leased: None,
            unleased: NotStored::Leased,
            met: None,
            asked: false,
            started: None,
            patience: None,
            given_up: None,
            again: false,
            unanswered: false,
            hidden: false,
            detached: false,
            attached: false,
            handed_out: None,
            filling: None,
            company: None,
            turn: None,
            call,
        };
        Box::write(room, flow)
    }

    /// As one of several calls that are made together.
    pub(crate) fn in_company(call: Call, company: &Company) -> Box<Self> {
        let mut flow = Self::boxed(call);
        flow.company = Some(company.clone());
        flow
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.call.engine
    }

    /// Goes on until the typed caller is needed.
    ///
    /// Cancel safe: dropping the call at any point abandons the flight it leads and the lease it
    /// holds or has asked for, and a waiter takes over.
    pub(crate) async fn next(&mut self) -> Step {
        loop {
            // Looked at where it is: to move it out would take a hit longer than all else here.
            let step = match self.stage {
                Stage::Enter => self.enter(),
                Stage::LookUp => {
                    self.stage = self.after_look_up();
                    let _reads = match &self.company {
                        Some(company) => Some(company.read().await),
                        None => None,
                    };
                    self.look_up().await
                }
                _ => self.or_load().await,
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Whether the cache is to be asked at all.
    fn enter(&mut self) -> Option<Step> {
        let place = match &self.call.at {
            Ok(place) => place,
            Err(reason) => return Some(self.bypass(*reason)),
        };
        let mode = self.control.as_ref().map_or(Mode::Cached, Control::mode);
        self.stage = match mode {
            Mode::Uncached => return Some(self.bypass(Bypass::Uncached)),
            _ if Loading::is_under_way(self.call.engine.id(), &place.key) => {
                return Some(self.bypass(Bypass::Reentrant));
            }
            Mode::Cached => Stage::LookUp,
            Mode::Refresh => Stage::Replace,
        };
        None
    }

    /// Whatever a hit does not need, boxed, so that the future of every call is not as large as that
    /// of the longest.
    fn or_load(&mut self) -> Boxed<'_, Option<Step>> {
        Box::pin(async move {
            let place = &match &self.call.at {
                Ok(place) => place.clone(),
                Err(reason) => return Some(self.bypass(*reason)),
            };
            loop {
                match mem::replace(&mut self.stage, Stage::Load) {
                    stage @ (Stage::Enter | Stage::LookUp) => {
                        self.stage = stage;
                        return None;
                    }
                    Stage::Replace => {
                        self.take_turn().await;
                        self.lead = Some(self.call.engine.flights.replace(place));
                        self.stage = Stage::Acquire { force: true };
                    }
                    Stage::Serve(found) => {
                        self.stage = self.after_look_up();
                        return Some(self.hand_out(found));
                    }
                    Stage::Join => {
                        // Who will not ask for a lease, and so will not store anything, needs no turn.
                        if !self.unanswered {
                            self.take_turn().await;
                        }
                        let caller = self.caller();
                        self.stage = match self.call.engine.flights.join(place, &caller) {
                            Role::Lead(lead) => self.leads(lead),
                            Role::Wait(flight) => {
                                self.turn = None;
                                Stage::Wait(flight)
                            }
                        };
                    }
                    Stage::Wait(flight) => {
                        self.record(Event::Waited);
                        self.stage = match self.wait(&flight).await {
                            // A value that may be older than this call.
                            Ok(None) => {
                                self.given_up = None;
                                Stage::LookUp
                            }
                            Ok(Some(Landing::Value { payload, since })) => {
                                self.stage = Stage::Unleased;
                                return Some(self.hand_out(HandedOut {
                                    payload,
                                    outcome: Outcome::Joined,
                                    since,
                                }));
                            }
                            Ok(Some(Landing::Failed(error))) => match (self.old.take(), error) {
                                (Some(old), _) => Stage::Serve(self.salvaged(old)),
                                (None, Some(error)) => {
                                    self.stage = Stage::Unleased;
                                    return Some(Step::Fail(error));
                                }
                                (None, None) => Stage::Unleased,
                            },
                            Ok(Some(Landing::Nothing)) => Stage::Unleased,
                            Ok(Some(Landing::Abandoned)) => {
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
                        let flights = &self.call.engine.flights;
                        self.stage = match flights.overtake(place, &flight, &caller) {
                            Role::Lead(lead) => self.leads(lead),
                            Role::Wait(other) => {
                                self.given_up = Some(flight);
                                Stage::Wait(other)
                            }
                        };
                    }
                    Stage::Alone => {
                        // Who has waited in vain once waits no more.
                        self.again = true;
                        let lead = self.call.engine.flights.alone(place);
                        self.stage = self.leads(lead);
                    }
                    Stage::Unleased => {
                        self.lead = Some(self.call.engine.flights.alone(place));
                    }
                    Stage::Acquire { force } => {
                        self.take_turn().await;
                        let acquired = self.acquire(place, force);
                        if let Some(step) = acquired.await {
                            return Some(step);
                        }
                    }
                    Stage::Watch(token) => {
                        self.turn = None;
                        self.record(Event::Waited);
                        let watched = self.watch(place, token);
                        if let Some(step) = watched.await {
                            return Some(step);
                        }
                    }
                    Stage::Load => match self.lead.take() {
                        None => self.stage = Stage::Alone,
                        Some(lead) if self.may_detach() => {
                            self.stage = Stage::Wait(lead.waiter());
                            return Some(Step::Detach(self.detach(lead)));
                        }
                        Some(lead) => {
                            return Some(Step::Load(self.start(place.key.clone(), lead)));
                        }
                    },
                }
            }
        })
    }

    /// One of a batch waits until there are few enough that load.
    async fn take_turn(&mut self) {
        if let (Some(company), None) = (&self.company, &self.turn) {
            self.turn = Some(company.turn().await);
        }
    }

    /// Gives the turn away, to be kept until all those are done that are loaded together: the next
    /// are then loaded together as well, and not one by one as they get theirs.
    pub(crate) fn yield_turn(&mut self) -> Option<Turn> {
        self.turn.take()
    }

    /// In a batch each step takes its time, so many ids at once.
    pub(super) async fn step(&mut self) -> Option<Turn> {
        let turn = self.company.as_ref()?.write().await;
        self.budget = Budget::new(self.call.policy.timeout);
        Some(turn)
    }

    /// The first step of a load in the background: runs the origin if the lease is granted, or was
    /// asked for before.
    pub(crate) fn begin<'a>(&'a mut self) -> Boxed<'a, Option<Run>> {
        Box::pin(async move {
            let place = self.call.at.clone().ok()?;
            if !self.asked {
                self.acquire(&place, false).await;
                self.handed_out = None;
                self.leased.as_ref()?;
            }
            let lead = self.lead.take()?;
            Some(self.start(place.key, lead))
        })
    }

    pub(super) fn stats(&self) -> &SiteStats {
        self.call.engine.stats.at(self.call.site)
    }

    pub(super) fn caller(&self) -> Caller {
        let alone = self.call.policy.single_flight != SingleFlight::Fleet;
        let broken = self.call.engine.is_broken(crate::broken::Rule::Join);
        Caller {
            called: self.called,
            seen: self.seen.mark(),
            trusting: self.unanswered || alone || broken,
            hidden: self.hidden,
        }
    }

    pub(super) fn after_look_up(&self) -> Stage {
        match self.call.policy.single_flight {
            SingleFlight::Off => Stage::Alone,
            SingleFlight::Fleet | SingleFlight::Process => Stage::Join,
        }
    }

    pub(super) fn leads(&mut self, lead: Lead) -> Stage {
        self.lead = Some(lead);
        match self.unanswered {
            true => Stage::Load,
            false => Stage::Acquire { force: false },
        }
    }

    pub(super) fn bypass(&self, reason: Bypass) -> Step {
        self.record(Event::Load);
        Step::Bypass(reason)
    }

    pub(super) fn hand_out(&mut self, found: HandedOut) -> Step {
        self.handed_out = Some(found);
        Step::Decode
    }

    /// What was handed out last.
    pub(crate) fn payload(&self) -> &[u8] {
        self.handed_out.as_ref().map_or(&[], |found| &found.payload)
    }
}
