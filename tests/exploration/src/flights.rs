//! Single flight alone: nobody waits for ever, one load is enough, a fence holds.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use loom::future::block_on;
use loom::thread;

use crate::explore::explore;
use crate::single_flight::{Caller, Flights, Landing, Lead, Role, Since, Waiter};
use crate::store::{KEY, payload, place, version};
use crate::sync::{Arc, Moment, Mutex};

/// How often, at most, somebody is interrupted.
const INTERRUPTIONS: usize = 2;

/// One process without a store of its own: a leader keeps what it has loaded where the next leader
/// finds it.
struct Room {
    flights: Arc<Flights>,
    stored: Mutex<Option<u64>>,
    /// The version that the origin is at.
    origin: Mutex<u64>,
    loads: Mutex<u32>,
}

/// Callers whose calls have begun get the value of one load. Returns the number of executions.
#[must_use]
pub fn callers_share_one_load(callers: usize) -> usize {
    explore(INTERRUPTIONS, move || {
        let room = Room::new();
        let caller = caller(false);
        let threads: Vec<_> = (0..callers)
            .map(|_| room.spawn(move |room| room.call(&caller)))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().ok(), Some(0), "a value");
        }
        assert_eq!(*room.loads.lock(), 1);
        room.is_left_empty();
    })
}

/// One of three callers is cancelled, be it as the leader or while it waits. Returns the number of
/// executions.
#[must_use]
pub fn a_caller_is_cancelled() -> usize {
    explore(INTERRUPTIONS, || {
        let room = Room::new();
        let caller = caller(false);
        let cancelled = room.spawn(move |room| room.cancelled_call(&caller));
        let threads = [(); 2].map(|()| room.spawn(move |room| room.call(&caller)));
        for thread in threads {
            assert_eq!(thread.join().ok(), Some(0), "a value");
        }
        assert!(cancelled.join().is_ok());
        assert_eq!(*room.loads.lock(), 1);
        room.is_left_empty();
    })
}

/// Two callers have waited for the same leader, who is slow, and give up. Returns the number of
/// executions.
#[must_use]
pub fn a_leader_is_overtaken() -> usize {
    explore(INTERRUPTIONS, || {
        let room = Room::new();
        let caller = caller(false);
        let slow = room.flights.replace(&place());
        let overtaking = [(); 2].map(|()| {
            let given_up = slow.waiter();
            room.spawn(move |room| room.overtake(&given_up, &caller))
        });
        let leading = room.spawn(move |room| room.load_unless_stored(&slow));
        for thread in overtaking.into_iter().chain([leading]) {
            assert_eq!(thread.join().ok(), Some(0), "a value");
        }
        let loads = *room.loads.lock();
        assert!(
            loads <= 2,
            "one overtakes, and the other shares; not {loads} loads"
        );
        room.is_left_empty();
    })
}

/// The origin changes and a fence is raised while callers load who trust their process alone. Who
/// comes after the fence gets the change. Returns the number of executions.
#[must_use]
pub fn a_fence_is_raised() -> usize {
    explore(INTERRUPTIONS, || {
        let room = Room::new();
        let threads = [(); 2].map(|()| room.spawn(|room| room.unstored_call(&caller(true))));
        *room.origin.lock() = 1;
        room.flights.fence(&KEY);
        let after = room.unstored_call(&caller(true));
        for thread in threads {
            assert!(thread.join().is_ok_and(|version| version <= 1));
        }
        assert_eq!(after, 1, "the version since the fence");
        room.is_left_empty();
    })
}

impl Room {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            flights: Arc::new(Flights::new()),
            stored: Mutex::new(None),
            origin: Mutex::new(0),
            loads: Mutex::new(0),
        })
    }

    fn spawn<T: 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Self) -> T + 'static,
    ) -> thread::JoinHandle<T> {
        let room = self.clone();
        thread::spawn(move || act(&room))
    }

    fn call(&self, caller: &Caller) -> u64 {
        self.share(caller, |lead| self.load_unless_stored(&lead))
    }

    /// Of a value that is not stored.
    fn unstored_call(&self, caller: &Caller) -> u64 {
        self.share(caller, |lead| self.load(&lead))
    }

    fn share(&self, caller: &Caller, load: impl Fn(Lead) -> u64) -> u64 {
        loop {
            match self.flights.join(&place(), caller) {
                Role::Lead(lead) => return load(lead),
                Role::Wait(flight) => {
                    if let Some(version) = wait(&flight, caller) {
                        return version;
                    }
                }
            }
        }
    }

    fn overtake(&self, given_up: &Waiter, caller: &Caller) -> u64 {
        look_once(given_up);
        match self.flights.overtake(&place(), given_up, caller) {
            Role::Lead(lead) => self.load_unless_stored(&lead),
            Role::Wait(flight) => wait(&flight, caller).unwrap_or_else(|| self.call(caller)),
        }
    }

    fn cancelled_call(&self, caller: &Caller) {
        match self.flights.join(&place(), caller) {
            Role::Lead(lead) => {
                lead.start(None);
            }
            Role::Wait(flight) => look_once(&flight),
        }
    }

    fn load_unless_stored(&self, lead: &Lead) -> u64 {
        let since = Since::Stored(Moment::next());
        let stored = *self.stored.lock();
        if let Some(version) = stored {
            land(lead, version, since);
            return version;
        }
        let version = self.load(lead);
        *self.stored.lock() = Some(version);
        version
    }

    fn load(&self, lead: &Lead) -> u64 {
        let since = lead.start(None);
        let version = *self.origin.lock();
        *self.loads.lock() += 1;
        land(lead, version, since);
        version
    }

    fn is_left_empty(&self) {
        let lead = self.flights.background(&place());
        assert!(lead.is_some(), "a flight is left behind");
    }
}

fn caller(trusting: bool) -> Caller {
    Caller {
        called: Moment::now(),
        seen: None,
        trusting,
        hidden: false,
    }
}

fn land(lead: &Lead, version: u64, since: Since) {
    let payload = payload(version);
    lead.land(Landing::Value { payload, since });
}

/// The version that lands, if it may be shared; none if the leader was cancelled.
fn wait(flight: &Waiter, caller: &Caller) -> Option<u64> {
    match block_on(flight.landed()) {
        Landing::Value { payload, since } => {
            flight.may_share(since, caller).then(|| version(&payload))
        }
        Landing::Failed(_) | Landing::Nothing | Landing::Abandoned => None,
    }
}

/// Begins to wait, and is cancelled.
fn look_once(flight: &Waiter) {
    block_on(poll_fn(|context| {
        let _ = pin!(flight.landed()).poll(context);
        Poll::Ready(())
    }));
}
