use cache_runtime::{Json, cached};
// each
#[cached(ttl = 300, codec = Json, key = "functionNUMBER:{id}")]
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    ValueTYPE::of(id)
}
