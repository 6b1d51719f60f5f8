//! This project: the function with one more line above it.

use cache_runtime::{Cache, Postcard, cached};

use super::Contender;
use crate::origin::{self, Failure};
use crate::page::Page;

/// A cache on Redis with everything as it is by default.
pub async fn open(url: &str) -> Result<Cache, Failure> {
    let cache = Cache::builder().url(url).namespace("annotated").build();
    cache.await.map_err(Failure::of)
}

/// With the default codec, MessagePack.
pub struct Annotated(pub Cache);

impl Annotated {
    #[cached(ttl = 3600, key = "page:{id}", skip(self), cache = self.0)]
    async fn page(&self, id: u64) -> Result<Page, Failure> {
        origin::load(id).await
    }
}

impl Contender for Annotated {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        self.page(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.page_entry(id).invalidate().await.map_err(Failure::of)
    }
}

/// With `codec = Postcard`.
pub struct AnnotatedPostcard(pub Cache);

impl AnnotatedPostcard {
    #[cached(ttl = 3600, key = "postcard:{id}", skip(self), codec = Postcard, cache = self.0)]
    async fn page(&self, id: u64) -> Result<Page, Failure> {
        origin::load(id).await
    }
}

impl Contender for AnnotatedPostcard {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        self.page(id).await
    }

    async fn remove(&self, id: u64) -> Result<(), Failure> {
        self.page_entry(id).invalidate().await.map_err(Failure::of)
    }
}
