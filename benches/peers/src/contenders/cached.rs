//! The crate `cached`: its macro over its Redis store.

use std::time::Duration;

use cached::AsyncRedisCache;

use crate::page::Page;

type Store = AsyncRedisCache<u64, Page>;

/// The store on a multiplexed connection, as it is by default. The macro has no other way to go on
/// than to panic if there is none.
async fn store(url: &str, managed: bool) -> Store {
    let store = Store::builder("page")
        .connection_string(url)
        .connection_manager(managed)
        .ttl(Duration::from_secs(3600));
    match store.build().await {
        Ok(store) => store,
        #[expect(clippy::panic, reason = "the macro takes a store and no error")]
        Err(error) => panic!("{error}"),
    }
}

/// The annotated function, whose one store is opened at its first call: for another server, another function.
macro_rules! cached_pages {
    ($($(#[$doc:meta])* $contender:ident in $module:ident, managed: $managed:literal;)*) => {$(
        pub use $module::$contender;

        mod $module {
            use std::sync::OnceLock;

            use cached::macros::concurrent_cached;
            use cached::{AsyncRedisCache, ConcurrentCachedAsync as _};

            use crate::contenders::Contender;
            use crate::origin::{self, Failure};
            use crate::page::Page;

            /// The address, which has to be known before the first call.
            static URL: OnceLock<String> = OnceLock::new();

            #[concurrent_cached(
                ty = "AsyncRedisCache<u64, Page>",
                create = { super::store(URL.get().map_or("", String::as_str), $managed).await },
                map_error = |error| Failure(error.to_string())
            )]
            async fn page(id: u64) -> Result<Page, Failure> {
                origin::load(id).await
            }

            $(#[$doc])*
            pub struct $contender(());

            impl $contender {
                pub fn new(url: &str) -> Self {
                    URL.get_or_init(|| url.to_owned());
                    Self(())
                }
            }

            impl Contender for $contender {
                type Value = Page;

                async fn get(&self, id: u64) -> Result<Page, Failure> {
                    page(id).await
                }

                async fn remove(&self, id: u64) -> Result<(), Failure> {
                    let store = PAGE.get().ok_or_else(|| Failure::of("not called yet"))?;
                    let removed = store.async_cache_remove(&id).await;
                    removed.map(drop).map_err(Failure::of)
                }
            }
        }
    )*};
}

cached_pages! {
    /// On the default connection.
    Cached in usual, managed: false;
    /// The same, with a server that has a processor of its own.
    CachedApart in apart, managed: false;
    /// The same, with a server on the same processor.
    CachedOnOne in on_one, managed: false;
    /// On a connection that comes back by itself: the feature `redis_connection_manager`.
    CachedManaged in managed, managed: true;
}
