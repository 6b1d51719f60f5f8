pub(crate) async fn price(&self, id: ProductId) -> Result<Money, PriceError> {
    let plan = {
        use ::cache_runtime::__private::{self as __cache, Returns as _};
        static __SITE: __cache::Site = __cache::Site::new(
            "price",
            "{self.tenant}:price:{id}",
        );
        __cache::Probe::<Result<Money, PriceError>>::new()
            .shape()
            .plan(&__SITE, &|| ())
            .cache(&(self.cache))
            .key(|key| {
                key
                    .field(::core::format_args!("{}", self.tenant))
                    .text(":price:")
                    .field(::core::format_args!("{}", id))
            })
            .ttl(self.ttl)
            .share_errors(__cache::Errors::<Result<Money, PriceError>>::new().sharing())
    };
    plan.get_or_load(async move {
            if let ::core::option::Option::Some(typed) = ::core::option::Option::None::<
                Result<Money, PriceError>,
            > {
                return typed;
            }
            { self.backend.price(id).await }
        })
        .await
}
/// The entry of `price` for these arguments: reads, stores and invalidates its value without calling it.
#[must_use = "an entry does nothing until one of its methods is called"]
pub(crate) fn price_entry(
    &self,
    id: ProductId,
) -> ::cache_runtime::Entry<Result<Money, PriceError>> {
    use ::cache_runtime::__private::{self as __cache, Returns as _};
    static __SITE: __cache::Site = __cache::Site::new(
        "price",
        "{self.tenant}:price:{id}",
    );
    __cache::Probe::<Result<Money, PriceError>>::new()
        .shape()
        .plan(&__SITE, &|| ())
        .cache(&(self.cache))
        .key(|key| {
            key
                .field(::core::format_args!("{}", self.tenant))
                .text(":price:")
                .field(::core::format_args!("{}", id))
        })
        .ttl(self.ttl)
        .entry()
}
