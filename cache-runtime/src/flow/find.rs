//! What the store holds, and what it is good for.

use super::get_or_load::{Call, Flow, HandedOut, Stage, Step};
use super::leased::{Asked, LONGEST, Leased};
use super::sight::Sight;
use crate::boxed::Boxed;
use crate::envelope::Rejected;
use crate::error::StoreErrorKind;
use crate::lease::{Acquire, Acquired, LeaseKind, Token};
use crate::observe::{Advice, Event, Miss, NotStored, Outcome};
use crate::place::{Mark, Place};
use crate::policy::SingleFlight;
use crate::single_flight::{Lead, Since};
use crate::store::Found;
use crate::sync::Moment;

impl Flow {
    pub(super) async fn look_up(&mut self) -> Option<Step> {
        let place = self.call.place()?;
        // Whatever came of an earlier look.
        (self.unanswered, self.hidden) = (false, false);
        // Before the look at what hides it: an invalidation is noted first and moves the marks then.
        self.filling = self.call.filling();
        if self.call.engine.hides(place) {
            self.filling = None;
            self.call.engine.confirm_in_background();
            return self.missed(Miss::Unconfirmed);
        }
        // It is asked later than that, and whoever holds a lead does not come here.
        let since = Since::Stored(self.called);
        let store = &self.call.engine.store;
        let found = match self.budget.begin() {
            Ok(time) => store.look_up_within(&place.key, &place.tags, &time).await,
            Err(error) => Err(error),
        };
        match found {
            Err(error) => self.missed(Miss::Store(error.kind())),
            Ok(found) => self.look_at(found, since),
        }
    }

    /// What the store holds is good for.
    pub(super) fn look_at(&mut self, found: Found, since: Since) -> Option<Step> {
        let Call { engine, .. } = &self.call;
        let place = self.call.place()?;
        let now = found.now;
        let sight = engine.see(&mut self.seen, found, place);
        let found = |payload, outcome| HandedOut {
            payload,
            outcome,
            since,
        };
        match sight {
            Ok(None) => self.missed(Miss::Absent),
            Err(rejected) => self.missed(Miss::Rejected(rejected)),
            Ok(Some(Sight::Fresh { payload, left })) => {
                self.found_nearby(left);
                let early = self.call.detachable
                    && self.seen.is_due_early(left, self.call.policy.early_refresh);
                self.serve(found(payload, Outcome::Hit), early)
            }
            Ok(Some(Sight::Stale { payload, by })) if by < self.call.stale.while_revalidate => {
                self.serve(found(payload, Outcome::Stale), true)
            }
            Ok(Some(Sight::Stale { payload, by })) if by < self.call.stale.if_error => {
                if self.seen.is_throttled(now) {
                    return self.serve(found(payload, Outcome::StaleIfError), false);
                }
                self.old = Some(payload);
                self.missed(Miss::Expired)
            }
            Ok(Some(Sight::Stale { .. } | Sight::Dead)) => self.missed(Miss::Expired),
            Ok(Some(Sight::TagInvalidated)) => self.missed(Miss::TagInvalidated),
        }
    }

    /// Serves what was found, and refreshes it in the background if nobody else does.
    pub(super) fn serve(&mut self, found: HandedOut, refresh: bool) -> Option<Step> {
        match refresh.then(|| self.background_lead()).flatten() {
            Some(lead) => {
                self.stage = Stage::Serve(found);
                Some(Step::Detach(self.detach(lead)))
            }
            None => Some(self.hand_out(found)),
        }
    }

    /// The lead of a load in the background, if there can be one and nobody else loads.
    fn background_lead(&self) -> Option<Lead> {
        let Call { engine, .. } = &self.call;
        let place = self.call.place()?;
        let due =
            self.call.detachable && self.lead.is_none() && !self.seen.is_busy(engine.store.now());
        due.then(|| engine.flights.background(place)).flatten()
    }

    pub(super) fn missed(&mut self, miss: Miss) -> Option<Step> {
        // Before anybody is waited for, or the origin is run.
        self.budget.settle();
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
                self.stats().advise(Advice::OtherType, || {
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
    pub(super) fn acquire<'a>(
        &'a mut self,
        place: &'a Place,
        force: bool,
    ) -> Boxed<'a, Option<Step>> {
        Box::pin(async move {
            let lease = self.call.policy.lease;
            let longest = lease.saturating_mul(LONGEST);
            let request = Acquire {
                token: Token::random(),
                identity: place.identity,
                // Who loads for the embedded store cannot die without giving up its lease, so there is
                // nothing to renew, and no timer is needed.
                lease: if self.call.engine.store.is_shared() {
                    lease
                } else {
                    longest
                },
                // A load may take longer than its value lives.
                hold: self.call.hold.max(longest),
                rejected: self.seen.stamp(),
                force,
                has_old: self.old.is_some() || self.detached,
            };
            let _step = self.step().await;
            let since = Since::Stored(Moment::next());
            self.asked = true;
            self.stage = Stage::Load;
            let turn = self.turn.take();
            let (engine, company) = (&self.call.engine, self.company.as_ref());
            match Leased::acquire(engine, &mut self.budget, place, &request, company).await {
                Ok(Asked::Granted(leased)) => {
                    self.record(Event::Leased);
                    self.leased = Some(leased);
                    // Without a lease nothing will be stored.
                    self.turn = turn;
                    None
                }
                Ok(Asked::Other(Acquired::Value(envelope), generations)) => {
                    // If it is of no use, it is rejected and leased the next time.
                    self.stage = Stage::Acquire { force: false };
                    let found = Found {
                        envelope: Some(envelope),
                        generations: Some(generations),
                        now: self.call.engine.store.now(),
                    };
                    self.look_at(found, since)
                }
                Ok(Asked::Other(Acquired::Busy { kind, token, .. }, generations)) => {
                    self.met = Some(Mark::new(token, &generations));
                    if kind == LeaseKind::Ended && self.old.is_some() {
                        return self.left_alone(true);
                    }
                    let fleet = self.call.policy.single_flight == SingleFlight::Fleet;
                    if fleet && kind == LeaseKind::Load && !self.again {
                        self.stage = Stage::Watch(token);
                    }
                    None
                }
                Ok(Asked::Other(Acquired::Granted(_), _)) => None,
                Err(error) => {
                    self.unleased = NotStored::Store(error.kind());
                    self.advise(&error);
                    None
                }
            }
        })
    }

    /// What was handed out last is of no use to this caller.
    pub(crate) fn undecodable(&mut self) {
        if self.handed_out.take().is_some() {
            self.budget.settle();
            self.record(Event::Missed(Miss::Undecodable));
            if self.lead.is_some() && self.leased.is_none() {
                self.stage = Stage::Acquire { force: false };
            }
        }
    }
}
