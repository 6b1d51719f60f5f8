use cache_runtime::cached;

struct Db;

#[cached(ttl = 300)]
async fn find(db: &Db, id: u64) -> u64 {
    let Db = db;
    id
}

impl Db {
    #[cached(ttl = 300)]
    async fn count(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
