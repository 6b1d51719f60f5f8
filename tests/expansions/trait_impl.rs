#[cached(ttl = "1h", skip(self), entry = false)]
async fn load(&self, id: u64) -> Result<Self::Item, &'static str> {
    self.find(id).await.ok_or("no such item")
}
