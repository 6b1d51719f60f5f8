//! [`Upkeep`]: the task that keeps the near cache true to the server.
//!
//! ```text
//!   connect ─► track the heads ─► ask for a sign of life four times in each lag ─► …
//!      ▲ wait                │ refused: copies live by their own time alone     │ more heads
//!      └──── lost, or one head for several: every copy goes ◄──┴────────────────┘
//! ```

use std::mem;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::Near;
use super::ticks::Ticks;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::{RedisStore, Told, Tracking};

/// Limit of an attempt to connect and to have the heads tracked.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The wait before the next attempt, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long a server that refuses to tell of changes is left alone.
const REFUSED_WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    task: Mutex<Task>,
    /// Other heads are wanted.
    others: Arc<Notify>,
}

#[derive(Debug, Default)]
enum Task {
    #[default]
    None,
    Runs(JoinHandle<()>),
    /// For good.
    Stopped,
}

impl Upkeep {
    pub(super) fn stop(&self) {
        mem::replace(&mut *self.task.lock(), Task::Stopped).abort();
    }
}

impl Task {
    fn abort(self) {
        if let Self::Runs(task) = self {
            task.abort();
        }
    }
}

impl Near {
    /// Has the server tell of the changes of keys that begin like this.
    pub(crate) fn watch(self: &Arc<Self>, store: &RedisStore, head: &str) {
        // Outside a runtime nobody can: the next call inside one does it.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut task = self.upkeep.task.lock();
        let new = self.heads.add(head);
        match &*task {
            Task::Stopped => return,
            Task::Runs(task) if !task.is_finished() => {
                if new {
                    self.upkeep.others.notify_one();
                }
                return;
            }
            Task::Runs(_) | Task::None => {}
        }
        let keeper = Keeper {
            near: Arc::downgrade(self),
            store: store.clone(),
            others: self.upkeep.others.clone(),
        };
        *task = Task::Runs(runtime.spawn(keeper.run()));
    }
}

struct Keeper {
    near: Weak<Near>,
    store: RedisStore,
    others: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let Ok(ticks) = spawn_blocking(Ticks::start).await else {
            return;
        };
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
            let tracked = timeout(CONNECT_TIMEOUT, self.store.track(&heads, tell)).await;
            match tracked.unwrap_or_else(|_| Err(StoreError::no_reply())) {
                Ok(tracking) => {
                    if self.beat(&tracking, ticks, (heads, version), lag).await {
                        wait = FIRST_WAIT;
                    }
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
                    self.trust(ticks, lag).await;
                    self.lost();
                }
                Err(_) => {}
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// As long as the server answers in time and tells of all that is wanted; whether it has.
    async fn beat(
        &self,
        tracking: &Tracking,
        ticks: &Ticks,
        (mut heads, mut version): (Vec<String>, u64),
        lag: Duration,
    ) -> bool {
        let mut has_answered = false;
        loop {
            let asked = ticks.now();
            if !matches!(timeout(lag, tracking.answers()).await, Ok(true)) {
                return has_answered;
            }
            has_answered = true;
            let Some(near) = self.near.upgrade() else {
                return true;
            };
            // Before the heads count as tracked: what was changed until then has been told.
            near.confirmed(asked);
            near.heads.tracked(Some(version));
            drop(near);
            let _ = timeout(lag / 4, self.others.notified()).await;
            let Some((wanted, newest)) = self.near.upgrade().map(|near| near.heads.all()) else {
                return true;
            };
            if newest != version {
                // The server does not tell of one that is the beginning of those it tells of.
                let one_for_several = heads.iter().any(|head| !wanted.contains(head));
                let mut more = wanted.clone();
                more.retain(|head| !heads.contains(head));
                if one_for_several || !matches!(timeout(lag, tracking.add(&more)).await, Ok(Ok(())))
                {
                    return true;
                }
                (heads, version) = (wanted, newest);
            }
        }
    }

    /// Nobody tells: a copy is served for as long as a change may go unnoticed, and not longer.
    async fn trust(&self, ticks: &Ticks, lag: Duration) {
        let until = Instant::now() + REFUSED_WAIT;
        while Instant::now() < until {
            let Some(near) = self.near.upgrade() else {
                return;
            };
            near.all_changed();
            near.confirmed(ticks.now());
            near.heads.tracked(Some(near.heads.all().1));
            drop(near);
            let _ = timeout(lag, self.others.notified()).await;
        }
    }

    fn lost(&self) {
        if let Some(near) = self.near.upgrade() {
            near.heads.tracked(None);
            near.lost();
        }
    }
}

/// With its runtime, or with the cache.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.lost();
    }
}
