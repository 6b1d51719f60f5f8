//! [`Plan`]: what one attribute says about one call.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::{OptionValue, Returns, Sharing};
use crate::cache::Cache;
use crate::call::Run;
use crate::codec::{Codec, MessagePack, type_identity};
use crate::entry::{Core, Entry};
use crate::error::CacheError;
use crate::flow::{Call, Flow, Step};
use crate::key::{Key, KeyBuilder, KeyError};
use crate::observe::{Advice, Bypass};
use crate::place::Place;
use crate::policy::Policy;
use crate::rules::{Rules, Ttl, decode_any};
use crate::site::Site;

/// What one attribute says about one call, built in the order the macro writes it.
#[must_use]
pub struct Plan<S: Returns, C = MessagePack> {
    site: &'static Site,
    scope: &'static str,
    cache: Option<Cache>,
    key: Option<Result<Key, KeyError>>,
    tags: Vec<Result<Key, KeyError>>,
    policy: Option<Policy>,
    bypass: bool,
    rules: Rules<S::Value>,
    sharing: Sharing<S::Out>,
    codec: PhantomData<fn() -> C>,
}

impl<S: Returns> Plan<S> {
    pub(super) fn new(site: &'static Site, scope: &'static str) -> Self {
        Self {
            site,
            scope,
            cache: None,
            key: None,
            tags: Vec::new(),
            policy: None,
            bypass: false,
            rules: Rules {
                is_none: S::is_none,
                ..Rules::fixed(Duration::ZERO)
            },
            sharing: Sharing::NONE,
            codec: PhantomData,
        }
    }
}

impl<S: Returns, C> Plan<S, C> {
    /// Which cache; before [`key`](Self::key), which needs its namespace.
    pub fn cache(mut self, cache: &Cache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Renders the key.
    pub fn key(mut self, render: impl FnOnce(KeyPlan) -> KeyBuilder) -> Self {
        let cache = self.cache.get_or_insert_with(Cache::current);
        let plan = KeyPlan {
            site: self.site,
            scope: self.scope,
            key: KeyBuilder::new(&cache.engine().namespace),
        };
        self.key = Some(render(plan).finish());
        self
    }

    /// Renders a label that entries share; after [`cache`](Self::cache), like the key.
    pub fn tag(mut self, render: impl FnOnce(KeyBuilder) -> KeyBuilder) -> Self {
        let cache = self.cache.get_or_insert_with(Cache::current);
        self.tags.push(cache.tag_key(render));
        self
    }

    /// How long a value is fresh.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.rules.ttl = Ttl::Fixed(ttl);
        self
    }

    /// How long this value is fresh.
    pub fn ttl_with(mut self, ttl: fn(&S::Value) -> Duration) -> Self {
        self.rules.ttl = Ttl::Of(ttl);
        self
    }

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
            site: self.site,
            scope: self.scope,
            cache: self.cache,
            key: self.key,
            tags: self.tags,
            policy: self.policy,
            bypass: self.bypass,
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

    /// Whether this call skips the cache.
    pub fn bypass(mut self, bypass: bool) -> Self {
        self.bypass = bypass;
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
    ///
    /// The thin typed loop around the [`Flow`], which knows what comes when.
    pub async fn get_or_load<F: Future<Output = S::Out>>(self, origin: F) -> S::Out {
        let (rules, sharing) = (self.rules, self.sharing);
        let mut flow = Flow::new(self.call(false));
        loop {
            match Self::decide(&mut flow, sharing).await {
                Decision::Done(out) => return out,
                Decision::Load(run) => {
                    let out = run.of(origin).await;
                    return Self::finish(&mut flow, rules, sharing, out).await;
                }
                Decision::Bypass(reason) => {
                    let out = origin.await;
                    flow.bypassed(reason);
                    return out;
                }
                // Only asked for below.
                Decision::Detach(_) => {}
            }
        }
    }

    /// The same for an origin that owns its arguments, and so can be run in the background.
    pub async fn get_or_refresh<L, F>(self, load: L) -> S::Out
    where
        L: Fn() -> F,
        F: Future<Output = S::Out> + Send + 'static,
        S: 'static,
        C: 'static,
    {
        let (rules, sharing) = (self.rules, self.sharing);
        let mut flow = Flow::new(self.call(true));
        loop {
            match Self::decide(&mut flow, sharing).await {
                Decision::Done(out) => return out,
                Decision::Load(run) => {
                    let out = run.of(load()).await;
                    return Self::finish(&mut flow, rules, sharing, out).await;
                }
                Decision::Bypass(reason) => {
                    let out = load().await;
                    flow.bypassed(reason);
                    return out;
                }
                Decision::Detach(flow) => {
                    let engine = flow.engine().clone();
                    engine.detach(Self::refresh(flow, rules, sharing, load()));
                }
            }
        }
    }

    /// Goes on until the origin is needed.
    async fn decide(flow: &mut Flow, sharing: Sharing<S::Out>) -> Decision<S::Out> {
        loop {
            match flow.next().await {
                Step::Decode => match C::decode(flow.payload()) {
                    Ok(value) => {
                        flow.served();
                        return Decision::Done(S::join(value));
                    }
                    Err(_) => flow.undecodable(),
                },
                Step::Fail(error) => match (sharing.unshare)(&error) {
                    Some(out) => {
                        flow.shared_failure();
                        return Decision::Done(out);
                    }
                    None => flow.undecodable(),
                },
                Step::Load(run) => return Decision::Load(run),
                Step::Detach(flow) => return Decision::Detach(flow),
                Step::Bypass(reason) => return Decision::Bypass(reason),
            }
        }
    }

    /// What comes of a load, for its caller.
    async fn finish(
        flow: &mut Flow,
        rules: Rules<S::Value>,
        sharing: Sharing<S::Out>,
        out: S::Out,
    ) -> S::Out {
        match S::split(out) {
            Ok(value) => {
                let verdict = rules.judge::<C>(&value);
                Box::pin(flow.loaded(verdict)).await;
                S::join(value)
            }
            Err(out) => {
                let old = Box::pin(flow.failed((sharing.share)(&out))).await;
                match old.and_then(|old| C::decode(&old).ok()) {
                    Some(value) => {
                        flow.served();
                        S::join(value)
                    }
                    None => {
                        flow.gave_nothing();
                        out
                    }
                }
            }
        }
    }

    /// A load in the background.
    async fn refresh(
        mut flow: Box<Flow>,
        rules: Rules<S::Value>,
        sharing: Sharing<S::Out>,
        origin: impl Future<Output = S::Out> + Send,
    ) {
        let Some(run) = flow.begin().await else {
            return;
        };
        // Judged in one go: neither the value nor the error has to be `Send`.
        let judge = |out| match S::split(out) {
            Ok(value) => Ok(rules.judge::<C>(&value)),
            Err(out) => Err((sharing.share)(&out)),
        };
        match judge(run.of(origin).await) {
            Ok(verdict) => flow.loaded(verdict).await,
            Err(error) => {
                flow.failed(error).await;
                flow.gave_nothing();
            }
        }
    }

    /// The entry of this key.
    pub fn entry(self) -> Entry<S::Out> {
        let rules = self.rules;
        let (cache, at) = self.place();
        Entry::new(Core {
            policy: self.policy.unwrap_or(cache.engine().policy),
            stale: rules.stale,
            hold: rules.hold(),
            engine: cache.engine().clone(),
            at,
            ttl: None,
            judge: rules.into_judge::<C>(),
            decode: decode_any::<S::Value, C>,
        })
    }

    fn call(&self, detachable: bool) -> Call {
        let (cache, at) = self.place();
        let engine = cache.engine().clone();
        let stats = engine.stats.of(self.site, self.scope);
        let at = if engine.misconfigured {
            Err(Bypass::Misconfigured)
        } else if self.bypass {
            Err(Bypass::Asked)
        } else {
            at.map_err(|error| {
                stats.advise(Advice::Unsupported, || error.to_string());
                Bypass::Unsupported
            })
        };
        Call {
            policy: self.policy.unwrap_or(engine.policy),
            stale: self.rules.stale,
            hold: self.rules.hold(),
            detachable,
            engine,
            stats,
            at,
        }
    }

    fn place(&self) -> (Cache, Result<Place, CacheError>) {
        let cache = self.cache.clone().unwrap_or_else(Cache::current);
        let key = self.key.clone().unwrap_or_else(|| {
            let key = KeyBuilder::new(&cache.engine().namespace);
            key.text(&self.site.path(self.scope)).finish()
        });
        let tags = match &self.tags[..] {
            [] => Ok(Arc::default()),
            tags => tags.iter().cloned().collect(),
        };
        let at = key.and_then(|key| Ok((key, tags?)));
        let at = at.map_err(CacheError::from).and_then(|(key, tags)| {
            Ok(Place {
                key,
                identity: type_identity::<S::Value, C>()?,
                tags,
            })
        });
        (cache, at)
    }
}

impl<S: Returns, C> fmt::Debug for Plan<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What the typed caller has to do.
enum Decision<R> {
    /// Return this.
    Done(R),
    Load(Run),
    Detach(Box<Flow>),
    Bypass(Bypass),
}

/// A key to be rendered: from a template, or from the function's path and arguments.
#[derive(Debug)]
#[must_use]
pub struct KeyPlan {
    site: &'static Site,
    scope: &'static str,
    key: KeyBuilder,
}

impl KeyPlan {
    /// A template that starts with this literal.
    pub fn text(self, literal: &str) -> KeyBuilder {
        self.key.text(literal)
    }

    /// A template that starts with this placeholder.
    pub fn field(self, value: fmt::Arguments<'_>) -> KeyBuilder {
        self.key.field(value)
    }

    /// The function's path; `generics` are its own type parameters by name.
    pub fn path(self, generics: &str) -> KeyBuilder {
        let path = self.site.path(self.scope);
        self.key.path(&path).path(generics)
    }
}
