use cache_runtime::cached;

#[cached(tll = 300)]
async fn mistyped(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, refresh_ahead = "5m")]
async fn unheard_of(n: u64) -> u64 {
    n
}

fn main() {}
