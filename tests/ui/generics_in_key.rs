//! Type and const parameters that neither an argument nor the value tells.

use cache_runtime::cached;

struct Rows<T>(T);

#[cached(ttl = 300, key = "count:{id}")]
async fn count<T, const LIMIT: usize>(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "fine:{id}", skip(db, B))]
async fn fine<A: Default, B, C>(db: &Rows<C>, id: u64) -> Vec<A>
where
    A: serde::Serialize + serde::de::DeserializeOwned + 'static,
{
    let _ = (&db.0, id);
    Vec::new()
}

fn main() {
    let _ = fine::<u8, String, u8>(&Rows(1), 1);
    let _ = fine_entry::<u8, String, u8>(1);
}
