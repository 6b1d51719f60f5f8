use cache_runtime::cached;

#[cached(ttl = "5x", key = "user:{id}", codec, skip(db), colour = "red")]
async fn get_user(id: u64, fresh: bool) -> u64 {
    if fresh { id + 1 } else { id }
}

#[cached(ttl = 300, key = 5, entry = "name")]
async fn get_order(id: u64) -> u64 {
    // The body is still checked.
    let wrong: &str = id;
    id
}

async fn caller() -> u64 {
    get_user(1, false).await + get_order(2).await
}

fn main() {
    let _ = caller();
}
