#[cached(ttl = 300, key = "user:{id}", skip(db), stale_while_revalidate = "1m")]
async fn get_user(db: &Db, id: u64) -> Result<User, DbError> {
    db.query(id).await
}
