pub async fn delete_user(&self, id: u64, org: OrgId) -> Result<(), DbError> {
    use ::cache_runtime::__private as __cache;
    let mut write = __cache::Write::new().only_ok();
    let entry_0 = write.entry(|| get_user_entry(::core::clone::Clone::clone(&id)));
    write.target(&entry_0);
    let entry_1 = write
        .entry(|| self.orders.list_entry(::core::clone::Clone::clone(&org)));
    write.target(&entry_1);
    write.tag(|key| key.text("org:").field(__cache::fill(&org).shown()));
    let output = write
        .run(async move {
            if let __cache::Some(typed) = __cache::nothing::<Result<(), DbError>>() {
                return typed;
            }
            { self.db.delete(id, org).await }
        })
        .await;
    if let __cache::Some(_ret) = __cache::Success::<Result<(), DbError>>::new()
        .of(&output)
    {
        write.succeeded().await;
    } else {
        write.failed().await;
    }
    output
}
