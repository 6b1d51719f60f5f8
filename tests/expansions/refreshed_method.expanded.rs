pub(crate) async fn price(
    &self,
    id: ProductId,
    currency: &str,
) -> Result<Money, PriceError> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new(
        "price",
        "{self.tenant}:price:{id}:{currency}",
    );
    let plan = __cache::Probe::<Result<Money, PriceError>>::new()
        .at(&__SITE, &|| ())
        .cache(&(self.cache))
        .key(|key| {
            key
                .field(__cache::fill(&self.tenant).shown())
                .text(":price:")
                .field(__cache::fill(&id).shown())
                .text(":")
                .field(__cache::fill(&currency).shown())
        })
        .ttl(self.ttl)
        .stale_while_revalidate(self.stale)
        .stale_if_error(::core::time::Duration::new(3600, 0))
        .share_errors(__cache::Errors::<Result<Money, PriceError>>::new().sharing());
    plan.get_or_refresh(move || {
            let __self = ::cache_runtime::__private::Own::new(&self).own();
            let id = ::cache_runtime::__private::Own::new(&id).own();
            let currency = ::cache_runtime::__private::Own::new(&currency).own();
            async move {
                #[allow(unused_variables)]
                let (__self, mut id, currency) = (
                    __self.argument(),
                    id.argument(),
                    currency.argument(),
                );
                if let __cache::Some(typed) = __cache::nothing::<
                    Result<Money, PriceError>,
                >() {
                    return typed;
                }
                {
                    id.normalize();
                    tracing::info!(tenant = __self.tenant, "{currency}");
                    __self.backend.price(id).await
                }
            }
        })
        .await
}
/// The entry of `price` for these arguments: reads, stores and invalidates its value without calling it.
pub(crate) fn price_entry(
    &self,
    id: ProductId,
    currency: &str,
) -> ::cache_runtime::Entry<Result<Money, PriceError>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new(
        "price",
        "{self.tenant}:price:{id}:{currency}",
    );
    __cache::Probe::<Result<Money, PriceError>>::new()
        .at(&__SITE, &|| ())
        .cache(&(self.cache))
        .key(|key| {
            key
                .field(__cache::fill(&self.tenant).shown())
                .text(":price:")
                .field(__cache::fill(&id).shown())
                .text(":")
                .field(__cache::fill(&currency).shown())
        })
        .ttl(self.ttl)
        .stale_while_revalidate(self.stale)
        .stale_if_error(::core::time::Duration::new(3600, 0))
        .entry()
}
