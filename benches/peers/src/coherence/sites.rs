//! [`Sites`]: annotated functions as an application has them, with and without copies.

use std::time::{Duration, Instant};

use cache_runtime::{Builder, Cache, Outcome, Policy, cached, outcome};

use super::PATIENCE;
use crate::origin::Failure;

const NAMESPACE: &str = "shop";

/// What Redis calls the entry of [`Sites::copied`].
pub fn key(id: u64) -> String {
    format!("{NAMESPACE}:copied:{id}")
}

/// A cache that waits for Redis: a busy machine is no reason to answer without it here.
pub fn patient(url: &str, namespace: &str) -> Builder {
    let policy = Policy::DEFAULT.timeout(PATIENCE);
    Cache::builder()
        .url(url)
        .namespace(namespace)
        .policy(policy)
}

/// As if in a process of its own: with its own connections and its own copies.
#[derive(Clone)]
pub struct Sites(pub Cache);

impl Sites {
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let cache = patient(url, NAMESPACE).build().await;
        let sites = Self(cache.map_err(Failure::of)?);
        // Others change the entry by this name.
        match sites.copied_entry(1).key() == key(1) {
            true => Ok(sites),
            false => Err(Failure::of("the entry has another key")),
        }
    }

    #[cached(ttl = 3600, key = "copied:{id}", skip(self), near, cache = self.0)]
    pub async fn copied(&self, id: u64) -> u64 {
        id
    }

    #[cached(ttl = 3600, key = "asked:{id}", skip(self), cache = self.0)]
    pub async fn asked(&self, id: u64) -> u64 {
        id
    }

    /// Whether a copy has served this call.
    pub async fn is_near(&self, id: u64) -> bool {
        outcome(self.copied(id)).await.1 == Outcome::Near
    }

    /// Calls until a copy serves, which shows that the server tells of changes.
    pub async fn until_near(&self, id: u64) -> Result<(), Failure> {
        let start = Instant::now();
        while !self.is_near(id).await {
            if start.elapsed() > PATIENCE {
                return Err(Failure(format!("no copy of {id} serves")));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}
