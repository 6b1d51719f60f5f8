//! [`Address`]: where the value of one call is, which is all that a copy in the process is found by.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::{Plan, Returns};
use crate::cache::{Cache, Held};
use crate::call::{Control, Mode};
use crate::codec::Codec;
use crate::error::CacheError;
use crate::flow::{Engine, Nearby};
use crate::key::{Draft, Field, Key, KeyBuilder, KeyError};
use crate::near::{Named, NearRule, NearValue, Numbered, Text};
use crate::place::{Place, Tags};
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
    numbered: Option<Numbered>,
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
    #[inline]
    pub(super) fn new(site: &'static Site, scope: &'static str) -> Self {
        Self {
            site,
            scope,
            cache: None,
            key: None,
            tags: Vec::new(),
            bypass: false,
            near: None,
            numbered: None,
        }
    }

    /// Which cache; before [`key`](Self::key), which needs its namespace.
    #[inline]
    pub fn cache(&mut self, cache: &'c Cache) -> &mut Self {
        self.cache = Some(Held::Lent(cache));
        self
    }

    /// Renders the key.
    pub fn key(&mut self, render: impl FnOnce(KeyPlan) -> KeyBuilder) -> &mut Self {
        let cache = self.cache.get_or_insert_with(Held::current);
        let plan = KeyPlan::new(self.site, self.scope, cache);
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
    #[inline]
    pub fn bypass(&mut self, bypass: bool) -> &mut Self {
        self.bypass = bypass;
        self
    }

    /// Looks for a copy: by the numbers in the key's places, if there is nothing else in it, which
    /// are there before a text is, or by the key that this renders.
    #[inline]
    pub fn find<const N: usize>(
        &mut self,
        numbers: [Option<u64>; N],
        render: impl Fn(KeyPlan) -> KeyBuilder,
    ) -> Near<'c, S> {
        let site = self.site;
        self.cache.get_or_insert_with(Held::current);
        let numbers = site.template().numbers(numbers);
        let numbered = numbers.map(|numbers| Numbered::new(site.template(), numbers));
        if let Some(numbered) = &numbered {
            let key = |cache: &Cache| render(KeyPlan::new(site, self.scope, cache)).rendered();
            if let Some(hit) = self.copy(numbered, key) {
                return Near::Hit(S::join(hit));
            }
        }
        self.numbered = numbered;
        self.find_by_text(render)
    }

    #[inline(never)]
    fn find_by_text(&mut self, render: impl FnOnce(KeyPlan) -> KeyBuilder) -> Near<'c, S> {
        self.key(render);
        if let Some(Ok(key)) = &self.key
            && let Some(hit) = self.copy(&Text(key.as_str()), |_| Some(key.to_key()))
        {
            return Near::Hit(S::join(hit));
        }
        let empty = Self::new(self.site, self.scope);
        Near::Miss(mem::replace(self, empty))
    }

    #[inline]
    fn copy(&self, name: &impl Named, key: impl Fn(&Cache) -> Option<Key>) -> Option<S::Value> {
        let cache = self.cache.as_ref()?;
        let engine = cache.engine();
        let (near, rule) = (engine.near.as_ref()?, self.near.as_ref()?);
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
        let value = near.get(name, right, rule)?;
        engine.served_nearby(self.site, self.scope, || key(cache), wanted.is_some());
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
        let (site, scope, numbered) = (self.site, self.scope, self.numbered);
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
            nearby: self.near.map(|_| Nearby {
                site,
                scope,
                numbered,
            }),
        };
        Plan::new(addressed, rules)
    }
}

/// Functions whose values are shared already.
impl<S, T> Address<'_, S>
where
    S: Returns<Value = Arc<T>>,
    T: Send + Sync + 'static,
{
    /// Keeps copies of what is found in the process, this long at the most, and hands out the same
    /// value to all.
    #[inline]
    pub fn near_for(&mut self, ttl: Duration) -> &mut Self {
        self.near = Some(NearRule::shared(ttl));
        self
    }
}

/// What [`Address::near_for`] is for values of other types.
pub trait NearFor {
    /// What copies are kept of.
    type Value;

    /// Keeps copies of what is found in the process, this long at the most, and hands out clones.
    fn near_for(&mut self, ttl: Duration) -> &mut Self
    where
        Self::Value: NearValue;
}

impl<S: Returns> NearFor for Address<'_, S> {
    type Value = S::Value;

    #[inline]
    fn near_for(&mut self, ttl: Duration) -> &mut Self
    where
        S::Value: NearValue,
    {
        self.near = Some(NearRule::cloned(ttl));
        self
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
    /// The place of the value, for a call; it takes the key along.
    ///
    /// # Errors
    /// If the key or a tag cannot be rendered, or the codec cannot carry the type.
    pub(super) fn place<V: CacheValue, C: Codec>(&mut self) -> Result<Place, CacheError> {
        Ok(Place {
            key: self.key()?,
            identity: self.site.identity::<V, C>()?,
            tags: self.tags()?,
        })
    }

    /// The same for an entry, which can be deleted all the same.
    pub(super) fn spot<V: CacheValue, C: Codec>(&mut self) -> Spot {
        Spot::new(self.key(), self.site.identity::<V, C>(), self.tags())
    }

    fn key(&mut self) -> Result<Key, KeyError> {
        let draft = self.key.take().unwrap_or_else(|| {
            let key = KeyBuilder::new(&self.engine.namespace);
            key.text(&self.site.path(self.scope)).draft()
        });
        Ok(draft?.to_key())
    }

    fn tags(&mut self) -> Result<Tags, KeyError> {
        match self.tags.is_empty() {
            // Most have none, and need not go through all of the below to find out.
            true => Ok(Tags::default()),
            false => self.tags.drain(..).collect(),
        }
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
    fn new(site: &'static Site, scope: &'static str, cache: &Cache) -> Self {
        Self {
            site,
            scope,
            key: KeyBuilder::new(&cache.engine().namespace),
        }
    }

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
