use cache_runtime::cached;

trait Load {
    async fn load(&self, id: u64) -> u64;
}

struct Repo;

impl Load for Repo {
    // The trait does not declare `load_entry`: `entry = false` omits it.
    #[cached(ttl = 300, skip(self))]
    async fn load(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
