async fn rename_user(id: u64, name: String) -> Result<User, DbError> {
    use ::cache_runtime::__private as __cache;
    let mut write = __cache::Write::updating();
    let entry_0 = write.entry(|| get_user_entry(::core::clone::Clone::clone(&id)));
    write.target(&entry_0);
    let output = write
        .run(async move {
            if let __cache::Some(typed) = __cache::nothing::<Result<User, DbError>>() {
                return typed;
            }
            { Ok(store(id, name).await?) }
        })
        .await;
    if let __cache::Some(ret) = __cache::Success::<Result<User, DbError>>::new()
        .of(&output)
    {
        write.update(entry_0.stage(ret));
        write.succeeded().await;
    } else {
        write.failed().await;
    }
    output
}
