use std::time::Duration;

use cache_runtime::{Policy, cached};

const EAGER: Policy = Policy::DEFAULT.early_refresh(1.0);
static IMPATIENT: Policy = Policy::DEFAULT.soft_timeout(Duration::from_millis(50));

#[cached(ttl = 300, key = "n:{n}", policy = EAGER)]
async fn early_refresh(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", stale_if_error = "1h", policy = IMPATIENT)]
async fn soft_timeout(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", stale_while_revalidate = "1m", policy = IMPATIENT)]
async fn nothing_old(n: u64) -> u64 {
    n
}

const MORE_THAN_ALL: Policy = Policy::DEFAULT.jitter(1.5);

#[cached(ttl = 300, key = "n:{n}", policy = MORE_THAN_ALL)]
async fn jitter(n: u64) -> u64 {
    n
}

fn main() {
    let _ = nothing_old(1);
    let _ = jitter(1);
    let _ = early_refresh(1);
    let _ = soft_timeout(1);
}
