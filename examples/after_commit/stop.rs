//! Places where the story holds a task up until another has done something.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Result;

/// Longer than it can take to get anywhere: who waits this long waits for nobody.
const NOBODY: Duration = Duration::from_secs(30);

/// A place that tasks pass, one of which may be held up there.
#[derive(Default)]
pub struct Stop(Cell<Option<Held>>);

struct Held {
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// Holds a task up at a [`Stop`]. Dropped, it lets it go on.
pub struct Hold {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Stop {
    /// Holds up whoever comes next.
    pub fn set(&self) -> Hold {
        let (at_stop, reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        self.0.set(Some(Held {
            reached: at_stop,
            released,
        }));
        Hold { reached, release }
    }

    /// Goes on at once, or when the hold is released.
    pub async fn pass(&self) {
        if let Some(held) = self.0.take() {
            // Either fails if there is no hold any more.
            let _ = held.reached.send(());
            let _ = held.released.await;
        }
    }
}

impl Hold {
    /// Waits until a task has come to the stop.
    pub async fn reached(&mut self) -> Result {
        let reached = timeout(NOBODY, &mut self.reached).await;
        reached.map_err(|_| "nobody came to where the story waits")??;
        Ok(())
    }

    /// Lets the task go on.
    pub fn release(self) {
        let _ = self.release.send(());
    }
}
