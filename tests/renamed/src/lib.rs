//! Generated code finds the runtime under the name that `Cargo.toml` gives it, and is documented where
//! the annotated function is public.

#![deny(missing_docs, unreachable_pub, warnings, clippy::pedantic)]

use caching::{cached, invalidates, updates};

/// The square of a number.
///
/// # Errors
/// If it is too large.
#[cached(ttl = 300, key = "square:{n}")]
pub async fn square(n: u64) -> Result<u64, Overflow> {
    n.checked_mul(n).ok_or(Overflow)
}

/// Stores a square.
///
/// # Errors
/// If it is too large.
#[updates(square(n))]
pub async fn store(n: u64, square: u64) -> Result<u64, Overflow> {
    if square == 0 {
        Err(Overflow)
    } else {
        Ok(square)
    }
}

/// Forgets a square.
#[invalidates(square(n))]
pub async fn forget(n: u64) {}

/// The number is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_attributes_find_the_renamed_runtime() {
        let calls = Box::pin(async {
            assert_eq!(square(3).await, Ok(9));
            assert_eq!(store(3, 10).await, Ok(10));
            assert_eq!(square_entry(3).peek().await.ok(), Some(Some(10)));
            forget(3).await;
            assert_eq!(square(3).await, Ok(9));
        });
        caching::Cache::memory().scope(calls).await;
    }
}
