use std::sync::LazyLock;

use cache_runtime::{Policy, cached};

static LAZY: LazyLock<Policy> = LazyLock::new(|| Policy::DEFAULT);
const NUMBER: u64 = 5;

#[cached(ttl = 300, key = "n:{n}", policy = NUMBER)]
async fn a_number(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", policy = LAZY)]
async fn not_known_at_compile_time(n: u64) -> u64 {
    n
}

fn main() {}
