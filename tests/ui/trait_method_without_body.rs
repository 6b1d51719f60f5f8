use cache_runtime::cached;

trait Load {
    #[cached(ttl = 300, skip(self))]
    async fn load(&self, id: u64) -> u64;
}

fn main() {}
