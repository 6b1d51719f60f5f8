//! This project, with `near`.

use cache_runtime::{Cache, cached};

use super::Copying;
use crate::coherence::sites;
use crate::origin::Failure;

/// Two caches of the same function: to each other they are as two processes.
pub struct Annotated {
    here: Numbers,
    elsewhere: Numbers,
}

struct Numbers(Cache);

impl Numbers {
    async fn open(url: &str) -> Result<Self, Failure> {
        let cache = sites::patient(url, "race").build().await;
        cache.map(Self).map_err(Failure::of)
    }

    /// Everything is written before it is read.
    #[cached(ttl = 3600, key = "number:{id}", skip(self), near, cache = self.0)]
    async fn number(&self, id: u64) -> Result<u64, Failure> {
        Err(Failure(format!("{id} was lost")))
    }
}

impl Annotated {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        Ok(Self {
            here: Numbers::open(url).await?,
            elsewhere: Numbers::open(url).await?,
        })
    }
}

impl Copying for Annotated {
    async fn read(&self, id: u64) -> Result<u64, Failure> {
        self.here.number(id).await
    }

    /// One plain `SET`, as of any client; the cache that reads does not take part in it.
    async fn write(&self, id: u64, number: u64) -> Result<(), Failure> {
        let put = self.elsewhere.number_entry(id).put(&number).await;
        put.map_err(Failure::of)
    }

    async fn served(&self, _: u64) -> Result<u64, Failure> {
        let stats = self.here.0.stats();
        let function = stats.function("number");
        let function = function.ok_or_else(|| Failure::of("nothing was read"))?;
        Ok(function.near)
    }
}
