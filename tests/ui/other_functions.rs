use cache_runtime::cached;

#[cached(ttl = 300)]
async unsafe fn not_safe(n: u64) -> u64 {
    n
}

#[cached(ttl = 300)]
async extern "C" fn another_abi(n: u64) -> u64 {
    n
}

fn main() {}
