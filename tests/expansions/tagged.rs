#[cached(ttl = 300, key = "order:{id}", tags("customer:{customer}", "orders"), skip(db, customer))]
async fn order(db: &Db, id: u64, customer: u64) -> Result<Order, DbError> {
    db.order(id, customer).await
}
