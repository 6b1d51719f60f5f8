//! stand-in
use crate::{
    config::RedisConfig,
    error::{ConfigError, StoreError, StoreErrorKind},
    key::Key,
};
use bytes::Bytes;
use std::time::Duration;
#[derive(Debug, Clone)]
pub struct RedisStore;
fn no<T>() -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Unavailable, "stand-in"))
}
impl RedisStore {
    pub fn new(_: &RedisConfig) -> Result<Self, ConfigError> {
        Ok(Self)
    }
    pub(super) async fn get(&self, _: &Key) -> Result<Option<Bytes>, StoreError> {
        no()
    }
    pub(super) async fn put(&self, _: &Key, _: &Bytes, _: Duration) -> Result<(), StoreError> {
        no()
    }
    pub(super) async fn delete(&self, _: &[Key]) -> Result<u64, StoreError> {
        no()
    }
    pub(super) async fn clear(&self, _: &str) -> Result<u64, StoreError> {
        no()
    }
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        no()
    }
    pub(super) async fn connection(&self) -> Result<deadpool_redis::Connection, StoreError> {
        no()
    }
    pub(super) fn shutdown(&self) {}
}
