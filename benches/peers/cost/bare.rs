// each
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    ValueTYPE::of(id)
}
