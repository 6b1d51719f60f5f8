//! What is asked: slow, and it fails when told to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::sleep;

/// Cheap to clone, as a database handle is: a load in the background owns its arguments.
#[derive(Debug, Clone, Default)]
pub struct Origin(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    loads: AtomicU64,
    failing: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
pub struct Down;

impl Origin {
    /// The number of this load, after 200 ms.
    pub async fn ask(&self) -> Result<u64, Down> {
        let load = self.0.loads.fetch_add(1, SeqCst) + 1;
        sleep(Duration::from_millis(200)).await;
        match self.0.failing.load(SeqCst) {
            true => Err(Down),
            false => Ok(load),
        }
    }

    pub fn loads(&self) -> u64 {
        self.0.loads.load(SeqCst)
    }

    pub fn fails(&self, failing: bool) {
        self.0.failing.store(failing, SeqCst);
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the origin is down")
    }
}

impl std::error::Error for Down {}
