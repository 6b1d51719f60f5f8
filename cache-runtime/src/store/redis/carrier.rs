//! The task that carries one batch of reads to the server, and the replies back.
//!
//! It lives where the connection lives, not with any of the callers: whoever leaves takes nobody
//! along, and when that runtime ends both end together.

use std::sync::Arc;

use tokio::task::yield_now;

use super::{
    lane::{Failure, Shared, Wire},
    reads::Batch,
};
use crate::error::{StoreError, StoreErrorKind};

pub(super) struct Carrier {
    shared: Arc<Shared>,
    wire: Arc<Wire>,
    load: Load,
}

enum Load {
    /// The batch is still open.
    Awaited,
    Taken(Batch),
    Delivered,
}

impl Carrier {
    /// For the batch that was opened just now.
    pub(super) fn new(shared: Arc<Shared>, wire: Arc<Wire>) -> Self {
        Self {
            shared,
            wire,
            load: Load::Awaited,
        }
    }

    pub(super) async fn run(mut self) {
        // Everyone who can run now gets in.
        yield_now().await;
        self.load = self.wire.reads.close().map_or(Load::Delivered, Load::Taken);
        if let Load::Taken(batch) = &self.load {
            let replies = self.shared.fetch(&self.wire, &batch.keys).await;
            if let Load::Taken(batch) = std::mem::replace(&mut self.load, Load::Delivered) {
                self.wire.reads.answer(batch, replies);
            }
        }
    }
}

/// Only unfinished with its runtime, or after a panic in the client library.
impl Drop for Carrier {
    fn drop(&mut self) {
        let batch = match std::mem::replace(&mut self.load, Load::Delivered) {
            Load::Awaited => self.wire.reads.close(),
            Load::Taken(batch) => Some(batch),
            Load::Delivered => None,
        };
        if let Some(batch) = batch {
            self.shared.lose(self.wire.number);
            let error = StoreError::new(StoreErrorKind::Unavailable, "the connection has ended");
            self.wire.reads.answer(batch, Err(Failure { error, lost: true }));
        }
    }
}
