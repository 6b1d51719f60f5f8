#[updates(get_user(id))]
async fn rename_user(id: u64, name: String) -> Result<User, DbError> {
    Ok(store(id, name).await?)
}
