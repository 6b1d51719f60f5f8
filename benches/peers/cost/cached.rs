use cached::macros::concurrent_cached;
// each
#[concurrent_cached(redis = true, ttl_secs = 300, map_error = |error| Failure::of(error))]
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    ValueTYPE::of(id)
}
