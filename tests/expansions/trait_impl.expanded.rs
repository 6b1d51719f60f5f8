async fn load(&self, id: u64) -> Result<Self::Item, &'static str> {
    let plan = {
        use ::cache_runtime::__private::{self as __cache, Returns as _};
        static __SITE: __cache::Site = __cache::Site::new("load", "");
        __cache::Probe::<Result<Self::Item, &'static str>>::new()
            .shape()
            .plan(&__SITE, &|| ())
            .key(|key| {
                let key = key.path("");
                let key = __cache::Arg::new(&id).render(key);
                key
            })
            .ttl(::core::time::Duration::new(3600, 0))
    };
    plan.get_or_load(async move {
            if let ::core::option::Option::Some(typed) = ::core::option::Option::None::<
                Result<Self::Item, &'static str>,
            > {
                return typed;
            }
            { self.find(id).await.ok_or("no such item") }
        })
        .await
}
