#[cached(ttl = 300, key = "user:{id}", skip(db))]
async fn get_user(db: &Db, id: u64) -> Result<User, DbError> {
    db.query(id).await
}
