use std::time::Duration;

use cache_runtime::cached;

#[cached(ttl = 300, none_ttl = 5, key = "n:{n}")]
async fn never_none(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", cache_if = n > 3)]
async fn not_a_function(n: u64) -> u64 {
    n
}

#[cached(ttl_with = |user: &String| Duration::from_secs(5), key = "n:{n}")]
async fn of_another_value(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", bypass_if = n)]
async fn not_a_condition(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", cache = n, policy = n)]
async fn not_a_cache(n: u64) -> u64 {
    n
}

fn main() {}
