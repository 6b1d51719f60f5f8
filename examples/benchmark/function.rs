//! The function to measure. Replace the value and the body of `look_up_uncached` with your own;
//! what else it needs, such as a pool of database connections, goes in a `static OnceLock`.

use std::io;
use std::time::Duration;

use cache_runtime::cached;
use serde::{Deserialize, Serialize};

/// What your function returns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Product {
    pub id: u64,
    pub name: String,
    pub price: u64,
}

/// Calls go round these arguments, from 0 on.
pub const ARGUMENTS: u64 = 100;

/// As it is: here a query that takes 5 ms.
pub async fn look_up_uncached(id: u64) -> io::Result<Product> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(Product {
        id,
        name: format!("Product number {id}, with a description of some length"),
        price: 100 * id,
    })
}

/// The same, annotated.
#[cached(ttl = "10m", key = "product:{id}")]
pub async fn look_up(id: u64) -> io::Result<Product> {
    look_up_uncached(id).await
}
