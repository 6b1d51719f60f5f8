use std::borrow::Cow;
use std::pin::Pin;

use cache_runtime::cached;

#[cached(ttl = 300, key = "n:{n:?}", stale_while_revalidate = "1m")]
async fn option(n: Option<&str>) -> usize {
    n.map_or(0, str::len)
}

#[cached(ttl = 300, key = "n:{n:?}", stale_while_revalidate = "1m")]
async fn slice(n: &[&str]) -> usize {
    n.len()
}

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn cow(n: Cow<'_, str>) -> usize {
    n.len()
}

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m")]
async fn not_static<T: std::fmt::Display + Clone + Send>(n: T) -> String {
    n.to_string()
}

#[derive(Clone)]
struct Shop(u64);

impl Shop {
    #[cached(ttl = 300, key = "n:{self.0}", stale_while_revalidate = "1m")]
    async fn pinned(self: Pin<&Self>) -> u64 {
        self.0
    }
}

fn main() {}
