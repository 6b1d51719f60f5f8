use cache_runtime::{cached, updates};

#[cached(ttl = 300)]
struct User {
    id: u64,
}

#[updates(get_user(1))]
const ID: u64 = 1;

fn main() {
    let _ = User { id: ID };
}
