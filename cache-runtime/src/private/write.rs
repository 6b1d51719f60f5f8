//! [`Write`]: what `#[invalidates]` and `#[updates]` do around a function.

use std::sync::Arc;
use std::time::Duration;

use crate::cache::Cache;
use crate::entry::{Entry, Staged};
use crate::error::CacheError;
use crate::flow::{Budget, Engine, Held, Leased, Target};
use crate::key::{Key, KeyBuilder};
use crate::lease::{Acquire, Release, Token};

/// One run of a writing function, and the entries it makes outdated.
///
/// Both write attributes act when the body ends. If it ends by `Err`, by a panic, or is dropped
/// after its first poll, the write may have happened all the same, so the entries are deleted; with
/// `only_ok` they are left alone. A failed cache operation never changes the function's result: it
/// is repeated in the background, and until then this process bypasses the cache for those keys.
///
/// A value is written through only if nothing else happened to its entry since an intent was left
/// in it before the body began: which of two writes the origin holds is not known here. So an entry
/// whose key shows only in what the body returns is deleted.
#[derive(Debug)]
#[must_use]
pub struct Write {
    cache: Option<Cache>,
    updating: bool,
    only_ok: bool,
    // Whether the body has been polled.
    began: bool,
    targets: Vec<Outdated>,
    intents: Vec<Leased>,
    staged: Vec<Staged>,
    // What the intents took of the budget.
    spent: Duration,
}

/// What the write makes outdated.
#[derive(Debug)]
struct Outdated {
    engine: Arc<Engine>,
    what: What,
    timeout: Duration,
}

#[derive(Debug)]
enum What {
    Entry {
        target: Target,
        /// None where no value can be stored.
        intent: Option<Intent>,
    },
    Tag(Key),
}

#[derive(Debug)]
struct Intent {
    /// How long it stands.
    lease: Duration,
    /// How long it is kept in an entry without a value.
    hold: Duration,
}

impl Default for Write {
    fn default() -> Self {
        Self::new()
    }
}

impl Write {
    /// A write that has not started and leaves its entries empty.
    pub fn new() -> Self {
        Self {
            cache: None,
            updating: false,
            only_ok: false,
            began: false,
            targets: Vec::new(),
            intents: Vec::new(),
            staged: Vec::new(),
            spent: Duration::ZERO,
        }
    }

    /// A write that has not started and is to store new values.
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
        match core.target() {
            Ok(target) => self.targets.push(Outdated {
                engine: core.engine.clone(),
                what: What::Entry {
                    target,
                    intent: core.at.usable().is_ok().then_some(Intent {
                        lease: core.policy.lease,
                        hold: core.hold,
                    }),
                },
                timeout: core.policy.timeout,
            }),
            Err(error) => nothing_to_do(&error),
        }
    }

    /// The write makes all entries with this tag outdated.
    pub fn tag(&mut self, render: impl FnOnce(KeyBuilder) -> KeyBuilder) {
        let cache = self.cache.clone().unwrap_or_else(Cache::current);
        let engine = cache.engine();
        match cache.tag_key(render) {
            Ok(key) => self.targets.push(Outdated {
                engine: engine.clone(),
                what: What::Tag(key),
                timeout: engine.policy.timeout,
            }),
            Err(error) => nothing_to_do(&error.into()),
        }
    }

    /// Runs the body. From its first poll on, the entries count as outdated.
    pub async fn run<F: Future>(&mut self, body: F) -> F::Output {
        if self.updating {
            self.intend().await;
        }
        self.began = true;
        body.await
    }

    /// Leaves an intent in every entry: what it holds stays readable, and nothing is filled.
    async fn intend(&mut self) {
        let total = self.budget();
        let mut budget = self.budget();
        for target in &self.targets {
            let What::Entry {
                target: Target { place, .. },
                intent: Some(Intent { lease, hold }),
            } = &target.what
            else {
                continue;
            };
            let request = Acquire {
                token: Token::random(),
                identity: place.identity,
                lease: *lease,
                hold: *hold,
                rejected: None,
                force: true,
                has_old: false,
            };
            let engine = &target.engine;
            match Leased::intend(engine, &mut budget, place, &request).await {
                Ok(intent) => self.intents.push(intent),
                Err(error) => {
                    tracing::debug!(target: "cache", key = %place.key, %error, "no intent");
                }
            }
        }
        self.spent = total.left().saturating_sub(budget.left());
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
        for Staged { core, verdict } in std::mem::take(&mut self.staged) {
            let Ok(target) = core.target() else { continue };
            let (engine, key) = (&core.engine, &target.place.key);
            // Not that of another entry with this key, whose tags are other ones.
            let usable = core.at.usable().is_ok();
            let intent = usable.then(|| self.intent(engine, key)).flatten();
            let commit = engine.commit(&mut budget, &target, verdict, intent);
            if let Err(error) = commit.await {
                tracing::debug!(target: "cache", %key, %error, "not written through");
            }
            self.targets.retain(|target| !target.is(engine, key));
        }
        self.delete(&mut budget).await;
    }

    /// The body has failed.
    pub async fn failed(mut self) {
        self.staged.clear();
        let mut budget = self.budget();
        if self.only_ok {
            self.targets.clear();
            for intent in std::mem::take(&mut self.intents) {
                intent.end(&mut budget, Release::Withdrawn).await;
            }
        }
        self.delete(&mut budget).await;
    }

    /// What is left of the one budget for all that this write does to the cache.
    fn budget(&self) -> Budget {
        let timeouts = self.targets.iter().map(|target| target.timeout);
        Budget::new(
            timeouts
                .max()
                .unwrap_or_default()
                .saturating_sub(self.spent),
        )
    }

    fn intent(&mut self, engine: &Arc<Engine>, key: &Key) -> Option<Held> {
        let of_entry = |intent: &&mut Leased| intent.is_of(engine, key);
        self.intents.iter_mut().find(of_entry).map(Leased::begun)
    }

    async fn delete(&mut self, budget: &mut Budget) {
        for intent in &mut self.intents {
            // It goes with its entry.
            intent.begun();
        }
        while let Some(last) = self.targets.last() {
            let engine = last.engine.clone();
            let done = if let Some(target) = last.held_off() {
                let done = engine.outdate(budget, target).await;
                self.targets.pop();
                done
            } else {
                let same = |target: &Outdated| {
                    Arc::ptr_eq(&target.engine, &engine) && target.held_off().is_none()
                };
                let of_engine = self.targets.iter().filter(|target| same(target));
                let keys: Vec<Key> = of_engine.map(|target| target.key().clone()).collect();
                let done = engine.invalidate(budget, &keys).await;
                self.targets.retain(|target| !same(target));
                done
            };
            if let Err(error) = done {
                tracing::debug!(target: "cache", %error, "not invalidated yet");
            }
        }
    }
}

/// Nothing is ever stored under a key that cannot be rendered.
fn nothing_to_do(error: &CacheError) {
    tracing::debug!(target: "cache", %error, "nothing to invalidate");
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.began || self.only_ok {
            // The intents are withdrawn.
            return;
        }
        for intent in &mut self.intents {
            intent.begun();
        }
        for target in &self.targets {
            let keys = std::slice::from_ref(target.key());
            target.engine.invalidate_in_background(keys);
        }
    }
}

impl Outdated {
    /// The entry, if nothing is to be stored in it for a while.
    fn held_off(&self) -> Option<&Target> {
        match &self.what {
            What::Entry { target, .. } => Some(target).filter(|target| !target.hold_off.is_zero()),
            What::Tag(_) => None,
        }
    }

    fn key(&self) -> &Key {
        match &self.what {
            What::Entry { target, .. } => &target.place.key,
            What::Tag(key) => key,
        }
    }

    fn is(&self, engine: &Arc<Engine>, key: &Key) -> bool {
        Arc::ptr_eq(&self.engine, engine) && self.key() == key
    }
}
