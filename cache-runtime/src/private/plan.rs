//! [`Plan`]: what one attribute says about one call.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::address::Addressed;
use super::drive::{Anywhere, Decision, Detached, Drive, Here, Outlined, Steps};
use super::{OptionValue, Returns, Sharing};
use crate::codec::{Codec, MessagePack};
use crate::entry::{Core, Entry};
use crate::flow::{Call, Flow, Step};
use crate::observe::{Advice, Bypass};
use crate::policy::Policy;
use crate::rules::{Rules, decode_any};
use crate::single_flight::SharedError;

/// What one attribute says about one call, built in the order the macro writes it.
#[must_use]
pub struct Plan<S: Returns, C = MessagePack> {
    at: Addressed,
    policy: Option<Policy>,
    rules: Rules<S::Value>,
    sharing: Sharing<S::Out>,
    codec: PhantomData<fn() -> C>,
}

impl<S: Returns> Plan<S> {
    pub(super) fn new(at: Addressed, rules: Rules<S::Value>) -> Self {
        Self {
            at,
            policy: None,
            rules,
            sharing: Sharing::NONE,
            codec: PhantomData,
        }
    }
}

impl<S: Returns, C> Plan<S, C> {
    /// Caches `None`, this long.
    pub fn none_ttl(mut self, ttl: Duration) -> Self
    where
        S: OptionValue,
    {
        self.rules.none_ttl = Some(ttl);
        self
    }

    /// Stores a value only if this is true of it.
    pub fn cache_if(mut self, cache_if: fn(&S::Value) -> bool) -> Self {
        self.rules.cache_if = Some(cache_if);
        self
    }

    /// Another codec.
    pub fn codec<D: Codec>(self) -> Plan<S, D> {
        Plan {
            at: self.at,
            policy: self.policy,
            rules: self.rules,
            sharing: self.sharing,
            codec: PhantomData,
        }
    }

    /// After the time to live, serves the old value this long while a load in the background
    /// replaces it.
    pub fn stale_while_revalidate(mut self, span: Duration) -> Self {
        self.rules.stale.while_revalidate = span;
        self
    }

    /// After the time to live, serves the old value this long if the load fails.
    pub fn stale_if_error(mut self, span: Duration) -> Self {
        self.rules.stale.if_error = span;
        self
    }

    /// Another policy than the cache's.
    pub fn policy(mut self, policy: &Policy) -> Self {
        self.policy = Some(*policy);
        self
    }

    /// How the waiters of a failed load get its error.
    pub fn share_errors(mut self, sharing: Sharing<S::Out>) -> Self {
        self.sharing = sharing;
        self
    }
}

impl<S: Returns, C: Codec> Plan<S, C> {
    /// The value: from the store, from another caller's load, or from the origin.
    #[inline]
    pub fn get_or_load<F: Future<Output = S::Out>>(
        self,
        origin: F,
    ) -> impl Future<Output = S::Out> {
        let (typed, steps) = (self.typed(), Self::steps());
        let flow = Flow::boxed(self.call(false));
        Drive::new(typed, flow, steps, Here { body: origin })
    }

    /// The same for an origin that owns its arguments, and so can be run in the background.
    pub fn get_or_refresh<L, F>(self, load: L) -> impl Future<Output = S::Out>
    where
        L: Fn() -> F,
        F: Future<Output = S::Out> + Send + 'static,
        S: 'static,
        C: 'static,
    {
        let steps = Steps {
            detach: Typed::<S, C>::detach,
            ..Self::steps()
        };
        let typed = self.typed();
        let flow = Flow::boxed(self.call(true));
        Drive::new(typed, flow, steps, Anywhere { load, body: None })
    }

    #[expect(clippy::type_complexity, reason = "the futures have no names")]
    fn steps() -> Steps<
        Typed<S, C>,
        S::Out,
        impl Future<Output = Decision<Typed<S, C>, S::Out>> + use<S, C>,
        impl Future<Output = S::Out> + use<S, C>,
    > {
        Steps {
            decide: Typed::decide,
            finish: Typed::finish,
            detach: |_, _, _| {},
        }
    }

    fn typed(&self) -> Typed<S, C> {
        Typed {
            rules: self.rules,
            sharing: self.sharing,
            codec: PhantomData,
        }
    }

    /// As one of the calls of a batch.
    pub(super) fn into_call(self) -> (Typed<S, C>, Call) {
        (self.typed(), self.call(false))
    }

    /// The entry of this key.
    pub fn entry(mut self) -> Entry<S::Out> {
        let rules = self.rules;
        let at = self.at.spot::<S::Value, C>();
        let engine = self.at.engine;
        Entry::new(Core {
            policy: self.policy.unwrap_or(engine.policy),
            stale: rules.stale,
            hold: rules.hold(),
            engine,
            at,
            ttl: None,
            judge: rules.into_judge::<C>(),
            decode: decode_any::<S::Value, C>,
        })
    }

    fn call(mut self, detachable: bool) -> Call {
        let place = self.at.place::<S::Value, C>();
        let Addressed {
            engine,
            site,
            scope,
            bypass,
            nearby,
            ..
        } = self.at;
        let stats = engine.stats.of(site, scope);
        let at = if engine.misconfigured {
            Err(Bypass::Misconfigured)
        } else if bypass {
            Err(Bypass::Asked)
        } else {
            place.map_err(|error| {
                stats.advise(Advice::Unsupported, || error.to_string());
                Bypass::Unsupported
            })
        };
        Call {
            policy: self.policy.unwrap_or(engine.policy),
            stale: self.rules.stale,
            hold: self.rules.hold(),
            detachable,
            nearby,
            engine,
            site: site.id(),
            at,
        }
    }
}

/// What only the types know of a call.
pub(super) struct Typed<S: Returns, C> {
    rules: Rules<S::Value>,
    sharing: Sharing<S::Out>,
    codec: PhantomData<fn() -> C>,
}

impl<S: Returns, C> Clone for Typed<S, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Returns, C> Copy for Typed<S, C> {}

impl<S: Returns, C: Codec> Typed<S, C> {
    /// Goes on until the origin is needed.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` keeps room for each argument twice"
    )]
    pub(super) fn decide(
        self,
        mut flow: Box<Flow>,
    ) -> impl Future<Output = Decision<Self, S::Out>> + use<S, C> {
        async move {
            loop {
                match Outlined::new(flow.next()).await {
                    Step::Decode => match C::decode(flow.payload()) {
                        Ok(value) => {
                            if let Some(rule) = &self.rules.near {
                                flow.keep_nearby(rule, &value);
                            }
                            flow.served();
                            return Decision::Done(S::join(value));
                        }
                        Err(_) => flow.undecodable(),
                    },
                    Step::Fail(error) => match (self.sharing.unshare)(&error) {
                        Some(out) => {
                            flow.shared_failure();
                            return Decision::Done(out);
                        }
                        None => flow.undecodable(),
                    },
                    Step::Load(run) => return Decision::Load(self, flow, run),
                    Step::Detach(detached) => return Decision::Detach(self, flow, detached),
                    Step::Bypass(reason) => return Decision::Bypass(flow, reason),
                }
            }
        }
    }

    /// What comes of a load, for its caller.
    #[expect(clippy::manual_async_fn, reason = "as above")]
    fn finish(self, flow: Box<Flow>, out: S::Out) -> impl Future<Output = S::Out> + use<S, C> {
        async move {
            match S::split(out) {
                Ok(value) => S::join(self.keep(flow, value).await),
                Err(out) => {
                    let error = self.share(&out);
                    self.salvage(flow, error).await.map_or(out, S::join)
                }
            }
        }
    }

    /// Stores and shares what was loaded, and gives it back.
    #[expect(clippy::manual_async_fn, reason = "as above")]
    pub(super) fn keep(
        self,
        mut flow: Box<Flow>,
        value: S::Value,
    ) -> impl Future<Output = S::Value> + use<S, C> {
        async move {
            let verdict = self.rules.judge::<C>(&value);
            flow.loaded(verdict).await;
            value
        }
    }

    /// The error for those who wait for this load, if they can have it.
    pub(super) fn share(&self, out: &S::Out) -> Option<SharedError> {
        (self.sharing.share)(out)
    }

    /// Shares the failure of a load. The old value, if there is one that may be served instead.
    #[expect(clippy::manual_async_fn, reason = "as above")]
    pub(super) fn salvage(
        self,
        mut flow: Box<Flow>,
        error: Option<SharedError>,
    ) -> impl Future<Output = Option<S::Value>> + use<S, C> {
        async move {
            let old = flow.failed(error).await;
            let value = old.and_then(|old| C::decode(&old).ok());
            match &value {
                Some(_) => flow.served(),
                None => flow.gave_nothing(),
            }
            value
        }
    }

    /// Lets the origin be run in the background.
    fn detach(self, flow: Box<Flow>, origin: Detached<S::Out>)
    where
        S: 'static,
        C: 'static,
    {
        let engine = flow.engine().clone();
        engine.detach(self.refresh(flow, origin));
    }

    async fn refresh(self, mut flow: Box<Flow>, mut origin: Detached<S::Out>) {
        let Some(run) = flow.begin().await else {
            return;
        };
        // Judged in one go: neither the value nor the error has to be `Send`.
        let judge = |out| match S::split(out) {
            Ok(value) => Ok(self.rules.judge::<C>(&value)),
            Err(out) => Err(self.share(&out)),
        };
        match judge(run.of(origin.as_mut()).await) {
            Ok(verdict) => flow.loaded(verdict).await,
            Err(error) => {
                flow.failed(error).await;
                flow.gave_nothing();
            }
        }
    }
}

impl<S: Returns, C> fmt::Debug for Plan<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
