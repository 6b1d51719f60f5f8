#[invalidates(get_user(id), self.orders.list(org), tag("org:{org}"), only_ok)]
pub async fn delete_user(&self, id: u64, org: OrgId) -> Result<(), DbError> {
    self.db.delete(id, org).await
}
