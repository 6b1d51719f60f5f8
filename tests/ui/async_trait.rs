//! What `#[async_trait]` hands to attributes inside it.

use std::future::Future;
use std::pin::Pin;

use cache_runtime::{cached, updates};

struct Repo;

trait Load {
    fn load<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>>;
    fn save<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>>;
}

impl Load for Repo {
    #[cached(ttl = 300, skip(self))]
    fn load<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
        Box::pin(async move { id })
    }

    #[updates(self.load(id))]
    fn save<'a>(&'a self, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
        Box::pin(async move { id })
    }
}

fn main() {}
