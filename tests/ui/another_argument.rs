use cache_runtime::{cached, invalidates};

#[cached(ttl = 300, key = "user:{id}")]
async fn user(id: u64) -> u64 {
    id
}

#[invalidates(user(&id))]
async fn by_reference(id: u64) {
    user(id).await;
}

#[invalidates(user(name))]
async fn by_name(name: &str) {
    user(name.len() as u64).await;
}

#[invalidates(user(id, true))]
async fn by_two(id: u64) {
    user(id).await;
}

fn main() {}
