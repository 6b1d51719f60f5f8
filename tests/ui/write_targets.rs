use cache_runtime::{cached, invalidates, updates};

#[cached(ttl = 300, key = "user:{id}")]
async fn user(id: u64) -> u64 {
    id
}

#[invalidates(user)]
async fn not_called(id: u64) {
    user(id).await;
}

#[invalidates(user(id).await)]
async fn awaited(id: u64) {
    user(id).await;
}

#[invalidates]
async fn nothing_named(id: u64) {
    user(id).await;
}

#[invalidates(user(id) = ret)]
async fn stores(id: u64) -> u64 {
    user(id).await
}

#[updates(tag("users"))]
async fn stores_nowhere(id: u64) -> u64 {
    user(id).await
}

#[invalidates(tag("org:{org}"))]
async fn unknown_placeholder(id: u64) {
    user(id).await;
}

#[invalidates(user(ret.id))]
async fn shadowed(ret: u64) -> u64 {
    ret
}

fn main() {}
