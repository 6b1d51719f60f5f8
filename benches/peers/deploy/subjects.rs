//! The same functions cached by everybody.

use std::sync::OnceLock;
use std::time::Duration;

use cache_runtime::{Cache, Postcard};
use cached::AsyncRedisCache;
use hitbox::policy::PolicyConfig;
use hitbox_redis::{ConnectionMode, RedisBackend};
use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

use crate::functions::{Failure, load};
use crate::types::{Renamed, Retyped, Swapped};

/// Who caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Annotated,
    AnnotatedPostcard,
    ByHand,
    Cached,
    Hitbox,
}

pub struct Caches {
    cache: Cache,
    connection: MultiplexedConnection,
    hitbox: hitbox_fn::Cache<RedisBackend>,
}

static URL: OnceLock<String> = OnceLock::new();

impl Caches {
    pub async fn open(url: &str) -> Result<Self, String> {
        URL.get_or_init(|| url.to_owned());
        let text = |error: &dyn std::error::Error| error.to_string();
        let cache = Cache::builder()
            .url(url)
            .build()
            .await
            .map_err(|e| text(&e))?;
        let client = redis::Client::open(url).map_err(|e| text(&e))?;
        let connection = client.get_multiplexed_async_connection().await;
        let backend = RedisBackend::builder().connection(ConnectionMode::single(url));
        let policy = PolicyConfig::builder().ttl(Duration::from_secs(3600));
        let hitbox = hitbox_fn::Cache::builder()
            .backend(backend.build().map_err(|e| text(&e))?)
            .policy(policy.build());
        Ok(Self {
            cache,
            connection: connection.map_err(|e| text(&e))?,
            hitbox: hitbox.build(),
        })
    }
}

async fn store<T>(prefix: &str) -> AsyncRedisCache<u64, T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send,
{
    let store = AsyncRedisCache::builder(prefix)
        .connection_string(URL.get().map_or("", String::as_str))
        .ttl(Duration::from_secs(3600));
    match store.build().await {
        Ok(store) => store,
        #[expect(clippy::panic, reason = "the macro takes a store and no error")]
        Err(error) => panic!("{error}"),
    }
}

async fn by_hand<T>(
    mut connection: MultiplexedConnection,
    key: &str,
    value: T,
) -> Result<T, Failure>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let found: Option<Vec<u8>> = connection.get(key).await.map_err(Failure::of)?;
    if let Some(bytes) = found {
        return rmp_serde::from_slice(&bytes).map_err(Failure::of);
    }
    let value = load(value)?;
    let bytes = rmp_serde::to_vec_named(&value).map_err(Failure::of)?;
    let stored: Result<(), _> = connection.set_ex(key, bytes, 3600).await;
    stored.map_err(Failure::of)?;
    Ok(value)
}

macro_rules! function {
    ($name:ident, $type:ident, $key:literal, $postcard:literal, $create:literal) => {
        mod $name {
            use super::*;

            #[cache_runtime::cached(ttl = 3600, key = $key, skip(cache), cache = cache, entry = false)]
            pub async fn annotated(cache: &Cache, id: u64) -> Result<$type, Failure> {
                load($type::LOADED)
            }

            #[cache_runtime::cached(ttl = 3600, key = $postcard, skip(cache), codec = Postcard, cache = cache, entry = false)]
            pub async fn annotated_postcard(cache: &Cache, id: u64) -> Result<$type, Failure> {
                load($type::LOADED)
            }

            #[cached::macros::concurrent_cached(
                ty = "AsyncRedisCache<u64, Value>",
                create = { store($create).await },
                map_error = |error| Failure::of(error)
            )]
            pub async fn cached(id: u64) -> Result<$type, Failure> {
                let _ = id;
                load($type::LOADED)
            }
            type Value = $type;

            #[hitbox_fn::cached(prefix = $create)]
            pub async fn hitbox(id: u64) -> Result<$type, Failure> {
                let _ = id;
                load($type::LOADED)
            }
        }

        impl Caches {
            pub async fn $name(&self, subject: Subject) -> Result<$type, Failure> {
                match subject {
                    Subject::Annotated => $name::annotated(&self.cache, 1).await,
                    Subject::AnnotatedPostcard => $name::annotated_postcard(&self.cache, 1).await,
                    Subject::Cached => $name::cached(1).await,
                    Subject::Hitbox => $name::hitbox(1).cache(&self.hitbox).await,
                    Subject::ByHand => {
                        by_hand(self.connection.clone(), stringify!($name), $type::LOADED).await
                    }
                }
            }
        }
    };
}

function!(
    swapped,
    Swapped,
    "swapped:{id}",
    "swapped-postcard:{id}",
    "swapped"
);
function!(
    retyped,
    Retyped,
    "retyped:{id}",
    "retyped-postcard:{id}",
    "retyped"
);
function!(
    renamed,
    Renamed,
    "renamed:{id}",
    "renamed-postcard:{id}",
    "renamed"
);
