use cache_runtime::{cached, invalidates};

#[cached(ttl = 300)]
fn square(n: u64) -> u64 {
    n * n
}

#[invalidates(square(n))]
pub fn forget(n: u64) {
    let _ = n;
}

fn main() {
    // The functions themselves still type-check.
    forget(square(1));
}
