async fn route(Leg { from, mut to, .. }: Leg) -> Option<Route> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new(
        "route",
        "route:{from.lat}:{from.lon}:{to:?}",
    );
    let plan = __cache::Probe::<Option<Route>>::new()
        .at(&__SITE, &|| ())
        .key(|key| {
            key
                .text("route:")
                .field(__cache::fill(&from.lat).shown())
                .text(":")
                .field(__cache::fill(&from.lon).shown())
                .text(":")
                .field(::core::format_args!("{:?}", to))
        })
        .ttl(::core::time::Duration::new(60, 0))
        .share_errors(__cache::Errors::<Option<Route>>::new().sharing());
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<Option<Route>>() {
                return typed;
            }
            {
                to.normalize();
                plan(from, to).await
            }
        })
        .await
}
/// The entry of `route` for these arguments: reads, stores and invalidates its value without calling it.
fn route_entry(Leg { from, to, .. }: Leg) -> ::cache_runtime::Entry<Option<Route>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new(
        "route",
        "route:{from.lat}:{from.lon}:{to:?}",
    );
    __cache::Probe::<Option<Route>>::new()
        .at(&__SITE, &|| ())
        .key(|key| {
            key
                .text("route:")
                .field(__cache::fill(&from.lat).shown())
                .text(":")
                .field(__cache::fill(&from.lon).shown())
                .text(":")
                .field(::core::format_args!("{:?}", to))
        })
        .ttl(::core::time::Duration::new(60, 0))
        .entry()
}
