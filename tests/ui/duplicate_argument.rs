use cache_runtime::cached;

#[cached(ttl = 300, key = "n:{n}", ttl = 600)]
async fn twice(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, ttl_with = |n| std::time::Duration::from_secs(*n))]
async fn both(n: u64) -> u64 {
    n
}

fn main() {}
