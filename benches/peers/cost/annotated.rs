use cache_runtime::cached;
// each
#[cached(ttl = 300, key = "functionNUMBER:{id}")]
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    ValueTYPE::of(id)
}
