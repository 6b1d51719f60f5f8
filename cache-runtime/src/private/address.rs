//! [`Address`]: where the value of one call is, which is all that a copy in the process is found by.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::{Plan, Returns};
use crate::cache::{Cache, Held};
use crate::call::{Control, Mode};
use crate::codec::Codec;
use crate::flow::{Engine, Nearby};
use crate::key::{Draft, Field, Key, KeyBuilder, KeyError};
use crate::near::{NearRule, NearValue};
use crate::rules::{CacheValue, Rules, Ttl};
use crate::site::Site;
use crate::spot::Spot;

/// Where the value of one call is, put together in the order the macro writes it.
///
/// It stays where it was made and borrows what it can: a near hit costs neither a move, nor an
/// allocation, nor a count that all threads share.
#[must_use]
pub struct Address<'c, S: Returns> {
    site: &'static Site,
    scope: &'static str,
    cache: Option<Held<'c>>,
    key: Option<Result<Draft, KeyError>>,
    tags: Vec<Result<Key, KeyError>>,
    bypass: bool,
    near: Option<NearRule<S::Value>>,
}

/// What a near function finds before anything else.
#[derive(Debug)]
#[must_use]
pub enum Near<'c, S: Returns> {
    /// A copy that may be served.
    Hit(S::Out),
    /// None.
    Miss(Address<'c, S>),
}

impl<'c, S: Returns> Address<'c, S> {
    pub(super) fn new(site: &'static Site, scope: &'static str) -> Self {
        Self {
            site,
            scope,
            cache: None,
            key: None,
            tags: Vec::new(),
            bypass: false,
            near: None,
        }
    }

    /// Which cache; before [`key`](Self::key), which needs its namespace.
    pub fn cache(&mut self, cache: &'c Cache) -> &mut Self {
        self.cache = Some(Held::Lent(cache));
        self
    }

    /// Renders the key.
    pub fn key(&mut self, render: impl FnOnce(KeyPlan) -> KeyBuilder) -> &mut Self {
        let cache = self.cache.get_or_insert_with(Held::current);
        let plan = KeyPlan {
            site: self.site,
            scope: self.scope,
            key: KeyBuilder::new(&cache.engine().namespace),
        };
        self.key = Some(render(plan).draft());
        self
    }

    /// Renders a label that entries share; after [`cache`](Self::cache), like the key.
    pub fn tag(&mut self, render: impl FnOnce(KeyBuilder) -> KeyBuilder) -> &mut Self {
        let cache = self.cache.get_or_insert_with(Held::current);
        self.tags.push(cache.tag_key(render));
        self
    }

    /// Whether this call skips the cache.
    pub fn bypass(&mut self, bypass: bool) -> &mut Self {
        self.bypass = bypass;
        self
    }

    /// Keeps copies of what is found in the process, as long as they are fresh, and looks for one.
    pub fn near(&mut self) -> Near<'c, S>
    where
        S::Value: NearValue,
    {
        self.near_for(Duration::MAX)
    }

    /// The same, for copies that are kept this long at the most.
    pub fn near_for(&mut self, ttl: Duration) -> Near<'c, S>
    where
        S::Value: NearValue,
    {
        let rule = NearRule::new(ttl);
        match self.copy(&rule) {
            Some(hit) => Near::Hit(S::join(hit)),
            None => {
                self.near = Some(rule);
                Near::Miss(self.take())
            }
        }
    }

    fn take(&mut self) -> Self {
        let empty = Self::new(self.site, self.scope);
        mem::replace(self, empty)
    }

    fn copy(&self, rule: &NearRule<S::Value>) -> Option<S::Value> {
        let (Some(cache), Some(Ok(key))) = (&self.cache, &self.key) else {
            return None;
        };
        let engine = cache.engine();
        let near = engine.near.as_ref()?;
        let wanted = Control::mode_in_reach();
        if self.bypass || wanted.is_some_and(|mode| mode != Mode::Cached) {
            return None;
        }
        let right = |tags: &[Key]| {
            let own = self.tags.iter();
            tags.len() == self.tags.len()
                && own
                    .zip(tags)
                    .all(|(own, tag)| matches!(own, Ok(own) if own == tag))
        };
        let value = near.get(key.as_str(), right, rule)?;
        engine.served_nearby(self.site, self.scope, key, wanted.is_some());
        Some(value)
    }

    /// How long a value is fresh.
    pub fn ttl(&mut self, ttl: Duration) -> Plan<S> {
        self.plan(Ttl::Fixed(ttl))
    }

    /// How long this value is fresh.
    pub fn ttl_with(&mut self, ttl: fn(&S::Value) -> Duration) -> Plan<S> {
        self.plan(Ttl::Of(ttl))
    }

    fn plan(&mut self, ttl: Ttl<S::Value>) -> Plan<S> {
        let rules = Rules {
            ttl,
            is_none: S::is_none,
            near: self.near,
            ..Rules::fixed(Duration::ZERO)
        };
        let (site, scope) = (self.site, self.scope);
        let addressed = Addressed {
            engine: self
                .cache
                .take()
                .unwrap_or_else(Held::current)
                .into_engine(),
            site,
            scope,
            key: self.key.take(),
            tags: mem::take(&mut self.tags),
            bypass: self.bypass,
            nearby: self.near.map(|_| Nearby { site, scope }),
        };
        Plan::new(addressed, rules)
    }
}

impl<S: Returns> fmt::Debug for Address<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A complete address, which borrows nothing.
#[derive(Debug)]
pub(super) struct Addressed {
    pub(super) engine: Arc<Engine>,
    pub(super) site: &'static Site,
    pub(super) scope: &'static str,
    key: Option<Result<Draft, KeyError>>,
    tags: Vec<Result<Key, KeyError>>,
    pub(super) bypass: bool,
    pub(super) nearby: Option<Nearby>,
}

impl Addressed {
    /// The place of the value; it takes the key along.
    pub(super) fn spot<V: CacheValue, C: Codec>(&mut self) -> Spot {
        let key = self.key.take().unwrap_or_else(|| {
            let key = KeyBuilder::new(&self.engine.namespace);
            key.text(&self.site.path(self.scope)).draft()
        });
        let key = key.map(|draft| draft.to_key());
        let tags = match self.tags.is_empty() {
            true => Ok(Arc::default()),
            false => self.tags.drain(..).collect(),
        };
        Spot::new(key, self.site.identity::<V, C>(), tags)
    }
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
    #[inline]
    pub fn text(self, literal: &str) -> KeyBuilder {
        self.key.text(literal)
    }

    /// A template that starts with this placeholder.
    pub fn field(self, value: impl Field) -> KeyBuilder {
        self.key.field(value)
    }

    /// The function's path; `generics` are its own type parameters by name.
    pub fn path(self, generics: &str) -> KeyBuilder {
        let path = self.site.path(self.scope);
        self.key.path(&path).path(generics)
    }
}
