#[cached(
    ttl_with = |token: &Token| token.lifetime(),
    none_ttl = "30s",
    key = "token:{client}",
    skip(fresh),
    cache_if = |token| token.is_some(),
    bypass_if = fresh,
    codec = Json,
    policy = AUTH,
    entry = client_token
)]
async fn fetch_token(client: &str, fresh: bool) -> Result<Option<Token>, AuthError> {
    exchange(client).await
}
