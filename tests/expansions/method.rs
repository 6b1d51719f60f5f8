#[cached(ttl = self.ttl, key = "{self.tenant}:price:{id}", cache = self.cache)]
pub(crate) async fn price(&self, id: ProductId) -> Result<Money, PriceError> {
    self.backend.price(id).await
}
