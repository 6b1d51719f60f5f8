#[cached(ttl = 60)]
async fn load<T: Table, const PAGE: usize>(id: impl Into<u64> + Serialize) -> Result<Vec<T::Row>, DbError>
where
    T::Row: Serialize + DeserializeOwned + 'static,
{
    T::load::<PAGE>(id.into()).await
}
