/// Everything that decides the value is an argument.
#[cached(ttl = "5m")]
pub async fn search(query: &str, page: u32) -> Vec<Hit> {
    index().search(query, page).await
}
