use cache_runtime::{Postcard, cached};
// each
#[cached(ttl = 300, codec = Postcard, key = "functionNUMBER:{id}")]
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    ValueTYPE::of(id)
}
