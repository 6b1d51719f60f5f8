use cache_runtime::{Entry, cached, invalidates};

struct Id(u64);

#[cached(ttl = 300, key = "user:{id.0}")]
async fn user(id: Id) -> u64 {
    id.0
}

#[invalidates(user(id))]
async fn remove(id: Id) -> u64 {
    id.0
}

fn main() {
    let _: Entry<u64> = user_entry(Id(1));
}
