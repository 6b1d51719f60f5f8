use cache_runtime::{cached, invalidates, updates};

#[cached(ttl = 300, key = "user:{id}")]
async fn user(id: u64) -> u64 {
    id
}

async fn plain(id: u64) -> u64 {
    id
}

#[invalidates(plain(id))]
async fn not_annotated(id: u64) {
    plain(id).await;
}

struct Repo;

impl Repo {
    #[updates(self.load(id), Self::find(id))]
    async fn save(&self, id: u64) -> u64 {
        user(id).await
    }
}

fn main() {}
