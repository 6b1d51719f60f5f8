//! Single-flight: callers of this process that miss the same key share one load.
//!
//! A [`Flight`] is one load under way. Its leader runs the origin in its own task; nothing is
//! spawned, so nothing is demanded of the origin. Whoever else comes waits for the landing. The
//! leader's [`Lead`] lands the flight on every way out: dropped by a cancellation or a panic it
//! lands as [`Landing::Abandoned`], and a waiter takes over.
//!
//! Not every load may be shared. Between its start and a call, another process may have
//! invalidated the key, and the call must not get the older value. So a caller shares a load if
//!
//! * the load started after the call did: it reads the origin later than everything that was
//!   acknowledged before the call; or
//! * the caller's own look-up showed the [`Mark`] of the load: the token of its lease, or of the lease
//!   or intent that kept the load from having one, and the same generations of the tags. An
//!   invalidation in between would have removed the token or changed a generation; or
//! * the caller trusts this process alone, because the store does not answer or its policy says
//!   so: then the [fence](Flights::fence) that every invalidation of this process raises is what
//!   tells outdated loads from others.

use std::any::Any;
use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::key::Key;
use crate::place::{Mark, Place};
use crate::sync::{Arc, HashState, Moment, Mutex};

/// A failed load's error, shared with the waiters if it is `Clone`.
#[expect(
    unused_qualifications,
    reason = "the model checker's `Arc` holds no `dyn Any`"
)]
pub(crate) type SharedError = std::sync::Arc<dyn Any + Send + Sync>;

/// How a flight ended, as its waiters see it.
#[derive(Clone)]
pub(crate) enum Landing {
    /// The encoded value, and since when it is known to be current.
    Value { payload: Bytes, since: Since },
    /// The origin failed; with its error if that can be shared.
    Failed(Option<SharedError>),
    /// There is nothing to share: the value is not cacheable. Everyone loads at once, never one
    /// after another.
    Nothing,
    /// The leader was cancelled or panicked. A waiter takes over.
    Abandoned,
}

impl fmt::Debug for Landing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value { .. } => "Value",
            Self::Failed(_) => "Failed",
            Self::Nothing => "Nothing",
            Self::Abandoned => "Abandoned",
        })
    }
}

/// Since when a value is known to be current.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Since {
    /// The origin was started then.
    Loaded(Moment),
    /// The store was asked for it then.
    Stored(Moment),
}

/// What decides which loads a caller may share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// When the call started.
    pub(crate) called: Moment,
    /// The mark of the lease or intent that the caller's own look-up showed.
    pub(crate) seen: Option<Mark>,
    /// Whether the loads of this process are trusted without further evidence.
    pub(crate) trusting: bool,
    /// Whether an invalidation that the store has not confirmed hides what the store holds.
    pub(crate) hidden: bool,
}

impl Caller {
    fn may_share(&self, since: Since, mark: Option<Mark>) -> bool {
        let (Since::Loaded(at) | Since::Stored(at)) = since;
        if self.hidden && matches!(since, Since::Stored(_)) {
            return false;
        }
        at > self.called || self.trusting || mark.is_some() && mark == self.seen
    }
}

/// All flights of one cache.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Vec<Mutex<Shard>>,
    hasher: HashState,
}

const SHARDS: usize = 16;

type Shard = HashMap<Key, Vec<Arc<Flight>>>;

/// One load under way, of one place.
#[derive(Debug)]
pub(crate) struct Flight {
    place: Place,
    // Whether others may share it; a load that must not be shared is here only to be fenced.
    joinable: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    // An invalidation of this process, or a refresh, has outdated it.
    fenced: bool,
    // When the origin was started.
    started: Option<Moment>,
    // Of the lease it loads under, or of what was in its way.
    mark: Option<Mark>,
    // Somebody has waited for it in vain.
    given_up: bool,
    // Its leader waits for another process before it loads.
    delayed: bool,
    landing: Option<Landing>,
    // Those of the waiters, each with its number: who came first is woken first.
    wakers: BTreeMap<u64, Waker>,
    waiters: u64,
}

impl Flight {
    fn new(place: &Place, joinable: bool) -> Arc<Self> {
        Arc::new(Self {
            place: place.clone(),
            joinable,
            state: Mutex::new(State::default()),
        })
    }

    fn is_open_to(&self, place: &Place) -> bool {
        let state = self.state.lock();
        self.joinable && self.place == *place && !state.fenced && !state.given_up
    }

    fn admits(&self, place: &Place, caller: &Caller) -> bool {
        if !self.joinable || self.place != *place {
            return false;
        }
        let state = self.state.lock();
        let since = match &state.landing {
            Some(Landing::Value { since, .. }) => Some(*since),
            // It came to nothing, though its leader may still be loading for itself.
            Some(_) => return false,
            // A load that has not started yet will start after the call.
            None => state.started.map(Since::Loaded),
        };
        let current = |since| caller.may_share(since, state.mark);
        !state.fenced && since.is_none_or(current)
    }

    fn fence(&self) {
        self.state.lock().fenced = true;
    }
}

/// What a caller is to a flight.
#[derive(Debug)]
pub(crate) enum Role {
    /// Runs the origin and lands the flight.
    Lead(Lead),
    /// Waits for the landing.
    Wait(Waiter),
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            hasher: HashState::default(),
        }
    }

    /// Joins a flight that the caller may share, or starts one and leads it.
    pub(crate) fn join(self: &Arc<Self>, place: &Place, caller: &Caller) -> Role {
        self.with_flights(&place.key, |flights| {
            let mut newest_first = flights.iter().rev();
            match newest_first.find(|flight| flight.admits(place, caller)) {
                Some(flight) => Role::Wait(Waiter::new(flight)),
                None => Role::Lead(self.lead(Flight::new(place, true), flights)),
            }
        })
    }

    /// Starts a flight for a caller that waits no longer for the one it gave up on, unless another
    /// caller has started one meanwhile: then that one is joined.
    pub(crate) fn overtake(
        self: &Arc<Self>,
        place: &Place,
        given_up: &Waiter,
        caller: &Caller,
    ) -> Role {
        given_up.flight.state.lock().given_up = true;
        self.with_flights(&place.key, |flights| {
            let mut newest_first = flights.iter().rev();
            let other = newest_first
                .find(|flight| flight.admits(place, caller))
                .filter(|flight| !Arc::ptr_eq(flight, &given_up.flight));
            match other {
                Some(flight) => Role::Wait(Waiter::new(flight)),
                None => Role::Lead(self.lead(Flight::new(place, true), flights)),
            }
        })
    }

    /// Starts a flight that joins nothing and that others may join instead of all that are under
    /// way: a refresh.
    pub(crate) fn replace(self: &Arc<Self>, place: &Place) -> Lead {
        self.with_flights(&place.key, |flights| {
            flights.iter().for_each(|flight| flight.fence());
            self.lead(Flight::new(place, true), flights)
        })
    }

    /// Starts a flight that nobody joins.
    pub(crate) fn alone(self: &Arc<Self>, place: &Place) -> Lead {
        self.with_flights(&place.key, |flights| {
            self.lead(Flight::new(place, false), flights)
        })
    }

    /// Starts a flight for a load in the background, unless there is one under way that nobody has
    /// given up on.
    pub(crate) fn background(self: &Arc<Self>, place: &Place) -> Option<Lead> {
        self.with_flights(&place.key, |flights| {
            let busy = flights.iter().any(|flight| flight.is_open_to(place));
            (!busy).then(|| self.lead(Flight::new(place, true), flights))
        })
    }

    /// Fences the flights of `key`: nobody who comes later shares them.
    pub(crate) fn fence(&self, key: &Key) {
        self.with_flights(key, |flights| {
            flights.iter().for_each(|flight| flight.fence());
        });
    }

    /// Fences the flights of all entries with this tag.
    pub(crate) fn fence_tagged(&self, tag: &Key) {
        self.fence_each(|flight| flight.place.tags.contains(tag));
    }

    /// Fences the flights of all keys.
    pub(crate) fn fence_all(&self) {
        self.fence_each(|_| true);
    }

    fn fence_each(&self, outdated: impl Fn(&Flight) -> bool) {
        for shard in &self.shards {
            let shard = shard.lock();
            let flights = shard.values().flatten();
            flights
                .filter(|flight| outdated(flight))
                .for_each(|flight| flight.fence());
        }
    }

    fn lead(self: &Arc<Self>, flight: Arc<Flight>, flights: &mut Vec<Arc<Flight>>) -> Lead {
        flights.push(flight.clone());
        Lead {
            flights: self.clone(),
            flight,
        }
    }

    fn with_flights<T>(&self, key: &Key, act: impl FnOnce(&mut Vec<Arc<Flight>>) -> T) -> T {
        let hash = self.hasher.hash_one(key) as usize;
        #[expect(clippy::indexing_slicing, reason = "reduced modulo the length")]
        let mut shard = self.shards[hash % SHARDS].lock();
        match shard.entry(key.clone()) {
            Slot::Occupied(mut slot) => {
                let result = act(slot.get_mut());
                if slot.get().is_empty() {
                    slot.remove();
                }
                result
            }
            Slot::Vacant(slot) => {
                let mut none = Vec::new();
                let result = act(&mut none);
                if !none.is_empty() {
                    slot.insert(none);
                }
                result
            }
        }
    }

    #[cfg(test)]
    fn under_way(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// The leader's hold on its flight. Dropping it without a landing abandons the flight.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
}

impl Lead {
    /// The origin is about to be run, under the lease with this mark or in spite of it. Returns since
    /// when its value will be current.
    pub(crate) fn start(&self, mark: Option<Mark>) -> Since {
        let mut state = self.flight.state.lock();
        let now = Moment::next();
        state.started = Some(now);
        state.mark = mark;
        Since::Loaded(now)
    }

    /// The leader waits for another process before it loads.
    pub(crate) fn delay(&self) {
        self.flight.state.lock().delayed = true;
    }

    /// Gives the waiters what they wait for. The flight stays joinable until the lead is dropped,
    /// so that who comes while the fill is on its way shares the value too.
    pub(crate) fn land(&self, landing: Landing) {
        let mut state = self.flight.state.lock();
        if state.landing.is_none() {
            state.landing = Some(landing);
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Waits for this flight's landing, as a caller that has handed the lead on.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter::new(&self.flight)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights
            .with_flights(&self.flight.place.key, |flights| {
                flights.retain(|one| !Arc::ptr_eq(one, &self.flight));
            });
        self.land(Landing::Abandoned);
    }
}

/// A caller waiting for a flight to land.
#[derive(Debug)]
pub(crate) struct Waiter {
    flight: Arc<Flight>,
    number: u64,
}

impl Waiter {
    fn new(flight: &Arc<Flight>) -> Self {
        let mut state = flight.state.lock();
        state.waiters += 1;
        Self {
            number: state.waiters,
            flight: flight.clone(),
        }
    }

    /// The landing. Cancel safe.
    pub(crate) fn landed(&self) -> Landed<'_> {
        Landed(self)
    }

    /// Whether the leader has waited for another process.
    pub(crate) fn is_delayed(&self) -> bool {
        self.flight.state.lock().delayed
    }

    /// Whether the caller may have a value that is current since then.
    pub(crate) fn may_share(&self, since: Since, caller: &Caller) -> bool {
        caller.may_share(since, self.flight.state.lock().mark)
    }
}

/// Waits for a flight to land.
#[derive(Debug)]
pub(crate) struct Landed<'a>(&'a Waiter);

impl Future for Landed<'_> {
    type Output = Landing;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Landing> {
        let waker = context.waker().clone();
        let mut state = self.0.flight.state.lock();
        if let Some(landing) = &state.landing {
            return Poll::Ready(landing.clone());
        }
        let before = state.wakers.insert(self.0.number, waker);
        drop(state);
        // Not under the lock: it may own who leads or waits for this very flight.
        drop(before);
        Poll::Pending
    }
}

impl Drop for Landed<'_> {
    fn drop(&mut self) {
        let waker = self.0.flight.state.lock().wakers.remove(&self.0.number);
        // Not under the lock, as above.
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::Wake;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::codec::TypeIdentity;
    use crate::lease::Token;

    fn setup() -> (Arc<Flights>, Place) {
        (Arc::new(Flights::new()), place(1, &[]))
    }

    fn place(identity: u64, tags: &[&str]) -> Place {
        Place {
            key: Key::raw("test", "k"),
            identity: TypeIdentity::from_u64(identity),
            tags: tags.iter().map(|tag| Key::raw("test", tag)).collect(),
        }
    }

    fn caller() -> Caller {
        Caller {
            called: Moment::now(),
            seen: None,
            trusting: false,
            hidden: false,
        }
    }

    fn lead(role: Role) -> Lead {
        match role {
            Role::Lead(lead) => lead,
            Role::Wait(_) => panic!("expected to lead"),
        }
    }

    fn wait(role: Role) -> Waiter {
        match role {
            Role::Wait(waiter) => waiter,
            Role::Lead(_) => panic!("expected to wait"),
        }
    }

    fn value(payload: &'static str, since: Since) -> Landing {
        Landing::Value {
            payload: Bytes::from_static(payload.as_bytes()),
            since,
        }
    }

    type Waits = Pin<Box<dyn Future<Output = Landing> + Send>>;

    /// As those of simple executors do.
    struct OwnsAnother {
        _other: Mutex<Waits>,
    }

    impl Wake for OwnsAnother {
        fn wake(self: Arc<Self>) {}
    }

    /// Who moves to another task, or leaves, lets go of a waker that may be the last to hold a task that
    /// waits for the same flight.
    #[test]
    fn a_waker_may_own_another_waiter() {
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            for moves in [true, false] {
                let (flights, place) = setup();
                let _leader = lead(flights.join(&place, &caller()));
                let [mut first, mut other] = [(); 2].map(|()| -> Waits {
                    let waiter = wait(flights.join(&place, &caller()));
                    Box::pin(async move { waiter.landed().await })
                });
                let mut noop = Context::from_waker(Waker::noop());
                assert!(other.as_mut().poll(&mut noop).is_pending());
                let owner = Waker::from(Arc::new(OwnsAnother {
                    _other: Mutex::new(other),
                }));
                let pending = first.as_mut().poll(&mut Context::from_waker(&owner));
                assert!(pending.is_pending());
                drop(owner);
                if moves {
                    assert!(first.as_mut().poll(&mut noop).is_pending());
                }
                drop(first);
            }
            done.send(()).expect("somebody waits");
        });
        let patience = Duration::from_secs(60);
        ended.recv_timeout(patience).expect("no deadlock");
    }

    #[tokio::test]
    async fn the_second_caller_gets_what_the_first_lands() {
        let (flights, place) = setup();
        let leader = lead(flights.join(&place, &caller()));
        let second = caller();
        let waiter = wait(flights.join(&place, &second));
        let since = leader.start(None);
        leader.land(value("v", since));
        assert!(matches!(waiter.landed().await, Landing::Value { payload, .. } if payload == "v"));
        assert!(waiter.may_share(since, &second));
        drop(leader);
        assert_eq!(flights.under_way(), 0);
        lead(flights.join(&place, &caller()));
    }

    #[test]
    fn who_comes_after_the_load_began_needs_evidence_to_share_it() {
        let (flights, place) = setup();
        let mark = Mark::new(Token::random(), &[]);
        let leader = lead(flights.join(&place, &caller()));
        let early = caller();
        let since = leader.start(Some(mark));
        wait(flights.join(&place, &early));

        let late = caller();
        let has_seen = Caller {
            seen: Some(mark),
            ..late
        };
        let has_seen_another = Caller {
            seen: Some(Mark::new(Token::random(), &[])),
            ..late
        };
        let trusting = Caller {
            trusting: true,
            ..late
        };
        assert!(wait(flights.join(&place, &has_seen)).may_share(since, &has_seen));
        assert!(wait(flights.join(&place, &trusting)).may_share(since, &trusting));
        let second = lead(flights.join(&place, &has_seen_another));
        // That one has not begun.
        let waiter = wait(flights.join(&place, &late));
        assert!(
            !waiter.may_share(since, &late),
            "a value found before the call"
        );
        drop(second);
        lead(flights.join(&place, &late));
    }

    #[test]
    fn what_an_unconfirmed_invalidation_hides_is_shared_by_nobody_who_knows_of_it() {
        let (flights, place) = setup();
        let knows = Caller {
            trusting: true,
            hidden: true,
            ..caller()
        };
        let leader = lead(flights.join(&place, &caller()));
        let waiter = wait(flights.join(&place, &knows));
        let stored = Since::Stored(Moment::next());
        assert!(!waiter.may_share(stored, &knows));
        assert!(waiter.may_share(Since::Loaded(Moment::next()), &knows));
        leader.land(value("old", stored));
        lead(flights.join(&place, &knows));
    }

    #[tokio::test]
    async fn a_dropped_leader_abandons_and_a_waiter_takes_over() {
        let (flights, place) = setup();
        let leader = lead(flights.join(&place, &caller()));
        let waiter = wait(flights.join(&place, &caller()));
        drop(leader);
        assert!(matches!(waiter.landed().await, Landing::Abandoned));
        lead(flights.join(&place, &caller()));
    }

    #[test]
    fn another_type_and_other_tags_never_join() {
        let flights = Arc::new(Flights::new());
        let _leader = lead(flights.join(&place(1, &["a"]), &caller()));
        wait(flights.join(&place(1, &["a"]), &caller()));
        let _other_type = lead(flights.join(&place(2, &["a"]), &caller()));
        let _no_tags = lead(flights.join(&place(1, &[]), &caller()));
        let _more_tags = lead(flights.join(&place(1, &["a", "b"]), &caller()));
    }

    #[test]
    fn a_token_proves_nothing_if_a_tag_has_another_generation() {
        let (flights, place) = (Arc::new(Flights::new()), place(1, &["a"]));
        let token = Token::random();
        let leader = lead(flights.join(&place, &caller()));
        leader.start(Some(Mark::new(token, &[[1; 16]])));
        let has_seen = |generation| Caller {
            seen: Some(Mark::new(token, &[[generation; 16]])),
            ..caller()
        };
        let since_invalidated = has_seen(2);
        wait(flights.join(&place, &has_seen(1)));
        lead(flights.join(&place, &since_invalidated));
    }

    #[test]
    fn a_tag_fences_the_entries_that_have_it() {
        let flights = Arc::new(Flights::new());
        let (tagged, other) = (place(1, &["a", "b"]), place(1, &["a"]));
        let trusting = Caller {
            trusting: true,
            ..caller()
        };
        let _tagged = lead(flights.join(&tagged, &trusting));
        let _other = lead(flights.join(&other, &trusting));
        flights.fence_tagged(&Key::raw("test", "b"));
        lead(flights.join(&tagged, &trusting));
        wait(flights.join(&other, &trusting));
    }

    #[test]
    fn a_load_alone_is_joined_by_nobody() {
        let (flights, place) = setup();
        let _alone = flights.alone(&place);
        lead(flights.join(&place, &caller()));
    }

    #[tokio::test]
    async fn a_fence_stops_joining_but_serves_who_waits() {
        let (flights, place) = setup();
        let trusting = Caller {
            trusting: true,
            ..caller()
        };
        for fence_all in [false, true] {
            let leader = lead(flights.join(&place, &trusting));
            let waiter = wait(flights.join(&place, &trusting));
            match fence_all {
                true => flights.fence_all(),
                false => flights.fence(&place.key),
            }
            lead(flights.join(&place, &trusting));
            leader.land(value("old", Since::Stored(Moment::next())));
            assert!(matches!(waiter.landed().await, Landing::Value { .. }));
        }
    }

    #[test]
    fn who_gives_up_replaces_once_and_the_others_join_that() {
        let (flights, place) = setup();
        let callers = [caller(), caller()];
        let stuck = lead(flights.join(&place, &callers[0]));
        let [first, second] = callers.map(|caller| wait(flights.join(&place, &caller)));
        stuck.start(None);
        let fresh = lead(flights.overtake(&place, &first, &callers[0]));
        wait(flights.overtake(&place, &second, &callers[1]));
        drop(fresh);
        wait(flights.join(&place, &callers[0]));
    }

    #[test]
    fn a_refresh_is_joined_instead_of_what_was_under_way() {
        let (flights, place) = setup();
        let _earlier = lead(flights.join(&place, &caller()));
        let refresh = flights.replace(&place);
        let trusting = Caller {
            trusting: true,
            ..caller()
        };
        wait(flights.join(&place, &trusting));
        drop(refresh);
        lead(flights.join(&place, &trusting));
    }

    #[test]
    fn one_load_in_the_background_at_a_time() {
        let (flights, place) = setup();
        let background = flights.background(&place);
        assert!(background.is_some());
        assert!(flights.background(&place).is_none());
        flights.fence(&place.key);
        assert!(flights.background(&place).is_some());

        let hung = flights.background(&place).expect("the other has ended");
        let caller = caller();
        let waiter = wait(flights.join(&place, &caller));
        drop(flights.overtake(&place, &waiter, &caller));
        assert!(flights.background(&place).is_some());
        drop(hung);
    }

    #[tokio::test]
    async fn a_waiter_that_goes_away_leaves_nothing_behind() {
        let (flights, place) = setup();
        let leader = lead(flights.join(&place, &caller()));
        let waiter = wait(flights.join(&place, &caller()));
        {
            let mut landed = std::pin::pin!(waiter.landed());
            let polled = std::future::poll_fn(|cx| Poll::Ready(landed.as_mut().poll(cx)));
            assert!(polled.await.is_pending());
            assert_eq!(leader.flight.state.lock().wakers.len(), 1);
        }
        assert!(leader.flight.state.lock().wakers.is_empty());
    }
}
