//! [`Entry`]: the cached value of one function for one key.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::error::CacheError;
use crate::flow::{Budget, Engine, Target};
use crate::place::Place;
use crate::policy::Policy;
use crate::rules::{CacheValue, Decode, Judge, Stale, Verdict};
use crate::spot::Spot;

/// The cached value of one annotated function for one key: what `get_user_entry(42)` returns.
///
/// `R` is the function's whole return type; the value is its `Ok` type if it is a `Result`,
/// otherwise `R` itself. All operations together with the store get the policy's `timeout`
/// (100 ms by default); when it is over they return the error, and an invalidation is repeated in
/// the background.
///
/// ```
/// use cache_runtime::{Cache, CacheError, cached};
///
/// #[cached(ttl = 300, key = "user:{id}")]
/// async fn user_name(id: u64) -> Result<String, std::io::Error> {
///     Ok(format!("user {id}"))
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), CacheError> {
/// # Cache::memory().scope(async {
/// let entry = user_name_entry(42);
/// assert_eq!(entry.key(), "cache:user:42");
/// assert_eq!(entry.peek().await?, None);
/// entry.put(&"Ada".to_owned()).await?;
/// assert_eq!(entry.peek().await?.as_deref(), Some("Ada"));
/// entry.invalidate().await?;
/// assert_eq!(entry.peek().await?, None);
/// # Ok(()) }).await }
/// ```
#[must_use = "an entry does nothing until one of its operations is awaited"]
pub struct Entry<R> {
    plain: PlainEntry<R>,
}

/// The operations of an [`Entry`] whose function does not return a `Result`.
pub struct PlainEntry<V> {
    core: Core,
    value: PhantomData<fn() -> V>,
}

/// An entry without its types.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) engine: Arc<Engine>,
    pub(crate) policy: Policy,
    pub(crate) stale: Stale,
    /// How long the entry is kept while it holds nothing but a lease.
    pub(crate) hold: Duration,
    pub(crate) at: Spot,
    /// Judges and encodes a value.
    pub(crate) judge: Judge,
    /// Instead of what the rules say.
    pub(crate) ttl: Option<Duration>,
    pub(crate) decode: Decode,
}

impl<R> Entry<R> {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            plain: PlainEntry {
                core,
                value: PhantomData,
            },
        }
    }

    /// The Redis key, `<namespace>:<rendered key>`; empty if the key could not be rendered.
    pub fn key(&self) -> &str {
        self.core().key()
    }

    /// Deletes the entry, with whatever lease somebody has on it: a load that is under way is not
    /// stored, in whichever process. With [`hold_off`](crate::Policy::hold_off) nothing is stored for a
    /// while after it.
    ///
    /// # Errors
    /// If the store does not confirm the deletion within the budget. It is then repeated in the
    /// background, and this process bypasses the cache for this key until it is confirmed.
    ///
    /// # Cancellation
    /// Dropped before it ends, the deletion is completed in the background.
    #[must_use = "an invalidation happens when it is awaited, and can fail"]
    pub async fn invalidate(&self) -> Result<(), CacheError> {
        self.core().invalidate().await
    }

    /// Ends the freshness of the value: the next call loads, or, with `stale_while_revalidate`, is
    /// served the old value while a load in the background replaces it. A load that is under way is
    /// not stored. Without a span in which old values may be served, the entry is deleted.
    ///
    /// Unlike [`invalidate`](Self::invalidate) this promises nothing about what is served next: it
    /// is for values that should be refreshed soon, not for values that have become wrong.
    ///
    /// # Errors
    /// If the store does not confirm within the budget; it may have happened all the same.
    ///
    /// # Cancellation
    /// Dropped before it ends, it may have happened or not.
    #[must_use = "an entry expires when this is awaited, and that can fail"]
    pub async fn expire(&self) -> Result<(), CacheError> {
        self.core().expire().await
    }

    pub(crate) fn core(&self) -> &Core {
        &self.plain.core
    }
}

impl<T: CacheValue, E> Entry<Result<T, E>> {
    /// The value, if the store holds an intact one of this key and type that may be served, fresh or
    /// not. Never loads.
    ///
    /// # Errors
    /// If the store does not answer within the budget.
    ///
    /// # Cancellation
    /// Cancel safe.
    #[must_use = "peeking has no effect but its result"]
    pub async fn peek(&self) -> Result<Option<T>, CacheError> {
        self.core().peek().await
    }

    /// Stores a value, over whatever the entry holds: the last writer wins.
    ///
    /// A value that is not cacheable (`None` without `none_ttl`, `cache_if` says no) deletes the
    /// entry instead, and so does one whose entry is invalidated meanwhile.
    ///
    /// # Errors
    /// If the value is too large or would not read back (the entry is deleted then), or if the
    /// store does not confirm within the budget (the entry is deleted in the background then).
    ///
    /// # Cancellation
    /// Dropped before it ends, the entry is deleted in the background.
    #[must_use = "a value is stored when this is awaited, and that can fail"]
    pub async fn put(&self, value: &T) -> Result<(), CacheError> {
        self.core().put(self.core().judge(value)).await
    }

    /// The value for `#[updates]` to write when the function has returned.
    #[doc(hidden)]
    pub fn stage(&self, value: &T) -> Staged {
        Staged::new(self.core(), value)
    }
}

impl<V: CacheValue> PlainEntry<V> {
    /// The value, if the store holds an intact one of this key and type that may be served, fresh or
    /// not. Never loads.
    ///
    /// # Errors
    /// If the store does not answer within the budget.
    ///
    /// # Cancellation
    /// Cancel safe.
    #[must_use = "peeking has no effect but its result"]
    pub async fn peek(&self) -> Result<Option<V>, CacheError> {
        self.core.peek().await
    }

    /// Stores a value, over whatever the entry holds: the last writer wins.
    ///
    /// A value that is not cacheable (`None` without `none_ttl`, `cache_if` says no) deletes the
    /// entry instead, and so does one whose entry is invalidated meanwhile.
    ///
    /// # Errors
    /// If the value is too large or would not read back (the entry is deleted then), or if the
    /// store does not confirm within the budget (the entry is deleted in the background then).
    ///
    /// # Cancellation
    /// Dropped before it ends, the entry is deleted in the background.
    #[must_use = "a value is stored when this is awaited, and that can fail"]
    pub async fn put(&self, value: &V) -> Result<(), CacheError> {
        self.core.put(self.core.judge(value)).await
    }

    /// The value for `#[updates]` to write when the function has returned.
    #[doc(hidden)]
    pub fn stage(&self, value: &V) -> Staged {
        Staged::new(&self.core, value)
    }
}

impl<R> Entry<R> {
    /// The same entry with another time to live for [`put`](PlainEntry::put).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.plain.core.ttl = Some(ttl);
        self
    }
}

impl<R> Deref for Entry<R> {
    type Target = PlainEntry<R>;

    fn deref(&self) -> &PlainEntry<R> {
        &self.plain
    }
}

impl<R> Clone for Entry<R> {
    fn clone(&self) -> Self {
        Self::new(self.core().clone())
    }
}

impl<R> fmt::Debug for Entry<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.key()).finish()
    }
}

impl<V> fmt::Debug for PlainEntry<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.core.key()).finish()
    }
}

impl Core {
    pub(crate) fn key(&self) -> &str {
        self.at.outdated().map_or("", |place| place.key.as_str())
    }

    fn judge<V: CacheValue>(&self, value: &V) -> Verdict {
        (self.judge)(value, self.ttl)
    }

    async fn peek<V: CacheValue>(&self) -> Result<Option<V>, CacheError> {
        let place = self.at.usable()?;
        let mut budget = Budget::new(self.policy.timeout);
        if self.engine.hides(place) {
            return Ok(None);
        }
        let stale = self.stale.longest();
        let found = self.engine.look_up(&mut budget, place, stale);
        let Some(payload) = found.await? else {
            return Ok(None);
        };
        let decoded = (self.decode)(&payload).ok();
        Ok(decoded
            .and_then(|value| value.downcast().ok())
            .map(|value| *value))
    }

    async fn put(&self, verdict: Verdict) -> Result<(), CacheError> {
        let place = self.at.usable()?;
        let mut budget = Budget::new(self.policy.timeout);
        self.engine.put(&mut budget, place, verdict).await
    }

    async fn invalidate(&self) -> Result<(), CacheError> {
        let target = self.target()?;
        let mut budget = Budget::new(self.policy.timeout);
        self.engine.outdate(&mut budget, &target).await
    }

    /// The entry, to be made outdated.
    pub(crate) fn target(&self) -> Result<Target, CacheError> {
        Ok(Target {
            place: self.at.outdated()?.clone(),
            hold_off: self.policy.hold_off,
        })
    }

    async fn expire(&self) -> Result<(), CacheError> {
        let Place { key, .. } = self.at.outdated()?;
        let mut budget = Budget::new(self.policy.timeout);
        self.engine.expire(&mut budget, key).await
    }
}

/// A value to be written through when an `#[updates]` function has returned.
#[doc(hidden)]
pub struct Staged {
    pub(crate) core: Core,
    pub(crate) verdict: Verdict,
}

impl Staged {
    fn new<V: CacheValue>(core: &Core, value: &V) -> Self {
        Self {
            core: core.clone(),
            verdict: core.judge(value),
        }
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Staged").field(&self.core.key()).finish()
    }
}
