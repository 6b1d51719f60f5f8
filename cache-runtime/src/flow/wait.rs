//! Waiting for somebody else's load: of this process, or of another.

use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};

use super::Company;
use super::get_or_load::{Flow, HandedOut, Stage, Step};
use super::sight::Sight;
use crate::boxed::Boxed;
use crate::error::StoreErrorKind;
use crate::lease::Token;
use crate::observe::{Event, NotStored, Outcome};
use crate::place::Place;
use crate::resilience::backoff::{Backoff, random};
use crate::single_flight::{Landing, Since, Waiter};
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

/// How long the look may take with which a wait ends.
const LAST_LOOK: Duration = Duration::from_millis(20);

impl Flow {
    /// Waits for a landing. However many leaders go away one after another, the waits for them
    /// together are no longer than `wait`.
    pub(super) fn wait<'a>(
        &'a mut self,
        flight: &'a Waiter,
    ) -> Boxed<'a, Result<Option<Landing>, Elapsed>> {
        let waiting = self.company.as_ref().map(Company::wait);
        Box::pin(async move {
            let _waiting = waiting;
            if Handle::try_current().is_err() {
                // Without timers nobody could stop waiting.
                return Ok(Some(Landing::Nothing));
            }
            let wait = self.soft_timeout().map_or(self.call.policy.wait, |soft| {
                soft.min(self.call.policy.wait)
            });
            match self.patience.or_else(|| Instant::now().checked_add(wait)) {
                Some(patience) => {
                    self.patience = Some(patience);
                    timeout_at(patience, self.landed(flight)).await
                }
                // Longer than the clock counts.
                None => Ok(self.landed(flight).await),
            }
        })
    }

    /// The landing of this flight, or a value of the one given up before, if that comes first. None
    /// is a value that this caller must not have.
    async fn landed(&self, flight: &Waiter) -> Option<Landing> {
        let caller = self.caller();
        let shareable = |flight: &Waiter, landing: Landing| match &landing {
            Landing::Value { since, .. } => flight.may_share(*since, &caller).then_some(landing),
            Landing::Failed(_) | Landing::Nothing | Landing::Abandoned => Some(landing),
        };
        let Some(given_up) = &self.given_up else {
            return shareable(flight, flight.landed().await);
        };
        let (mut earlier, mut later) = (pin!(given_up.landed()), pin!(flight.landed()));
        let mut over = false;
        poll_fn(|context| {
            if !over && let Poll::Ready(landing) = earlier.as_mut().poll(context) {
                over = true;
                let landing = shareable(given_up, landing);
                if matches!(landing, Some(Landing::Value { .. })) {
                    return Poll::Ready(landing);
                }
            }
            let landing = later.as_mut().poll(context);
            landing.map(|landing| shareable(flight, landing))
        })
        .await
    }

    /// Waits until the lease of another process has come to something. Leaves the stage at what
    /// comes next.
    pub(super) fn watch<'a>(
        &'a mut self,
        place: &'a Place,
        mut token: Token,
    ) -> Boxed<'a, Option<Step>> {
        let waiting = self.company.as_ref().map(Company::wait);
        Box::pin(async move {
            let _waiting = waiting;
            if Handle::try_current().is_err() {
                // Without timers nobody could stop waiting.
                self.again = true;
                self.stage = Stage::Load;
                return None;
            }
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
            let rest =
                || patience.map(|patience| patience.saturating_duration_since(Instant::now()));
            let mut switched = false;
            for attempt in 0.. {
                let since = Since::Stored(Moment::next());
                let limit = rest().map_or(policy.timeout, |rest| {
                    rest.max(LAST_LOOK).min(policy.timeout)
                });
                let read = {
                    let look_up = self
                        .call
                        .engine
                        .store
                        .look_up_watched(&place.key, &place.tags);
                    timeout(limit, look_up).await
                };
                let (found, mut change) = match read {
                    Ok(Ok(read)) => read,
                    Ok(Err(error)) => return self.lost_sight(error.kind()),
                    Err(_) if limit < policy.timeout => break,
                    Err(_) => return self.lost_sight(StoreErrorKind::Timeout),
                };
                let now = found.now;
                let sight = self.call.engine.see(&mut self.seen, found, place);
                let seen = self.seen;
                let stale = self.call.stale.while_revalidate;
                match sight {
                    // Deleted. Whoever asks first loads.
                    Ok(None) => return None,
                    Ok(Some(Sight::Fresh { payload, .. })) => {
                        return Some(self.hand_out(HandedOut {
                            payload,
                            outcome: Outcome::Joined,
                            since,
                        }));
                    }
                    Ok(Some(Sight::Stale { payload, by })) if by < stale => {
                        return Some(self.hand_out(HandedOut {
                            payload,
                            outcome: Outcome::Stale,
                            since,
                        }));
                    }
                    _ => {}
                }
                let failing = seen.is_throttled(now);
                if seen.has_ended(token) || failing && self.old.is_some() {
                    return self.left_alone(failing);
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
                let rest = rest();
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
        })
    }

    /// The store does not answer any more: there is nothing to wait for.
    fn lost_sight(&mut self, kind: StoreErrorKind) -> Option<Step> {
        self.record(Event::GaveUp);
        self.unleased = NotStored::Store(kind);
        self.stage = Stage::Load;
        None
    }

    /// The load waited for has ended without a value: everyone loads at once, never one after
    /// another. But who has an old value, while loads fail, is content with that.
    pub(super) fn left_alone(&mut self, failing: bool) -> Option<Step> {
        // Not as the leader of this flight, whose waiters have been told.
        self.stage = Stage::Unleased;
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

    /// How long to wait for another caller's load with an old value at hand.
    fn soft_timeout(&self) -> Option<Duration> {
        self.old.as_ref().and(self.call.policy.soft_timeout)
    }

    /// The old value, for a caller that has waited for the new one long enough.
    pub(super) fn impatient(&mut self) -> Option<HandedOut> {
        self.call.policy.soft_timeout?;
        let old = self.old.take()?;
        Some(HandedOut {
            outcome: Outcome::Stale,
            ..self.salvaged(old)
        })
    }

    pub(super) fn salvaged(&self, payload: Bytes) -> HandedOut {
        HandedOut {
            payload,
            outcome: Outcome::StaleIfError,
            since: Since::Stored(self.called),
        }
    }
}
