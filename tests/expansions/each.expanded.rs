async fn get_users(db: &Db, ids: &[u64]) -> Result<HashMap<u64, User>, DbError> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("get_users", "user:{id}");
    __cache::Batch::<Result<HashMap<u64, User>, DbError>, __cache::Present>::of(ids)
        .each(|id| __cache::Each::Ask(
            __cache::Probe::<
                ::cache_runtime::__private::One<Result<HashMap<u64, User>, DbError>>,
            >::new()
                .at(&__SITE, &|| ())
                .key(|key| key.text("user:").field(__cache::fill(&id).shown()))
                .ttl(::core::time::Duration::new(300, 0))
                .share_errors(
                    __cache::Errors::<
                        ::cache_runtime::__private::One<
                            Result<HashMap<u64, User>, DbError>,
                        >,
                    >::new()
                        .sharing(),
                ),
        ))
        .get_or_load(move |ids| {
            async move {
                let ids: <[u64] as ::std::borrow::ToOwned>::Owned = ids
                    .into_iter()
                    .collect();
                #[allow(unused_variables)]
                let ids: &[u64] = &ids;
                if let __cache::Some(typed) = __cache::nothing::<
                    Result<HashMap<u64, User>, DbError>,
                >() {
                    return typed;
                }
                { db.query(ids).await }
            }
        })
        .await
}
/// The entry of `get_users` for these arguments: reads, stores and invalidates its value without calling it.
fn get_users_entry(
    id: ::cache_runtime::__private::Id<Result<HashMap<u64, User>, DbError>>,
) -> ::cache_runtime::Entry<
    ::cache_runtime::__private::One<Result<HashMap<u64, User>, DbError>>,
> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("get_users", "user:{id}");
    let id = &id;
    __cache::Probe::<
        ::cache_runtime::__private::One<Result<HashMap<u64, User>, DbError>>,
    >::new()
        .at(&__SITE, &|| ())
        .key(|key| key.text("user:").field(__cache::fill(&id).shown()))
        .ttl(::core::time::Duration::new(300, 0))
        .entry()
}
