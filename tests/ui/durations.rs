use cache_runtime::cached;

#[cached(ttl = 0)]
async fn zero(n: u64) -> u64 {
    n
}

#[cached(ttl = "5")]
async fn no_unit(n: u64) -> u64 {
    n
}

#[cached(ttl = "5 minutes")]
async fn unknown_unit(n: u64) -> u64 {
    n
}

#[cached(ttl = "30m1h")]
async fn disordered(n: u64) -> u64 {
    n
}

#[cached(ttl = 1.5)]
async fn fraction(n: u64) -> u64 {
    n
}

#[cached(ttl = 5m)]
async fn unquoted(n: u64) -> u64 {
    n
}

#[cached(ttl = -1)]
async fn negative(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, none_ttl = "")]
async fn empty(n: u64) -> Option<u64> {
    Some(n)
}

#[cached(ttl = 300, stale_while_revalidate = 0, stale_if_error = "5")]
async fn stale(n: u64) -> u64 {
    n
}

const TTL: u64 = 300;

#[cached(ttl = TTL)]
async fn not_a_duration(n: u64) -> u64 {
    n
}

fn main() {}
