//! [`Upkeep`]: the task that keeps the near cache true to the server.
//!
//! ```text
//!   connect ─► track the heads ─► ask for a sign of life four times in each lag ─► …
//!      ▲ wait                │ refused: copies live by their own time alone
//!      └──── lost, or other heads: every copy goes ◄──┘
//! ```

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Near;
use crate::error::StoreErrorKind;
use crate::store::{RedisStore, Told, Tracking};

/// The wait before the next attempt, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long a server that refuses to tell of changes is left alone.
const REFUSED_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Upkeep {
    pub(super) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

impl Near {
    /// Has the server tell of the changes of keys that begin like this.
    pub(crate) fn watch(self: &Arc<Self>, store: &RedisStore, head: &str) {
        let new = self.heads.add(head);
        let mut task = self.upkeep.task.lock();
        if !new && task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if let Some(task) = task.take() {
            task.abort();
        }
        let keeper = Keeper {
            near: Arc::downgrade(self),
            store: store.clone(),
        };
        *task = Some(runtime.spawn(keeper.run()));
    }
}

struct Keeper {
    near: Weak<Near>,
    store: RedisStore,
}

impl Keeper {
    async fn run(self) {
        let mut wait = FIRST_WAIT;
        loop {
            let Some(near) = self.near.upgrade() else {
                return;
            };
            let (heads, version) = near.heads.all();
            let lag = near.lag;
            let near_too = Arc::downgrade(&near);
            drop(near);
            let tell = Arc::new(move |told: Told| {
                if let Some(near) = near_too.upgrade() {
                    near.hear(told);
                }
            });
            match self.store.track(&heads, tell).await {
                Ok(tracking) => {
                    wait = FIRST_WAIT;
                    self.beat(&tracking, version, lag).await;
                    self.lost();
                }
                Err(error)
                    if error.kind() == StoreErrorKind::Other
                        || error.kind() == StoreErrorKind::Auth =>
                {
                    tracing::warn!(
                        target: "cache", %error,
                        "Redis refuses to tell of changes: copies in the process live for at most {lag:?}"
                    );
                    self.trust(version, lag).await;
                    self.lost();
                }
                Err(_) => {}
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// As long as the server answers in time.
    async fn beat(&self, tracking: &Tracking, version: u64, lag: Duration) {
        loop {
            let asked = Instant::now();
            if !matches!(timeout(lag, tracking.answers()).await, Ok(true)) {
                return;
            }
            let Some(near) = self.near.upgrade() else {
                return;
            };
            // Before the heads count as tracked: what was changed until now has been told.
            near.confirmed(asked);
            near.heads.tracked(Some(version));
            drop(near);
            sleep(lag / 4).await;
        }
    }

    /// Nobody tells: a copy is served for as long as a change may go unnoticed, and not longer.
    async fn trust(&self, version: u64, lag: Duration) {
        let until = Instant::now() + REFUSED_WAIT;
        while Instant::now() < until {
            let Some(near) = self.near.upgrade() else {
                return;
            };
            near.all_changed();
            near.confirmed(Instant::now());
            near.heads.tracked(Some(version));
            drop(near);
            sleep(lag).await;
        }
    }

    fn lost(&self) {
        if let Some(near) = self.near.upgrade() {
            near.heads.tracked(None);
            near.lost();
        }
    }
}

/// With its runtime, or because there are other heads.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.lost();
    }
}
