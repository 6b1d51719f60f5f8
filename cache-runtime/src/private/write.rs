//! [`Write`]: what `#[invalidates]` and `#[updates]` do around a function.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::entry::{Entry, Staged};
use crate::error::CacheError;
use crate::flow::{Budget, Engine, WriteOrder};
use crate::key::{Key, KeyBuilder};
use crate::single_flight::Moment;

/// One run of a writing function, and the entries it makes outdated.
///
/// Both write attributes act when the body ends. If it ends by `Err`, by a panic, or is dropped
/// after its first poll, the write may have happened all the same, so the entries are deleted; with
/// `only_ok` they are left alone. A failed cache operation never changes the function's result: it
/// is repeated in the background, and until then this process bypasses the cache for those keys.
///
/// A value is written through only if no other write of the same entry ended while this one ran:
/// in which order the two reached the origin is not known, so the entry is deleted.
#[derive(Debug)]
#[must_use]
pub struct Write {
    cache: Option<Cache>,
    only_ok: bool,
    /// `#[updates]`: the entries get a value.
    updating: bool,
    // When the first poll of the body was.
    began: Option<Moment>,
    targets: Vec<Target>,
    staged: Vec<Staged>,
}

#[derive(Debug)]
struct Target {
    engine: Arc<Engine>,
    key: Key,
    timeout: Duration,
}

impl Default for Write {
    fn default() -> Self {
        Self::new()
    }
}

impl Write {
    /// A write that has not started.
    pub fn new() -> Self {
        Self {
            cache: None,
            only_ok: false,
            updating: false,
            began: None,
            targets: Vec::new(),
            staged: Vec::new(),
        }
    }

    /// The same for `#[updates]`, which stores a value when the body has ended.
    pub fn updating() -> Self {
        let mut write = Self::new();
        write.updating = true;
        write
    }

    /// The cache of the tags, and of entries whose functions name none.
    pub fn cache(mut self, cache: &Cache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Acts only on success.
    pub fn only_ok(mut self) -> Self {
        self.only_ok = true;
        self
    }

    /// Makes an entry in this write's cache.
    pub fn entry<R>(&self, entry: impl FnOnce() -> Entry<R>) -> Entry<R> {
        match &self.cache {
            Some(cache) => cache.scope_sync(entry),
            None => entry(),
        }
    }

    /// The write makes this entry outdated.
    pub fn target<R>(&mut self, entry: &Entry<R>) {
        let core = entry.core();
        let key = core.at.clone().map(|(key, _)| key);
        self.outdates(&core.engine, core.timeout, key);
    }

    /// The write makes all entries with this tag outdated.
    pub fn tag(&mut self, render: impl FnOnce(KeyBuilder) -> KeyBuilder) {
        let cache = self.cache.clone().unwrap_or_else(Cache::current);
        let key = cache.tag_key(render).map_err(CacheError::from);
        self.outdates(cache.engine(), cache.engine().policy.timeout, key);
    }

    fn outdates(&mut self, engine: &Arc<Engine>, timeout: Duration, key: Result<Key, CacheError>) {
        match key {
            Ok(key) => self.targets.push(Target {
                engine: engine.clone(),
                key,
                timeout,
            }),
            // Nothing is ever stored under a key that cannot be rendered.
            Err(error) => tracing::debug!(target: "cache", %error, "nothing to invalidate"),
        }
    }

    /// Runs the body. From its first poll on, the entries count as outdated.
    pub async fn run<F: Future>(&mut self, body: F) -> F::Output {
        self.began = Some(Moment::next());
        body.await
    }

    /// Writes this value through, instead of deleting its entry.
    pub fn update(&mut self, staged: Staged) {
        self.staged.push(staged);
    }

    /// The body has succeeded.
    pub async fn succeeded(mut self) {
        // From now on the entries are outdated, even if the caller goes away.
        self.only_ok = false;
        let mut budget = self.budget();
        let order = self.began.map_or_else(WriteOrder::last, WriteOrder::since);
        for Staged { core, verdict } in std::mem::take(&mut self.staged) {
            if let Ok((key, identity)) = &core.at {
                let put = core.engine.put(&mut budget, key, *identity, verdict, order);
                if let Err(error) = put.await {
                    tracing::debug!(target: "cache", %key, %error, "not written through");
                }
                self.targets.retain(|target| !target.is(&core.engine, key));
            }
        }
        self.delete(&mut budget).await;
    }

    /// The body has failed.
    pub async fn failed(mut self) {
        self.staged.clear();
        if self.only_ok {
            self.targets.clear();
        }
        let mut budget = self.budget();
        self.delete(&mut budget).await;
    }

    /// One for all that this write does to the cache.
    fn budget(&self) -> Budget {
        let timeouts = self.targets.iter().map(|target| target.timeout);
        Budget::new(timeouts.max().unwrap_or_default())
    }

    async fn delete(&mut self, budget: &mut Budget) {
        while let Some(first) = self.targets.last() {
            let engine = first.engine.clone();
            let same = |target: &Target| Arc::ptr_eq(&target.engine, &engine);
            let of_engine = self.targets.iter().filter(|target| same(target));
            let keys: Vec<Key> = of_engine.map(|target| target.key.clone()).collect();
            if let Err(error) = engine.invalidate(budget, &keys).await {
                tracing::debug!(target: "cache", keys = ?keys, %error, "not invalidated yet");
            }
            self.targets.retain(|target| !same(target));
        }
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if self.began.is_some() && !self.only_ok {
            for target in &self.targets {
                let keys = std::slice::from_ref(&target.key);
                target.engine.invalidate_in_background(keys);
            }
        }
    }
}

impl Target {
    fn is(&self, engine: &Arc<Engine>, key: &Key) -> bool {
        Arc::ptr_eq(&self.engine, engine) && self.key == *key
    }
}
