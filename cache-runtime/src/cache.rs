//! [`Cache`]: the handle of one cache, and which one is in force.

use std::env;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;

use crate::codec::{MessagePack, type_identity};
use crate::config::{Backend, Namespace};
use crate::entry::{Core, Entry};
use crate::error::{CacheError, ConfigError, StoreError, StoreErrorKind};
use crate::flow::{Budget, Engine};
use crate::key::{Key, KeyBuilder, KeyError};
use crate::near::{Near, NearHandle};
use crate::observe::Stats;
use crate::place::Tags;
use crate::policy::Policy;
use crate::rules::{CacheValue, Rules, Stale, decode_any};
use crate::spot::Spot;
use crate::store::{MemoryStore, RedisStore, Store};

/// The time to live of values put through [`Cache::entry`] unless said otherwise.
const ENTRY_TTL: Duration = Duration::from_secs(300);
const DEFAULT_NAMESPACE: &str = "cache";
const DEFAULT_MEMORY: usize = 64 << 20;
const DEFAULT_NEAR_LAG: Duration = Duration::from_secs(1);
const LEAST_NEAR_LAG: Duration = Duration::from_millis(10);

/// A handle to one cache: a store, a namespace in it, and the loads of this process under way.
///
/// Cheap to clone; all clones are the same cache. Nothing has to be initialised: an annotated
/// function uses the cache it names (`cache = …`), else the one whose [`scope`](Self::scope) it
/// runs in, else the one that was [installed](Self::install), else one made from the environment
/// at the first call, as [`from_env`](Self::from_env) does.
///
/// ```
/// use cache_runtime::{Cache, cached};
///
/// #[cached(ttl = 60, key = "greeting:{name}")]
/// async fn greeting(name: &str) -> String {
///     format!("Hello, {name}!")
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), cache_runtime::ConfigError> {
/// let cache = Cache::builder().url("memory://").namespace("shop").build().await?;
/// cache.scope(async {
///     assert_eq!(greeting("Ada").await, "Hello, Ada!");
///     assert_eq!(greeting_entry("Ada").key(), "shop:greeting:Ada");
/// }).await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Cache {
    engine: Arc<Engine>,
}

tokio::task_local! {
    static SCOPED: Cache;
}

/// The process's default, installed or made from the environment.
static PROCESS: OnceLock<Cache> = OnceLock::new();

impl Cache {
    /// A builder with the defaults named at its methods.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The cache that `CACHE_URL` and `CACHE_NAMESPACE` describe.
    ///
    /// Without `CACHE_URL` the embedded store of this process serves; without `CACHE_NAMESPACE`
    /// the namespace is `cache`. An empty variable counts as none. Nothing is contacted.
    ///
    /// # Errors
    /// If a variable is set to something unusable. Never because Redis is down.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut builder = Self::builder();
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(url) = variable("CACHE_URL") {
            builder = builder.url(url);
        }
        if let Some(namespace) = variable("CACHE_NAMESPACE") {
            builder = builder.namespace(namespace);
        }
        builder.assemble()
    }

    /// A new, empty cache in this process: the embedded store, with the same semantics as Redis.
    #[must_use]
    pub fn memory() -> Self {
        let store = Store::Memory(MemoryStore::new(DEFAULT_MEMORY));
        Self::new(Engine::new(store, DEFAULT_NAMESPACE))
    }

    /// Makes this the default of the whole process.
    ///
    /// # Errors
    /// With the cache that is the default already: installed before, or made from the environment
    /// because an annotated function was called before.
    pub fn install(&self) -> Result<(), AlreadyInstalled> {
        PROCESS.set(self.clone()).map_err(|_| AlreadyInstalled)
    }

    /// Runs a future with this cache in force, so that tests run side by side in isolation.
    ///
    /// It is in force in the same task only: inside `tokio::spawn` wrap the spawned future too.
    /// Cancellation: as `future` itself.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        SCOPED.scope(self.clone(), future)
    }

    /// The cache in force: of the innermost [`scope`](Self::scope), else the installed one, else
    /// the one from the environment.
    ///
    /// An unusable environment is logged once as an error, and every call goes to its origin.
    #[must_use]
    pub fn current() -> Self {
        match Held::current() {
            Held::Lent(cache) => cache.clone(),
            Held::Own(cache) => cache,
        }
    }

    /// The installed cache, else the one from the environment.
    fn process() -> &'static Self {
        PROCESS.get_or_init(|| {
            Self::from_env().unwrap_or_else(|error| {
                tracing::error!(
                    target: "cache", %error,
                    "CACHE_URL or CACHE_NAMESPACE is unusable: nothing is cached"
                );
                Self::misconfigured()
            })
        })
    }

    /// The entry of a key known only at run time, in this cache, encoded as MessagePack.
    ///
    /// `key` is taken as it is: nothing is escaped. Values put through it live for 300 s unless
    /// [`Entry::ttl`] says otherwise.
    pub fn entry<V: CacheValue>(&self, key: &str) -> Entry<V> {
        let key = Key::raw(&self.engine.namespace, key);
        Entry::new(Core {
            engine: self.engine.clone(),
            policy: self.engine.policy,
            stale: Stale::default(),
            hold: ENTRY_TTL,
            at: Spot::new(
                Ok(key),
                type_identity::<V, MessagePack>(),
                Ok(Tags::default()),
            ),
            ttl: None,
            judge: Rules::<V>::fixed(ENTRY_TTL).into_judge::<MessagePack>(),
            decode: decode_any::<V, MessagePack>,
        })
    }

    /// Invalidates everything tagged `tag`, by one deletion.
    ///
    /// # Errors
    /// If the store does not confirm it within the budget; it is then repeated in the background.
    ///
    /// # Cancellation
    /// Dropped before it ends, the deletion is completed in the background.
    pub async fn invalidate_tag(&self, tag: &str) -> Result<(), CacheError> {
        let key = self.tag_key(|key| key.text(tag))?;
        let mut budget = Budget::new(self.engine.policy.timeout);
        let keys = std::slice::from_ref(&key);
        self.engine.invalidate(&mut budget, keys).await
    }

    /// Deletes the entries whose key matches a glob pattern such as `"user:*"`, and returns how
    /// many. By SCAN and UNLINK in batches: other commands go on meanwhile. Takes as long as it
    /// takes; an entry stored while it runs may survive.
    ///
    /// # Errors
    /// If the store fails; some entries may be deleted already.
    ///
    /// # Cancellation
    /// Dropped before it ends, some entries may be deleted already.
    pub async fn clear(&self, pattern: &str) -> Result<u64, CacheError> {
        Ok(self.engine.clear(pattern).await?)
    }

    /// Asks the store for a sign of life, and returns how long the answer took.
    ///
    /// # Errors
    /// If none came within the budget.
    pub async fn ping(&self) -> Result<Duration, CacheError> {
        if self.engine.misconfigured {
            let reason = "CACHE_URL or CACHE_NAMESPACE is unusable: nothing is cached";
            return Err(StoreError::new(StoreErrorKind::Unavailable, reason).into());
        }
        let mut budget = Budget::new(self.engine.policy.timeout);
        Ok(budget.spend(self.engine.store.ping()).await?)
    }

    /// The counters of every annotated function called through this cache.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            functions: self.engine.stats.read(),
            unconfirmed: self.engine.unconfirmed.len(),
            copies: self.engine.near.as_ref().map_or(0, |near| near.len()),
            copied_bytes: self.engine.near.as_ref().map_or(0, |near| near.weight()),
        }
    }

    /// Lets loads in the background end and completes unconfirmed invalidations, then closes the
    /// connections. Loads that are still under way at the deadline go on as long as the runtime does;
    /// invalidations that are unconfirmed then are given up, as are those of later calls.
    ///
    /// # Errors
    /// If loads or invalidations are under way at the deadline.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), CacheError> {
        let engine = &self.engine;
        engine.background.close();
        let drained = timeout(deadline, async {
            engine.background.wait().await;
            engine.confirm().await;
        });
        let drained = drained.await;
        engine.closed.store(true, SeqCst);
        if let Some(near) = &engine.near {
            near.stop();
        }
        engine.store.shutdown().await;
        if drained.is_ok() && engine.unconfirmed.len() == 0 {
            return Ok(());
        }
        let left = format!(
            "{} loads in the background are still under way, and {} invalidations are unconfirmed",
            engine.background.len(),
            engine.unconfirmed.len()
        );
        Err(StoreError::new(StoreErrorKind::Timeout, left).into())
    }

    /// A pooled Redis connection for commands of your own.
    ///
    /// # Errors
    /// If the store is not Redis, or no connection is free or can be made in time.
    pub async fn connection(&self) -> Result<deadpool_redis::Connection, CacheError> {
        Ok(self.engine.store.connection().await?)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The cache of the innermost [`scope`](Self::scope).
    pub(crate) fn scoped() -> Option<Self> {
        SCOPED.try_with(Self::clone).ok()
    }

    pub(crate) fn scope_sync<T>(&self, act: impl FnOnce() -> T) -> T {
        SCOPED.sync_scope(self.clone(), act)
    }

    /// The key of a tag's generation.
    pub(crate) fn tag_key(
        &self,
        render: impl FnOnce(KeyBuilder) -> KeyBuilder,
    ) -> Result<Key, KeyError> {
        let key = KeyBuilder::new(&self.engine.namespace).text(Engine::TAG);
        render(key).finish()
    }

    fn misconfigured() -> Self {
        let store = Store::Memory(MemoryStore::new(0));
        Self::new(Engine {
            misconfigured: true,
            ..Engine::new(store, DEFAULT_NAMESPACE)
        })
    }

    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine: Arc::new(engine),
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("namespace", &self.engine.namespace)
            .field("store", &self.engine.store)
            .finish_non_exhaustive()
    }
}

/// A cache for as long as a call looks at it: owned only if need be, because all threads share the
/// count of its owners.
pub(crate) enum Held<'c> {
    Lent(&'c Cache),
    Own(Cache),
}

impl Held<'_> {
    /// The cache in force.
    pub(crate) fn current() -> Self {
        match Cache::scoped() {
            Some(scoped) => Self::Own(scoped),
            None => Self::Lent(Cache::process()),
        }
    }

    pub(crate) fn into_engine(self) -> Arc<Engine> {
        match self {
            Self::Lent(cache) => cache.engine.clone(),
            Self::Own(cache) => cache.engine,
        }
    }
}

impl Deref for Held<'_> {
    type Target = Cache;

    fn deref(&self) -> &Cache {
        match self {
            Self::Lent(cache) => cache,
            Self::Own(cache) => cache,
        }
    }
}

/// There is a process-wide default cache already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cache is the process's default already: install it before the first annotated call")]
#[non_exhaustive]
pub struct AlreadyInstalled;

/// Builds a [`Cache`]; see [`Cache::builder`].
#[derive(Default)]
#[must_use]
pub struct Builder {
    url: Option<String>,
    namespace: Option<String>,
    policy: Policy,
    value_limit: Option<usize>,
    memory_capacity: Option<usize>,
    lanes: Option<usize>,
    pool_size: Option<usize>,
    near_capacity: Option<usize>,
    near_lag: Option<Duration>,
}

impl Builder {
    /// Where the store is: `memory://`, `redis://[user:password@]host[:port][/db]`, `rediss://…`
    /// (feature `tls`) or `unix:///path`. Default: `memory://`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// What every key starts with, so that several applications can share one Redis: up to 128
    /// letters, digits, `_`, `.` and `-`. Default: `cache`.
    ///
    /// It belongs to the cache: after an outage with more than 10,000 invalidations that could
    /// not be confirmed, everything under it is deleted. Keep keys of your own elsewhere.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The policy of functions that name none. Default: [`Policy::DEFAULT`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The largest encoded value that is stored, in bytes. Default: 1 MiB.
    pub fn value_limit(mut self, bytes: usize) -> Self {
        self.value_limit = Some(bytes);
        self
    }

    /// The capacity of the embedded store, in bytes. Default: 64 MiB.
    pub fn memory_capacity(mut self, bytes: usize) -> Self {
        self.memory_capacity = Some(bytes);
        self
    }

    /// What the copies in this process may weigh together, in bytes, for functions with `near`. A copy
    /// counts with the size of its encoded value. Default: 64 MiB. Of no meaning for the embedded
    /// store, which is in this process already.
    pub fn near_capacity(mut self, bytes: usize) -> Self {
        self.near_capacity = Some(bytes);
        self
    }

    /// For how long a change that is made elsewhere may go unnoticed at the worst, by functions with
    /// `near`. Usually it is noticed at once, because the server tells of it; this is the bound if it
    /// cannot, as over a broken connection. At least 10 ms. Default: 1 s.
    pub fn near_lag(mut self, lag: Duration) -> Self {
        self.near_lag = Some(lag);
        self
    }

    /// How many lanes the calls share, each of which is a Redis connection for reads and another for
    /// everything else. Default: 1.
    ///
    /// Reads that wait on one lane at the same moment share a command, so one carries more
    /// than several. More keep small values from queueing behind large ones.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// How many pooled Redis connections there are for [`Cache::connection`]. Default: 8.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = Some(connections);
        self
    }

    /// The cache. Its connections are being made when this returns, but not waited for longer
    /// than the policy's timeout.
    ///
    /// # Errors
    /// If the configuration is unusable; never because Redis is down.
    pub async fn build(self) -> Result<Cache, ConfigError> {
        let cache = self.assemble()?;
        // Whether it answers is of no interest here: the calls find out.
        let _ = cache.ping().await;
        Ok(cache)
    }

    fn assemble(self) -> Result<Cache, ConfigError> {
        let namespace = Namespace::new(self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE))?;
        let store = match Backend::parse(self.url.as_deref().unwrap_or("memory://"))? {
            Backend::Memory => Store::Memory(MemoryStore::new(
                self.memory_capacity.unwrap_or(DEFAULT_MEMORY),
            )),
            Backend::Redis(mut config) => {
                if let Some(lanes) = self.lanes {
                    *config = config.with_lanes(lanes)?;
                }
                if let Some(size) = self.pool_size {
                    *config = config.with_pool_size(size)?;
                }
                Store::Redis(RedisStore::new(&config)?)
            }
        };
        let engine = Engine::new(store, namespace.as_str());
        let near = engine.store.is_shared().then(|| {
            let head = format!("{}:", namespace.as_str());
            let tags = format!("{head}{}", Engine::TAG);
            let lag = self.near_lag.unwrap_or(DEFAULT_NEAR_LAG);
            let capacity = self.near_capacity.unwrap_or(DEFAULT_MEMORY) as u64;
            NearHandle(Near::new(capacity, lag.max(LEAST_NEAR_LAG), head, tags))
        });
        Ok(Cache::new(Engine {
            near,
            policy: self.policy,
            value_limit: self.value_limit.unwrap_or(engine.value_limit),
            ..engine
        }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may carry a password.
        f.debug_struct("Builder")
            .field("namespace", &self.namespace)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
