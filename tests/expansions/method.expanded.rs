pub(crate) async fn price(&self, id: ProductId) -> Result<Money, PriceError> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new(
        "price",
        "{self.tenant}:price:{id}",
    );
    let plan = __cache::Probe::<Result<Money, PriceError>>::new()
        .at(&__SITE, &|| ())
        .cache(&(self.cache))
        .key(|key| {
            key
                .field(__cache::fill(&self.tenant).shown())
                .text(":price:")
                .field(__cache::fill(&id).shown())
        })
        .ttl(self.ttl)
        .share_errors(__cache::Errors::<Result<Money, PriceError>>::new().sharing());
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<
                Result<Money, PriceError>,
            >() {
                return typed;
            }
            { self.backend.price(id).await }
        })
        .await
}
/// The entry of `price` for these arguments: reads, stores and invalidates its value without calling it.
pub(crate) fn price_entry(
    &self,
    id: ProductId,
) -> ::cache_runtime::Entry<Result<Money, PriceError>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new(
        "price",
        "{self.tenant}:price:{id}",
    );
    __cache::Probe::<Result<Money, PriceError>>::new()
        .at(&__SITE, &|| ())
        .cache(&(self.cache))
        .key(|key| {
            key
                .field(__cache::fill(&self.tenant).shown())
                .text(":price:")
                .field(__cache::fill(&id).shown())
        })
        .ttl(self.ttl)
        .entry()
}
