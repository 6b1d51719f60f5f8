#[cached(
    ttl = self.ttl,
    key = "{self.tenant}:price:{id}:{currency}",
    cache = self.cache,
    stale_while_revalidate = self.stale,
    stale_if_error = "1h"
)]
pub(crate) async fn price(&self, mut id: ProductId, currency: &str) -> Result<Money, PriceError> {
    id.normalize();
    tracing::info!(tenant = self.tenant, "{currency}");
    self.backend.price(id).await
}
