async fn get_user(db: &Db, id: u64) -> Result<User, DbError> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("get_user", "user:{id}");
    let plan = __cache::Probe::<Result<User, DbError>>::new()
        .at(&__SITE, &|| ())
        .key(|key| key.text("user:").field(__cache::fill(&id).shown()))
        .ttl(::core::time::Duration::new(300, 0))
        .share_errors(__cache::Errors::<Result<User, DbError>>::new().sharing());
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<Result<User, DbError>>() {
                return typed;
            }
            { db.query(id).await }
        })
        .await
}
/// The entry of `get_user` for these arguments: reads, stores and invalidates its value without calling it.
fn get_user_entry(id: u64) -> ::cache_runtime::Entry<Result<User, DbError>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("get_user", "user:{id}");
    __cache::Probe::<Result<User, DbError>>::new()
        .at(&__SITE, &|| ())
        .key(|key| key.text("user:").field(__cache::fill(&id).shown()))
        .ttl(::core::time::Duration::new(300, 0))
        .entry()
}
