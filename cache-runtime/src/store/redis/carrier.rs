//! The task that carries one batch of reads to the server, and the replies back.
//!
//! It lives where the connection lives, not with any of the callers: whoever leaves takes nobody
//! along, and when that runtime ends both end together.

use std::{future::poll_fn, mem, pin::pin, sync::Arc, task::Poll};

use tokio::{task::yield_now, time::timeout_at};

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
        match self.wire.many_workers {
            true => to_the_end_of_the_queue().await,
            false => yield_now().await,
        }
        let Some(mut batch) = self.wire.reads.close() else {
            self.load = Load::Delivered;
            return;
        };
        let keys = mem::take(&mut batch.keys);
        self.load = Load::Taken(batch);
        let (shared, wire) = (Arc::clone(&self.shared), Arc::clone(&self.wire));
        let mut replies = pin!(shared.fetch(&wire, &keys));
        while let Load::Taken(batch) = &mut self.load {
            let replies = match timeout_at(batch.deadline, &mut replies).await {
                Ok(replies) => replies,
                Err(_) => {
                    shared.expire(&wire, batch);
                    if batch.is_awaited() {
                        continue;
                    }
                    Ok(Vec::new())
                }
            };
            if let Load::Taken(batch) = mem::replace(&mut self.load, Load::Delivered) {
                wire.reads.answer(batch, replies);
            }
        }
    }
}

/// Lets the others go first. Unlike after `yield_now`, which puts the task aside until its worker
/// has nothing else to do, another worker can go on with it meanwhile.
async fn to_the_end_of_the_queue() {
    let mut is_there = false;
    poll_fn(|context| match mem::replace(&mut is_there, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// Only unfinished with its runtime, or after a panic in the client library.
impl Drop for Carrier {
    fn drop(&mut self) {
        let batch = match mem::replace(&mut self.load, Load::Delivered) {
            Load::Awaited => self.wire.reads.close(),
            Load::Taken(batch) => Some(batch),
            Load::Delivered => None,
        };
        if let Some(batch) = batch {
            self.shared.lose(self.wire.number);
            let error = StoreError::new(StoreErrorKind::Unavailable, "the connection has ended");
            self.wire
                .reads
                .answer(batch, Err(Failure { error, lost: true }));
        }
    }
}
