/// Everything that decides the value is an argument.
pub async fn search(query: &str, page: u32) -> Vec<Hit> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("search", "");
    let plan = __cache::Probe::<Vec<Hit>>::new()
        .at(&__SITE, &|| ())
        .key(|key| {
            let key = key.path("");
            let key = __cache::Arg::new(query).render(key);
            let key = __cache::Arg::new(&page).render(key);
            key
        })
        .ttl(::core::time::Duration::new(300, 0))
        .share_errors(__cache::Errors::<Vec<Hit>>::new().sharing());
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<Vec<Hit>>() {
                return typed;
            }
            { index().search(query, page).await }
        })
        .await
}
/// The entry of `search` for these arguments: reads, stores and invalidates its value without calling it.
pub fn search_entry(query: &str, page: u32) -> ::cache_runtime::Entry<Vec<Hit>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("search", "");
    __cache::Probe::<Vec<Hit>>::new()
        .at(&__SITE, &|| ())
        .key(|key| {
            let key = key.path("");
            let key = __cache::Arg::new(query).render(key);
            let key = __cache::Arg::new(&page).render(key);
            key
        })
        .ttl(::core::time::Duration::new(300, 0))
        .entry()
}
