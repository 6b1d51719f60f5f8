//! A body of one line, which rustc's own lints look at as well.

use cache_runtime::{Cache, cached, invalidates};

#[rustfmt::skip]
#[cached(ttl = 300, key = "square:{n}")]
async fn square(n: u64) -> u64 { n * n }

#[rustfmt::skip]
#[invalidates(square(n))]
async fn forget(n: u64) -> u64 { n }

#[tokio::test]
async fn is_no_reason_for_a_warning() {
    Cache::memory()
        .scope(async {
            assert_eq!(square(3).await, 9);
            assert_eq!(forget(3).await, 3);
        })
        .await;
}
