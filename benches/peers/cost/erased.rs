use redis::AsyncCommands as _;

static CONNECTION: std::sync::OnceLock<redis::aio::MultiplexedConnection> =
    std::sync::OnceLock::new();

type Load<'a> = std::pin::Pin<&'a mut (dyn Future<Output = Result<Vec<u8>, Failure>> + Send)>;

async fn look_up(key: &str, load: Load<'_>) -> Result<Vec<u8>, Failure> {
    let mut connection = CONNECTION.get().cloned().ok_or_else(|| Failure::of("no Redis"))?;
    let found: Option<Vec<u8>> = connection.get(key).await.map_err(Failure::of)?;
    if let Some(bytes) = found {
        return Ok(bytes);
    }
    let bytes = load.await?;
    let stored: Result<(), _> = connection.set_ex(key, bytes.as_slice(), 300).await;
    stored.map_err(Failure::of)?;
    Ok(bytes)
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Failure> {
    rmp_serde::to_vec_named(value).map_err(Failure::of)
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    rmp_serde::from_slice(bytes).map_err(Failure::of)
}

async fn cached<T>(
    key: &str,
    load: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure>
where
    T: serde::Serialize + serde::de::DeserializeOwned + Send,
{
    let mut loaded = None;
    let bytes = {
        let load = std::pin::pin!(async {
            let value = load.await?;
            let bytes = encode(&value)?;
            loaded = Some(value);
            Ok(bytes)
        });
        look_up(key, load).await?
    };
    match loaded {
        Some(value) => Ok(value),
        None => decode(&bytes),
    }
}
// each
pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    cached(&format!("functionNUMBER:{id}"), async move { ValueTYPE::of(id) }).await
}
