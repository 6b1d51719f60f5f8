use hitbox_fn::cached;

static CACHE: std::sync::OnceLock<hitbox_fn::Cache<hitbox_redis::RedisBackend>> =
    std::sync::OnceLock::new();

fn cache() -> &'static hitbox_fn::Cache<hitbox_redis::RedisBackend> {
    CACHE.get_or_init(|| {
        let mode = hitbox_redis::ConnectionMode::single("redis://127.0.0.1");
        let backend = hitbox_redis::RedisBackend::builder().connection(mode);
        let policy = hitbox::policy::PolicyConfig::builder();
        hitbox_fn::Cache::builder()
            .backend(backend.build().unwrap())
            .policy(policy.ttl(std::time::Duration::from_secs(300)).build())
            .build()
    })
}
// each
#[cached(prefix = "functionNUMBER")]
pub async fn cachedNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    ValueTYPE::of(id)
}

pub async fn functionNUMBER(id: u64) -> Result<ValueTYPE, Failure> {
    cachedNUMBER(id).cache(cache()).await
}
