use cache_runtime::{Bincode, cached};
// each
#[cached(ttl = 300, codec = Bincode, key = "functionNUMBER:{id}")]
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    ValueTYPE::of(id)
}
