async fn get_user(db: &Db, id: u64) -> Result<Arc<User>, DbError> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("get_user", "user:{id}");
    use __cache::NearFor as _;
    let plan = match __cache::Probe::<Result<Arc<User>, DbError>>::new()
        .at(&__SITE, &|| ())
        .near_for(::core::time::Duration::new(5, 0))
        .find(
            [__cache::fill(&id).number()],
            |key| key.text("user:").field(__cache::fill(&id).shown()),
        )
    {
        __cache::Near::Hit(hit) => return hit,
        __cache::Near::Miss(mut at) => {
            at.ttl(::core::time::Duration::new(300, 0))
                .share_errors(
                    __cache::Errors::<Result<Arc<User>, DbError>>::new().sharing(),
                )
        }
    };
    __cache::apart(
            plan
                .get_or_load(async move {
                    if let __cache::Some(typed) = __cache::nothing::<
                        Result<Arc<User>, DbError>,
                    >() {
                        return typed;
                    }
                    { db.query(id).await }
                }),
        )
        .await
}
/// The entry of `get_user` for these arguments: reads, stores and invalidates its value without calling it.
fn get_user_entry(id: u64) -> ::cache_runtime::Entry<Result<Arc<User>, DbError>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("get_user", "user:{id}");
    __cache::Probe::<Result<Arc<User>, DbError>>::new()
        .at(&__SITE, &|| ())
        .key(|key| key.text("user:").field(__cache::fill(&id).shown()))
        .ttl(::core::time::Duration::new(300, 0))
        .entry()
}
