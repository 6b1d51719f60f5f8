//! The function that everybody caches: it reads a database that this run can change.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::page::Page;

static VERSION: AtomicU64 = AtomicU64::new(1);
static TAKES: AtomicU64 = AtomicU64::new(0);
static LOADS: AtomicU64 = AtomicU64::new(0);

tokio::task_local! {
    static RAN: Cell<bool>;
}

/// Why a call has no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    pub fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Reads the page as it is when the load begins.
pub async fn load(id: u64) -> Result<Page, Failure> {
    LOADS.fetch_add(1, Relaxed);
    // Nobody listens outside of `watched`.
    let _ = RAN.try_with(|ran| ran.set(true));
    let page = Page::new(id, VERSION.load(Relaxed));
    let takes = TAKES.load(Relaxed);
    if takes > 0 {
        tokio::time::sleep(Duration::from_micros(takes)).await;
    }
    Ok(page)
}

/// How long each load takes from now on.
pub fn takes(time: Duration) {
    TAKES.store(time.as_micros().try_into().unwrap_or(u64::MAX), Relaxed);
}

/// Changes what the database holds.
pub fn change() {
    VERSION.fetch_add(1, Relaxed);
}

/// The version that a load would read now.
pub fn version() -> u64 {
    VERSION.load(Relaxed)
}

/// Loads of this process so far.
pub fn loads() -> u64 {
    LOADS.load(Relaxed)
}

/// What a future gives, and whether the origin ran in its own task meanwhile.
pub async fn watched<F: Future>(future: F) -> (F::Output, bool) {
    let watched = async {
        let output = future.await;
        (output, RAN.with(Cell::get))
    };
    RAN.scope(Cell::new(false), watched).await
}
