//! The load, and what comes of it: a value that is stored and shared, an error, an old value.

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::get_or_load::{Flow, HandedOut};
use super::leased::Leased;
use crate::boxed::Boxed;
use crate::call::{Loading, Run};
use crate::error::{StoreError, StoreErrorKind};
use crate::key::Key;
use crate::lease::Release;
use crate::observe::{Advice, Bypass, Event, NotStored, Outcome};
use crate::rules::Verdict;
use crate::single_flight::{Landing, Lead, SharedError};

impl Flow {
    pub(super) fn start(&mut self, key: Key, lead: Lead) -> Run {
        self.record(Event::Load);
        // Without a lease, who still sees what was in the way knows as well that nothing was
        // invalidated in between.
        let mark = self.leased.as_ref().map(Leased::mark).or(self.met);
        self.started = Some((Instant::now(), lead.start(mark)));
        self.lead = Some(lead);
        let policy = &self.call.policy;
        let upkeep = self
            .leased
            .as_ref()
            .and_then(|leased| leased.upkeep(policy.lease, policy.timeout));
        Loading::new(self.call.engine.id(), key).run(upkeep)
    }

    /// Whether the load goes on in the background if it takes too long. Once: where one has come to
    /// nothing, so would the next.
    pub(super) fn may_detach(&self) -> bool {
        let is_wanted = self.old.is_some() && self.call.policy.soft_timeout.is_some();
        is_wanted && self.call.detachable && !self.attached && Handle::try_current().is_ok()
    }

    /// The load as a flow of its own.
    pub(super) fn detach(&mut self, lead: Lead) -> Box<Self> {
        self.record(Event::Detached);
        self.attached = true;
        let mut flow = Self::boxed(self.call.clone());
        flow.control = None;
        flow.lead = Some(lead);
        flow.leased = self.leased.take();
        flow.met = self.met;
        flow.asked = self.asked;
        flow.unleased = self.unleased;
        flow.seen = self.seen;
        flow.again = true;
        flow.detached = true;
        flow
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

    /// The origin has returned a value.
    ///
    /// The waiters get it at once, the store within what is left of the budget.
    pub(crate) fn loaded<'a>(&'a mut self, verdict: Verdict) -> Boxed<'a, ()> {
        Box::pin(async move {
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
                        let _step = self.step().await;
                        leased.end(&mut self.budget, Release::Emptied).await;
                    }
                    Outcome::NotStored(reason)
                }
            };
            self.end(outcome);
        })
    }

    pub(super) async fn fill(&mut self, lead: &Lead, verdict: Verdict) -> Result<(), NotStored> {
        let encoded = match verdict {
            Verdict::Store(encoded) => encoded,
            Verdict::Leave(reason) => return Err(reason),
            Verdict::Refuse(error) => {
                let advice = || format!("a value is not stored: {error}");
                self.stats().advise(Advice::Refused, advice);
                return Err(NotStored::Refused);
            }
        };
        let (Ok(place), Some((started, since))) = (self.call.at.clone(), self.started) else {
            return Err(NotStored::Refused);
        };
        let (engine, place) = (self.call.engine.clone(), &place);
        let encoded = encoded.jittered(self.call.policy.jitter);
        // Zero would say that the value does not come from the origin.
        let cost = started.elapsed().max(Duration::from_millis(1));
        let held = self.leased.as_ref().map(Leased::held);
        let generations = held.map_or(&[][..], |held| &held.generations);
        let sealed = engine.seal(encoded, place, generations, cost);
        let payload = sealed.payload;
        lead.land(Landing::Value { payload, since });
        if sealed.envelope.len() > engine.value_limit {
            let size = sealed.envelope.len();
            let limit = engine.value_limit;
            self.stats().advise(Advice::TooLarge, || {
                format!(
                    "a value of {size} bytes is over the limit of {limit} and is not stored: \
                     cache a smaller part of it, or raise `Cache::builder().value_limit(…)`"
                )
            });
            return Err(NotStored::TooLarge);
        }
        if engine.hides(place) {
            return Err(NotStored::Unconfirmed);
        }
        let Some(leased) = self.leased.take() else {
            return Err(self.unleased);
        };
        let _step = self.step().await;
        let kept = engine.keep_generations(&mut self.budget, place, leased.held(), sealed.ttl);
        if let Err(error) = kept.await {
            self.advise(&error);
            return Err(NotStored::Store(error.kind()));
        }
        match leased
            .fill(&mut self.budget, sealed.envelope, sealed.ttl)
            .await
        {
            Ok(true) => {
                // The server tells as well, a little later.
                engine.changed_nearby(&place.key);
                Ok(())
            }
            Ok(false) => Err(NotStored::Fenced),
            Err(error) => {
                self.advise(&error);
                Err(NotStored::Store(error.kind()))
            }
        }
    }

    /// The origin has failed; `error` if it can be shared. Hands out the old value, if there is one
    /// that may be served instead.
    pub(crate) fn failed<'a>(&'a mut self, error: Option<SharedError>) -> Boxed<'a, Option<Bytes>> {
        Box::pin(async move {
            if let Some(lead) = self.lead.take() {
                lead.land(Landing::Failed(error));
            }
            if let Some(leased) = self.leased.take() {
                let _step = self.step().await;
                let retry = Release::Ended(self.call.policy.retry);
                leased.end(&mut self.budget, retry).await;
            }
            if self.detached || self.old.is_some() {
                // Otherwise the callers see it.
                self.stats().advise(Advice::Failing, || {
                    "a load has failed, and callers are served old values meanwhile: \
                 `stats()` counts the loads that fail"
                        .to_owned()
                });
            }
            let old = self.old.take()?;
            self.record(Event::Failed);
            self.handed_out = Some(self.salvaged(old.clone()));
            Some(old)
        })
    }

    /// There is no old value that would do: the call ends with the origin's error.
    pub(crate) fn gave_nothing(&mut self) {
        self.end(Outcome::NotStored(NotStored::Failed));
    }

    /// The origin has returned; the cache had no part in it.
    pub(crate) fn bypassed(&mut self, reason: Bypass) {
        self.end(Outcome::Bypassed(reason));
    }

    pub(super) fn advise(&self, error: &StoreError) {
        // Outages are reported where they begin and end.
        let outage = [StoreErrorKind::Unavailable, StoreErrorKind::Timeout];
        if !outage.contains(&error.kind()) {
            let advice = || format!("the store does not take values: {error}");
            self.stats().advise(Advice::Store(error.kind()), advice);
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        if self.detached {
            if outcome == Outcome::NotStored(NotStored::Failed) {
                self.record(Event::Failed);
            }
            return;
        }
        self.record(Event::Ended(outcome));
        tracing::debug!(
            target: "cache",
            function = self.stats().name(),
            key = self.call.at.as_ref().map_or("", |place| place.key.as_str()),
            outcome = %outcome,
        );
    }

    pub(super) fn record(&self, event: Event) {
        self.stats().count(event);
        if let Some(control) = &self.control {
            control.record(self.call.at.as_ref().ok().map(|place| &place.key), event);
        }
    }
}
