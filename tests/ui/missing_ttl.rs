use cache_runtime::cached;

#[cached]
async fn bare(n: u64) -> u64 {
    n
}

#[cached(key = "n:{n}")]
async fn with_key(n: u64) -> u64 {
    n
}

fn main() {
    // A stand-in keeps this from being a second error.
    let _ = with_key_entry(1);
}
