async fn insert_user(state: &State, user: NewUser) -> Result<(User, Receipt), DbError> {
    use ::cache_runtime::__private as __cache;
    let mut write = __cache::Write::updating().cache(&(state.cache));
    let output = write
        .run(async move {
            if let __cache::Some(typed) = __cache::nothing::<
                Result<(User, Receipt), DbError>,
            >() {
                return typed;
            }
            { state.insert(user).await }
        })
        .await;
    if let __cache::Some(ret) = __cache::Success::<
        Result<(User, Receipt), DbError>,
    >::new()
        .of(&output)
    {
        let entry_0 = write.entry(|| users::get_entry(ret.0.id));
        write.target(&entry_0);
        write.update(entry_0.stage(&ret.0));
        write.tag(|key| key.text("users:").field(__cache::fill(&ret.0.org).shown()));
        write.succeeded().await;
    } else {
        write.failed().await;
    }
    output
}
