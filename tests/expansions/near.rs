#[cached(ttl = 300, key = "user:{id}", skip(db), near = "5s")]
async fn get_user(db: &Db, id: u64) -> Result<Arc<User>, DbError> {
    db.query(id).await
}
