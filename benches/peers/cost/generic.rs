use redis::AsyncCommands as _;

static CONNECTION: std::sync::OnceLock<redis::aio::MultiplexedConnection> =
    std::sync::OnceLock::new();

async fn cached<T>(
    key: &str,
    load: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut connection = CONNECTION.get().cloned().ok_or_else(|| Failure::of("no Redis"))?;
    let found: Option<Vec<u8>> = connection.get(key).await.map_err(Failure::of)?;
    if let Some(bytes) = found {
        return rmp_serde::from_slice(&bytes).map_err(Failure::of);
    }
    let value = load.await?;
    let bytes = rmp_serde::to_vec_named(&value).map_err(Failure::of)?;
    let stored: Result<(), _> = connection.set_ex(key, bytes, 300).await;
    stored.map_err(Failure::of)?;
    Ok(value)
}
// each
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    cached(&format!("functionNUMBER:{id}"), async move { ValueTYPE::of(id) }).await
}
