//! Single-flight: callers of this process that miss the same key share one load.
//!
//! A [`Flight`] is one load under way. Its leader runs the origin in its own task; nothing is
//! spawned, so nothing is demanded of the origin. Whoever else comes waits for the landing. The
//! leader's [`Lead`] lands the flight on every way out: dropped by a cancellation or a panic it
//! lands as [`Landing::Abandoned`], and a waiter takes over.
//!
//! An invalidation [cuts](Flights::cut) the flights of its key off: nobody who comes later joins
//! them, and they fill nothing. A fill already on its way is waited for, so that the deletion
//! sent after it is also applied after it. A flight therefore stays known until its lead is
//! dropped, cut off or not.
//!
//! A value written through is a flight too, which nobody joins: [`claim`](Flights::claim) gives
//! its fill to the one write that was not overtaken by another since it began.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::codec::TypeIdentity;
use crate::key::Key;

/// A failed load's error, shared with the waiters if it is `Clone`.
pub(crate) type SharedError = Arc<dyn Any + Send + Sync>;

/// How a flight ended, as its waiters see it.
#[derive(Clone)]
pub(crate) enum Landing {
    /// The encoded value.
    Value(Bytes),
    /// The origin failed with an error that can be shared.
    Failed(SharedError),
    /// There is nothing to share: the origin failed with an error that is not `Clone`, or its
    /// value is not cacheable. Everyone loads at once, never one after another.
    Nothing,
    /// The leader was cancelled or panicked. A waiter takes over.
    Abandoned,
}

impl fmt::Debug for Landing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value",
            Self::Failed(_) => "Failed",
            Self::Nothing => "Nothing",
            Self::Abandoned => "Abandoned",
        })
    }
}

/// All flights of one cache.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

const SHARDS: usize = 16;
/// Keys share the memory of when they were last cut off. That another key was cut off meanwhile
/// costs a write its storing, and nothing else.
const CUTS: usize = 256;

#[derive(Debug)]
struct Shard {
    flights: HashMap<Key, Vec<Arc<Flight>>>,
    /// When a key of this slot was last cut off.
    cuts: [Moment; CUTS],
}

/// A point in this process's order of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    const NEVER: Self = Self(0);

    /// A moment later than all before.
    pub(crate) fn next() -> Self {
        static LATEST: AtomicU64 = AtomicU64::new(0);
        Self(LATEST.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// One load under way, of one key and one value type.
#[derive(Debug)]
pub(crate) struct Flight {
    identity: TypeIdentity,
    // Whether others may share it; a load that must not be shared is here only to be fenced.
    joinable: bool,
    landing: watch::Sender<Option<Landing>>,
    fenced: AtomicBool,
    // True from the decision to fill until the fill has been answered or given up.
    filling: watch::Sender<bool>,
}

impl Flight {
    fn new(identity: TypeIdentity, joinable: bool) -> Arc<Self> {
        Arc::new(Self {
            identity,
            joinable,
            landing: watch::Sender::new(None),
            fenced: AtomicBool::new(false),
            filling: watch::Sender::new(false),
        })
    }

    fn is_open_to(&self, identity: TypeIdentity) -> bool {
        self.joinable && self.identity == identity && !self.is_fenced()
    }

    fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::SeqCst)
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
        let shard = || Shard {
            flights: HashMap::new(),
            cuts: [Moment::NEVER; CUTS],
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Joins the flight of this key and type, or starts one and leads it.
    pub(crate) fn join(self: &Arc<Self>, key: &Key, identity: TypeIdentity) -> Role {
        self.with_flights(key, |flights, _| {
            match flights.iter().find(|flight| flight.is_open_to(identity)) {
                Some(flight) => Role::Wait(Waiter(flight.clone())),
                None => Role::Lead(self.lead(key, Flight::new(identity, true), flights)),
            }
        })
    }

    /// Starts a flight for a caller that must not or will not wait for the one under way.
    ///
    /// `instead_of` is the flight it gave up on: if another caller has replaced that one already,
    /// its flight is joined. With `None` all that are under way are replaced. A replaced flight
    /// still serves its waiters, but fills nothing: ours reads the origin later.
    pub(crate) fn replace(
        self: &Arc<Self>,
        key: &Key,
        identity: TypeIdentity,
        instead_of: Option<&Waiter>,
    ) -> Role {
        self.with_flights(key, |flights, _| {
            let open = flights.iter().find(|flight| flight.is_open_to(identity));
            match (instead_of, open) {
                (Some(seen), Some(current)) if !Arc::ptr_eq(&seen.0, current) => {
                    return Role::Wait(Waiter(current.clone()));
                }
                (Some(seen), _) => Fenced::new(vec![seen.0.clone()]),
                (None, _) => Fenced::new(flights.clone()),
            };
            Role::Lead(self.lead(key, Flight::new(identity, true), flights))
        })
    }

    /// Starts a flight that nobody joins.
    pub(crate) fn alone(self: &Arc<Self>, key: &Key, identity: TypeIdentity) -> Lead {
        self.with_flights(key, |flights, _| {
            self.lead(key, Flight::new(identity, false), flights)
        })
    }

    /// Starts the flight of a value to be written through and cuts all others off, unless its key
    /// was cut off since `began` by somebody else than the caller, whose cuts are at `mine`: then
    /// the origin may hold a later value.
    ///
    /// Wait for the fills it returns before filling.
    pub(crate) fn claim(
        self: &Arc<Self>,
        key: &Key,
        identity: TypeIdentity,
        began: Moment,
        mine: Moment,
    ) -> Option<(Lead, Fenced)> {
        self.with_flights(key, |flights, cut| {
            if *cut > began && *cut != mine {
                return None;
            }
            *cut = mine;
            let others = Fenced::new(flights.clone());
            Some((
                self.lead(key, Flight::new(identity, false), flights),
                others,
            ))
        })
    }

    /// Cuts off the flights of all keys, and the writes that are to be written through.
    pub(crate) fn cut_all(&self) -> Fenced {
        self.fence_each(|shard| shard.cuts.fill(Moment::next()))
    }

    /// Cuts off the flights of `key`, and the writes that are to be written through to it: what
    /// they hold may be outdated from now on.
    ///
    /// Wait for the fills it returns before deleting.
    pub(crate) fn cut(&self, key: &Key) -> Fenced {
        self.with_flights(key, |flights, cut| {
            *cut = Moment::next();
            Fenced::new(flights.clone())
        })
    }

    /// Fences the flights of all keys.
    pub(crate) fn fence_all(&self) -> Fenced {
        self.fence_each(|_| ())
    }

    /// Fences the flights of `key`: they can no longer be joined and fill nothing.
    pub(crate) fn fence(&self, key: &Key) -> Fenced {
        self.with_flights(key, |flights, _| Fenced::new(flights.clone()))
    }

    fn fence_each(&self, mut also: impl FnMut(&mut Shard)) -> Fenced {
        let flights = self.shards.iter().flat_map(|shard| {
            let mut shard = shard.lock();
            also(&mut shard);
            Fenced::new(shard.flights.values().flatten().cloned().collect()).0
        });
        Fenced(flights.collect())
    }

    fn lead(
        self: &Arc<Self>,
        key: &Key,
        flight: Arc<Flight>,
        flights: &mut Vec<Arc<Flight>>,
    ) -> Lead {
        flights.push(flight.clone());
        Lead {
            flights: self.clone(),
            key: key.clone(),
            flight,
        }
    }

    /// Acts on the flights of `key` and on when it was last cut off.
    fn with_flights<T>(
        &self,
        key: &Key,
        act: impl FnOnce(&mut Vec<Arc<Flight>>, &mut Moment) -> T,
    ) -> T {
        let hash = self.hasher.hash_one(key) as usize;
        #[expect(clippy::indexing_slicing, reason = "reduced modulo the length")]
        let mut shard = self.shards[hash % SHARDS].lock();
        let Shard { flights, cuts } = &mut *shard;
        #[expect(clippy::indexing_slicing, reason = "reduced modulo the length")]
        let cut = &mut cuts[hash / SHARDS % CUTS];
        match flights.entry(key.clone()) {
            Slot::Occupied(mut slot) => {
                let result = act(slot.get_mut(), cut);
                if slot.get().is_empty() {
                    slot.remove();
                }
                result
            }
            Slot::Vacant(slot) => {
                let mut none = Vec::new();
                let result = act(&mut none, cut);
                if !none.is_empty() {
                    slot.insert(none);
                }
                result
            }
        }
    }

    #[cfg(test)]
    fn under_way(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().flights.len())
            .sum()
    }
}

/// The leader's hold on its flight. Dropping it without a landing abandons the flight.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

impl Lead {
    /// Gives the waiters what they wait for. The flight stays joinable until the lead is dropped,
    /// so that who comes while the fill is on its way shares the value too.
    pub(crate) fn land(&self, landing: Landing) {
        self.flight.landing.send_if_modified(|landed| {
            let first = landed.is_none();
            if first {
                *landed = Some(landing);
            }
            first
        });
    }

    /// Announces a fill, or `None` if the flight has been fenced and must not fill.
    pub(crate) fn fill(&self) -> Option<Fill<'_>> {
        // Announce first, look second; the fence marks first and looks second. So one of the two
        // always sees the other.
        let fill = Fill(&self.flight);
        self.flight.filling.send_replace(true);
        (!self.is_fenced()).then_some(fill)
    }

    /// Whether an invalidation has cut this flight off.
    pub(crate) fn is_fenced(&self) -> bool {
        self.flight.is_fenced()
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.with_flights(&self.key, |flights, _| {
            flights.retain(|one| !Arc::ptr_eq(one, &self.flight));
        });
        self.land(Landing::Abandoned);
    }
}

/// A fill on its way; dropped when it has been answered or given up.
#[derive(Debug)]
pub(crate) struct Fill<'a>(&'a Flight);

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        self.0.filling.send_replace(false);
    }
}

/// A caller waiting for a flight to land.
#[derive(Debug, Clone)]
pub(crate) struct Waiter(Arc<Flight>);

impl Waiter {
    /// Cancel safe.
    pub(crate) async fn landed(&self) -> Landing {
        let mut landing = self.0.landing.subscribe();
        match landing.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().unwrap_or(Landing::Abandoned),
            // Unreachable while we hold the flight, which owns the sender.
            Err(_) => Landing::Abandoned,
        }
    }
}

/// Flights that have been fenced.
#[derive(Debug)]
pub(crate) struct Fenced(Vec<Arc<Flight>>);

impl Fenced {
    fn new(flights: Vec<Arc<Flight>>) -> Self {
        for flight in &flights {
            flight.fenced.store(true, Ordering::SeqCst);
        }
        Self(flights)
    }

    /// Whether no fill of theirs is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.iter().all(|flight| !*flight.filling.borrow())
    }

    /// Waits until no fill of theirs is on its way. Cancel safe.
    pub(crate) async fn quiet(&self) {
        for flight in &self.0 {
            let mut filling = flight.filling.subscribe();
            // An error means that the sender is gone, and with it the fill.
            let _ = filling.wait_for(|filling| !filling).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (Arc<Flights>, Key, TypeIdentity) {
        (
            Arc::new(Flights::new()),
            Key::raw("test", "k"),
            TypeIdentity::from_u64(1),
        )
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

    #[tokio::test]
    async fn the_second_caller_gets_what_the_first_lands() {
        let (flights, key, identity) = setup();
        let leader = lead(flights.join(&key, identity));
        let waiter = wait(flights.join(&key, identity));
        leader.land(Landing::Value(Bytes::from_static(b"v")));
        assert!(matches!(waiter.landed().await, Landing::Value(v) if v == "v"));

        let late = wait(flights.join(&key, identity));
        assert!(matches!(late.landed().await, Landing::Value(_)));
        drop(leader);
        assert_eq!(flights.under_way(), 0);
        lead(flights.join(&key, identity));
    }

    #[tokio::test]
    async fn a_dropped_leader_abandons_and_a_waiter_takes_over() {
        let (flights, key, identity) = setup();
        let leader = lead(flights.join(&key, identity));
        let waiter = wait(flights.join(&key, identity));
        drop(leader);
        assert!(matches!(waiter.landed().await, Landing::Abandoned));
        lead(flights.join(&key, identity));
    }

    #[tokio::test]
    async fn another_type_never_joins() {
        let (flights, key, identity) = setup();
        let _leader = lead(flights.join(&key, identity));
        lead(flights.join(&key, TypeIdentity::from_u64(2)));
    }

    #[tokio::test]
    async fn a_load_alone_is_joined_by_nobody_but_fenced_like_any() {
        let (flights, key, identity) = setup();
        let alone = flights.alone(&key, identity);
        let leader = lead(flights.join(&key, identity));
        flights.fence_all().quiet().await;
        assert!(alone.is_fenced() && leader.is_fenced());
        lead(flights.join(&key, identity));
        drop((alone, leader));
        assert_eq!(flights.under_way(), 0);
    }

    #[tokio::test]
    async fn every_fence_sees_the_fill_on_its_way_whoever_fenced_it_before() {
        let (flights, key, identity) = setup();
        let leader = lead(flights.join(&key, identity));
        let fill = leader.fill().expect("not fenced yet");
        let replacing = lead(flights.replace(&key, identity, None));
        for fenced in [flights.cut(&key), flights.cut(&key), flights.cut_all()] {
            assert!(!fenced.is_quiet());
        }
        drop(fill);
        assert!(flights.fence(&key).is_quiet());
        drop((leader, replacing));
        assert_eq!(flights.under_way(), 0);
    }

    #[test]
    fn of_writes_that_overlap_only_the_first_to_end_is_written_through() {
        let (flights, key, identity) = setup();
        let (began, other_began) = (Moment::next(), Moment::next());
        let (mine, other) = (Moment::next(), Moment::next());
        let (first, _) = flights
            .claim(&key, identity, began, mine)
            .expect("nobody else has written");
        assert!(flights.claim(&key, identity, other_began, other).is_none());
        let (again, _) = flights
            .claim(&key, identity, began, mine)
            .expect("only the same write has");
        assert!(first.fill().is_none());
        assert!(again.fill().is_some());
        flights.cut(&key);
        assert!(again.fill().is_none());
        assert!(flights.claim(&key, identity, began, mine).is_none());
        let later = Moment::next();
        assert!(flights.claim(&key, identity, later, later).is_some());
    }

    #[tokio::test]
    async fn a_fence_stops_joining_and_filling_but_serves_who_waits() {
        let (flights, key, identity) = setup();
        let leader = lead(flights.join(&key, identity));
        let waiter = wait(flights.join(&key, identity));
        flights.cut(&key).quiet().await;
        let second = lead(flights.join(&key, identity));
        assert!(leader.fill().is_none());
        assert!(second.fill().is_some());
        leader.land(Landing::Value(Bytes::from_static(b"old")));
        assert!(matches!(waiter.landed().await, Landing::Value(_)));
        drop(leader);
        wait(flights.join(&key, identity));
    }

    #[tokio::test]
    async fn a_fence_waits_for_the_fill_on_its_way() {
        let (flights, key, identity) = setup();
        let leader = lead(flights.join(&key, identity));
        let fill = leader.fill().expect("not fenced yet");
        let fenced = flights.cut(&key);
        let mut quiet = std::pin::pin!(fenced.quiet());
        let pending =
            std::future::poll_fn(|cx| std::task::Poll::Ready(quiet.as_mut().poll(cx).is_pending()));
        assert!(pending.await, "the fill is still on its way");
        drop(fill);
        quiet.await;
    }

    #[tokio::test]
    async fn who_gives_up_replaces_once_and_the_others_join_that() {
        let (flights, key, identity) = setup();
        let stuck = lead(flights.join(&key, identity));
        let first = wait(flights.join(&key, identity));
        let second = wait(flights.join(&key, identity));
        let fresh = lead(flights.replace(&key, identity, Some(&first)));
        wait(flights.replace(&key, identity, Some(&second)));
        assert!(stuck.is_fenced());
        assert!(!fresh.is_fenced());
        drop(stuck);
        wait(flights.join(&key, identity));
        lead(flights.replace(&key, identity, None));
        assert!(fresh.is_fenced());
    }
}
