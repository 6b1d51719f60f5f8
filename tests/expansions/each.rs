#[cached(ttl = 300, key = "user:{id}", skip(db), each(id in ids))]
async fn get_users(db: &Db, ids: &[u64]) -> Result<HashMap<u64, User>, DbError> {
    db.query(ids).await
}
