async fn order(db: &Db, id: u64, customer: u64) -> Result<Order, DbError> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("order", "order:{id}");
    let plan = __cache::Probe::<Result<Order, DbError>>::new()
        .at(&__SITE, &|| ())
        .tag(|key| key.text("customer:").field(__cache::fill(&customer).shown()))
        .tag(|key| key.text("orders"))
        .key(|key| key.text("order:").field(__cache::fill(&id).shown()))
        .ttl(::core::time::Duration::new(300, 0))
        .share_errors(__cache::Errors::<Result<Order, DbError>>::new().sharing());
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<Result<Order, DbError>>() {
                return typed;
            }
            { db.order(id, customer).await }
        })
        .await
}
/// The entry of `order` for these arguments: reads, stores and invalidates its value without calling it.
fn order_entry(
    id: u64,
    customer: u64,
) -> ::cache_runtime::Entry<Result<Order, DbError>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("order", "order:{id}");
    __cache::Probe::<Result<Order, DbError>>::new()
        .at(&__SITE, &|| ())
        .tag(|key| key.text("customer:").field(__cache::fill(&customer).shown()))
        .tag(|key| key.text("orders"))
        .key(|key| key.text("order:").field(__cache::fill(&id).shown()))
        .ttl(::core::time::Duration::new(300, 0))
        .entry()
}
