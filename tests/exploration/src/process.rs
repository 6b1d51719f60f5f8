//! [`Process`]: what one process does to an entry, in the order of the runtime's own steps.

use std::time::Duration;

use bytes::Bytes;
use loom::future::block_on;

use crate::broken::Rule;
use crate::envelope;
use crate::lease::{Acquire, Acquired, LeaseKind, Release, Stamp, Token};
use crate::place::Mark;
use crate::single_flight::{Caller, Flights, Landing, Lead, Role, Since, Waiter};
use crate::store::{IDENTITY, KEY, Store, payload, place, version};
use crate::sync::{Arc, Moment, Mutex};

/// What all processes share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    /// The version that the origin is at.
    pub(crate) origin: Mutex<u64>,
    /// The version that every call that begins now may rely on.
    pub(crate) floor: Mutex<u64>,
    /// How long a lease stands.
    pub(crate) lease: Duration,
    /// Whether callers trust their process alone.
    pub(crate) alone: bool,
    /// A rule that nobody keeps.
    pub(crate) off: Option<Rule>,
}

/// One process: callers that share flights.
#[derive(Debug)]
pub(crate) struct Process {
    world: Arc<World>,
    flights: Arc<Flights>,
}

/// What a call gave.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) version: u64,
    /// The floor when it began.
    pub(crate) floor: u64,
}

/// Where a call stands: the stages of `flow/get_or_load.rs`, without those of old values.
enum Stage {
    LookUp,
    Join,
    Wait(Waiter),
    Unleased,
    Acquire {
        lead: Lead,
        force: bool,
    },
    Watch(Lead),
    /// Under its lease, or in spite of somebody else's.
    Load(Lead, Option<Token>, Option<Token>),
}

/// What the store told last.
#[derive(Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// Of a load.
    load: Option<Token>,
    /// Of a load or a write.
    token: Option<Token>,
}

impl Process {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            flights: Arc::new(Flights::new()),
        }
    }

    /// A call of the annotated function.
    pub(crate) fn call(&self) -> Answer {
        self.go_on(|| Stage::LookUp)
    }

    /// A call that loads whatever is there.
    pub(crate) fn refresh(&self) -> Answer {
        self.go_on(|| Stage::Acquire {
            lead: self.flights.replace(&place()),
            force: true,
        })
    }

    fn go_on(&self, enter: impl FnOnce() -> Stage) -> Answer {
        let floor = *self.world.floor.lock();
        let called = Moment::now();
        let mut seen = Seen::default();
        let mut again = false;
        let mut met = None;
        let mut stage = enter();
        let version = loop {
            let caller = Caller {
                called,
                seen: seen.token.map(mark),
                trusting: self.is_trusting(),
                hidden: false,
            };
            stage = match stage {
                Stage::LookUp => match seen.look(self.world.store.get()) {
                    Some(payload) => break version(&payload),
                    None => Stage::Join,
                },
                Stage::Join => match self.flights.join(&place(), &caller) {
                    Role::Lead(lead) => acquire(lead),
                    Role::Wait(flight) => Stage::Wait(flight),
                },
                Stage::Wait(flight) => match block_on(flight.landed()) {
                    Landing::Value { payload, since } => match flight.may_share(since, &caller) {
                        true => break version(&payload),
                        false => Stage::LookUp,
                    },
                    Landing::Failed(_) | Landing::Nothing => Stage::Unleased,
                    Landing::Abandoned => Stage::Join,
                },
                Stage::Unleased => Stage::Load(self.flights.alone(&place()), None, met),
                Stage::Acquire { lead, force } => {
                    let since = Moment::next();
                    let request = self.request(since, seen.stamp, force);
                    match self.world.store.acquire(&request) {
                        Acquired::Granted(grant) => Stage::Load(lead, Some(grant.token), met),
                        Acquired::Value(envelope) => match seen.look(Some(envelope)) {
                            Some(payload) => break land(&lead, payload, Since::Stored(since)),
                            None => acquire(lead),
                        },
                        Acquired::Busy { kind, token, .. } => {
                            met = Some(token);
                            match kind == LeaseKind::Load && !again && !self.world.alone {
                                true => Stage::Watch(lead),
                                false => Stage::Load(lead, None, met),
                            }
                        }
                    }
                }
                // The wait is over after one look: later looks are the same.
                Stage::Watch(lead) => {
                    let since = Moment::next();
                    if let Some(payload) = seen.look(self.world.store.get()) {
                        break land(&lead, payload, Since::Stored(since));
                    }
                    again = seen.load.is_some();
                    acquire(lead)
                }
                Stage::Load(lead, token, met) => {
                    let since = lead.start(token.or(met).map(mark));
                    let loaded = *self.world.origin.lock();
                    land(&lead, payload(loaded), since);
                    if let Some(token) = token {
                        self.fill(&token, loaded);
                    }
                    break loaded;
                }
            };
        };
        Answer { version, floor }
    }

    /// A call that is dropped while its origin runs, if it comes that far.
    pub(crate) fn cancelled_call(&self) {
        let called = Moment::now();
        let mut seen = Seen::default();
        if seen.look(self.world.store.get()).is_some() {
            return;
        }
        let caller = Caller {
            called,
            seen: seen.token.map(mark),
            trusting: self.is_trusting(),
            hidden: false,
        };
        if let Role::Lead(lead) = self.flights.join(&place(), &caller) {
            let request = self.request(Moment::next(), seen.stamp, false);
            if let Acquired::Granted(grant) = self.world.store.acquire(&request) {
                lead.start(Some(mark(grant.token)));
                self.world.store.release(&grant.token, Release::Abandoned);
            }
        }
    }

    /// Somebody changes the origin; then its entry is invalidated.
    pub(crate) fn invalidate(&self) {
        *self.world.origin.lock() += 1;
        let version = *self.world.origin.lock();
        self.flights.fence(&KEY);
        self.world.store.delete();
        self.flights.fence(&KEY);
        self.acknowledge(version);
    }

    /// A function that changes the origin and writes its value through.
    pub(crate) fn update(&self) {
        let request = self.request(Moment::next(), None, true);
        self.world.store.intend(&request);
        let version = {
            let mut origin = self.world.origin.lock();
            *origin += 1;
            *origin
        };
        self.flights.fence(&KEY);
        match self.world.off {
            Some(Rule::Intent) => self.world.store.put(version),
            _ => {
                self.world.store.commit(&request.token, version);
            }
        }
        self.flights.fence(&KEY);
        self.acknowledge(version);
    }

    fn fill(&self, token: &Token, version: u64) {
        match self.world.off {
            Some(Rule::Fence) => self.world.store.put(version),
            _ => {
                self.world.store.fill(token, version);
            }
        }
    }

    fn acknowledge(&self, version: u64) {
        let mut floor = self.world.floor.lock();
        *floor = version.max(*floor);
    }

    fn is_trusting(&self) -> bool {
        self.world.alone || self.world.off == Some(Rule::Join)
    }

    fn request(&self, since: Moment, rejected: Option<Stamp>, force: bool) -> Acquire {
        Acquire {
            token: Token(u128::from(since.number()).to_le_bytes()),
            identity: IDENTITY,
            lease: self.world.lease,
            hold: Duration::ZERO,
            rejected,
            force,
            has_old: false,
        }
    }
}

impl Seen {
    /// The payload, if there is one.
    fn look(&mut self, found: Option<Bytes>) -> Option<Bytes> {
        *self = Self::default();
        let envelope = found?;
        self.stamp = envelope::stamp(&envelope);
        let lease = envelope::lease(&envelope).map(|(_, lease)| lease);
        let of = |kind| lease.filter(|lease| lease.kind == kind);
        self.load = of(LeaseKind::Load).map(|lease| lease.token);
        let intent = of(LeaseKind::Intent).map(|lease| lease.token);
        self.token = self.load.or(intent);
        let opened = envelope::open(&envelope, KEY.as_str(), IDENTITY);
        opened
            .ok()
            .map(|opened| Bytes::copy_from_slice(opened.payload))
    }
}

/// The entry has no tags.
fn mark(token: Token) -> Mark {
    Mark::new(token, &[])
}

fn acquire(lead: Lead) -> Stage {
    Stage::Acquire { lead, force: false }
}

fn land(lead: &Lead, payload: Bytes, since: Since) -> u64 {
    let version = version(&payload);
    lead.land(Landing::Value { payload, since });
    version
}
