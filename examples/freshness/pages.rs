//! The application: four look-ups, each with another idea of how old a value may be.

use std::time::Duration;

use cache_runtime::{Policy, cached};

use crate::origin::{Down, Origin};

/// Old news are good enough for half a minute, so nobody waits for newer ones.
#[cached(
    ttl = "300ms",
    key = "freshness:news",
    skip(origin),
    stale_while_revalidate = "30s"
)]
pub async fn news(origin: &Origin) -> Result<u64, Down> {
    origin.ask().await
}

/// An old rate is better than none.
#[cached(
    ttl = "300ms",
    key = "freshness:rate",
    skip(origin),
    stale_if_error = "30s"
)]
pub async fn rate(origin: &Origin) -> Result<u64, Down> {
    origin.ask().await
}

/// With an old price at hand nobody waits longer than this for a new one.
const IMPATIENT: Policy = Policy::DEFAULT.soft_timeout(Duration::from_millis(50));

#[cached(
    ttl = "300ms",
    key = "freshness:price",
    skip(origin),
    stale_while_revalidate = "1ms",
    stale_if_error = "30s",
    policy = IMPATIENT
)]
pub async fn price(origin: &Origin) -> Result<u64, Down> {
    origin.ask().await
}

/// The more often a forecast is asked for, the less likely it ever expires.
const EARLY: Policy = Policy::DEFAULT.early_refresh(1.0);

#[cached(
    ttl = "1s",
    key = "freshness:forecast",
    skip(origin),
    stale_while_revalidate = "1s",
    policy = EARLY
)]
pub async fn forecast(origin: &Origin) -> Result<u64, Down> {
    origin.ask().await
}
