async fn load<T: Table, const PAGE: usize>(
    id: impl Into<u64> + Serialize,
) -> Result<Vec<T::Row>, DbError>
where
    T::Row: Serialize + DeserializeOwned + 'static,
{
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("load", "");
    let plan = __cache::Probe::<Result<Vec<T::Row>, DbError>>::new()
        .at(&__SITE, &|| ())
        .key(|key| {
            let key = key
                .path(
                    ::core::any::type_name_of_val(
                        &(::core::marker::PhantomData::<(*const T,)>, &id),
                    ),
                );
            let key = __cache::Arg::new(&PAGE).render(key);
            let key = __cache::Arg::new(&id).render(key);
            key
        })
        .ttl(::core::time::Duration::new(60, 0));
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<
                Result<Vec<T::Row>, DbError>,
            >() {
                return typed;
            }
            { T::load::<PAGE>(id.into()).await }
        })
        .await
}
/// The entry of `load` for these arguments: reads, stores and invalidates its value without calling it.
fn load_entry<T: Table, const PAGE: usize>(
    id: impl Into<u64> + Serialize,
) -> ::cache_runtime::Entry<Result<Vec<T::Row>, DbError>>
where
    T::Row: Serialize + DeserializeOwned + 'static,
{
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("load", "");
    __cache::Probe::<Result<Vec<T::Row>, DbError>>::new()
        .at(&__SITE, &|| ())
        .key(|key| {
            let key = key
                .path(
                    ::core::any::type_name_of_val(
                        &(::core::marker::PhantomData::<(*const T,)>, &id),
                    ),
                );
            let key = __cache::Arg::new(&PAGE).render(key);
            let key = __cache::Arg::new(&id).render(key);
            key
        })
        .ttl(::core::time::Duration::new(60, 0))
        .entry()
}
