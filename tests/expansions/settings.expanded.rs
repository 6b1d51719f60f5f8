async fn fetch_token(client: &str, fresh: bool) -> Result<Option<Token>, AuthError> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("fetch_token", "token:{client}");
    let plan = __cache::Probe::<Result<Option<Token>, AuthError>>::new()
        .at(&__SITE, &|| ())
        .key(|key| key.text("token:").field(__cache::fill(&client).shown()))
        .bypass(fresh)
        .ttl_with(|token: &Token| token.lifetime())
        .none_ttl(::core::time::Duration::new(30, 0))
        .cache_if(|token| token.is_some())
        .codec::<Json>()
        .policy({
            const __POLICY: __cache::Policy = __cache::checked(&AUTH, false, false);
            &__POLICY
        })
        .share_errors(
            __cache::Errors::<Result<Option<Token>, AuthError>>::new().sharing(),
        );
    plan.get_or_load(async move {
            if let __cache::Some(typed) = __cache::nothing::<
                Result<Option<Token>, AuthError>,
            >() {
                return typed;
            }
            { exchange(client).await }
        })
        .await
}
/// The entry of `fetch_token` for these arguments: reads, stores and invalidates its value without calling it.
fn client_token(
    client: &str,
) -> ::cache_runtime::Entry<Result<Option<Token>, AuthError>> {
    use ::cache_runtime::__private as __cache;
    static __SITE: __cache::Site = __cache::Site::new("fetch_token", "token:{client}");
    __cache::Probe::<Result<Option<Token>, AuthError>>::new()
        .at(&__SITE, &|| ())
        .key(|key| key.text("token:").field(__cache::fill(&client).shown()))
        .ttl_with(|token: &Token| token.lifetime())
        .none_ttl(::core::time::Duration::new(30, 0))
        .cache_if(|token| token.is_some())
        .codec::<Json>()
        .policy(&(AUTH))
        .entry()
}
