async fn rename_user(id: u64, name: String) -> Result<User, DbError> {
    let mut write = ::cache_runtime::__private::Write::updating();
    let entry_0 = write.entry(|| get_user_entry(::core::clone::Clone::clone(&id)));
    write.target(&entry_0);
    let output = write
        .run(async move {
            if let ::core::option::Option::Some(typed) = ::core::option::Option::None::<
                Result<User, DbError>,
            > {
                return typed;
            }
            { Ok(store(id, name).await?) }
        })
        .await;
    if let Some(ret) = ::cache_runtime::__private::Success::<
        Result<User, DbError>,
    >::new()
        .of(&output)
    {
        write.update(entry_0.stage(ret));
        write.succeeded().await;
    } else {
        write.failed().await;
    }
    output
}
