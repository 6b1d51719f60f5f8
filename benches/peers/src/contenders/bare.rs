//! No cache: what a call costs that goes to the origin.

use std::time::Duration;

use super::Contender;
use crate::origin::Failure;
use crate::page::Page;

/// What a fast query takes; the timer adds up to a millisecond.
pub const TAKES: Duration = Duration::from_millis(5);

/// The function without the annotation.
pub struct Bare;

impl Contender for Bare {
    type Value = Page;

    async fn get(&self, id: u64) -> Result<Page, Failure> {
        tokio::time::sleep(TAKES).await;
        Ok(Page::new(id, 1))
    }

    async fn remove(&self, _: u64) -> Result<(), Failure> {
        Ok(())
    }
}
