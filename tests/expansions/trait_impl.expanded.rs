async fn load(&self, id: u64) -> Result<Self::Item, &'static str> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("load", "");
    let plan = __cache::Probe::<Result<Self::Item, &'static str>>::new()
        .at(&__SITE, &|| ())
        .key(|key| {
            let key = key.path("");
            let key = __cache::Arg::new(&id).render(key);
            key
        })
        .ttl(::core::time::Duration::new(3600, 0));
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<
                Result<Self::Item, &'static str>,
            >() {
                return typed;
            }
            { self.find(id).await.ok_or("no such item") }
        })
        .await
}
