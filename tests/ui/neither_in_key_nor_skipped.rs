use cache_runtime::cached;

struct Db;

#[cached(ttl = 300, key = "user:{id}")]
async fn find(db: &Db, id: u64) -> u64 {
    let Db = db;
    id
}

struct Shop;

impl Shop {
    #[cached(ttl = 300, key = "price:{id}")]
    async fn price(&self, id: u64) -> u64 {
        id
    }

    #[cached(ttl = 300, key = "{self.tenant}:{id}", skip(id, shop))]
    async fn skips_too_much(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
