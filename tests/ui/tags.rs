use cache_runtime::cached;

#[cached(ttl = 300, key = "n:{n}", tags = "all")]
async fn not_a_list(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", tags("all", n))]
async fn not_a_template(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "n:{n}", tags("of:{value}"))]
async fn not_an_argument(n: u64) -> u64 {
    let value = n;
    value
}

struct Opaque;

#[cached(ttl = 300, key = "n:{n}", tags("of:{opaque}"), skip(opaque))]
async fn not_displayed(n: u64, opaque: Opaque) -> u64 {
    let _ = opaque;
    n
}

fn main() {}
