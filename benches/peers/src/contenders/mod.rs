//! Everybody who caches pages here, one file each.

pub mod annotated;
pub mod bare;
pub mod by_hand;
pub mod cached;
pub mod format;
pub mod hitbox;
pub mod in_process;
pub mod pooled;
pub mod wire;

use crate::origin::Failure;
use crate::page::Page;

/// Something that answers for [`origin::load`](crate::origin::load).
pub trait Contender: Send + Sync + 'static {
    /// A page, or what shares one.
    type Value: AsRef<Page> + Send;

    fn get(&self, id: u64) -> impl Future<Output = Result<Self::Value, Failure>> + Send;

    /// Makes the cache forget a page, as an application does that has changed it.
    fn remove(&self, id: u64) -> impl Future<Output = Result<(), Failure>> + Send;
}
