//! A history checker: many clients of several caches on one store do everything at random to a few
//! keys, and every value returned is held against what the guarantees allow.
//!
//! Each [`Cache`] handle stands for a process: it shares nothing with the others but the store. The
//! origin is a database of versions, counted up by every write, which its readers see at a random
//! moment of their delay. Everything that happens is logged in one order.
//!
//! **G3** is judged when a call ends. An invalidation that is acknowledged raises the *floor* of its
//! key to the version when it was called; a write to the version it wrote. A call violates G3 if it
//! returns a version below the floor as it stood when the call started. A floor is raised only when
//! it is certain: after `Ok` from the entry, or when a cache has nothing queued after the write has
//! returned (`stats().unconfirmed`). An invalidation that ended without that, dropped ones included,
//! raises the floor of its own process at once, and that of all when nothing is queued any more.
//!
//! Of what a copy in the process serves (`near`) the floor of the other processes' changes is the one
//! of [`NEAR_LAG`] before, in whatever [`Trouble`] the connection is on which changes are told; that of
//! the own ones is as strict.
//!
//! **G2** is judged when the run is over; see [`sharing`].
//!
//! On the way two more rules are held: a row belongs to its key (G1), and a `refresh` returns
//! nothing older than its call.
//!
//! ```no_run
//! use cache_runtime::test_util::{MemoryStore, Store, cache};
//! use support::history::{Config, History, Link};
//!
//! # async fn test() {
//! let config = Config::everything(1, 10_000, Link::NONE);
//! let store = Store::Memory(MemoryStore::new(64 << 20));
//! let history = History::new(config);
//! history.run_here(|_| cache(&store, "test")).await;
//! history.end().expect_kept();
//! # }
//! ```

mod client;
mod config;
mod database;
mod floors;
mod functions;
mod log;
mod run;
pub mod sharing;
mod summary;
mod trouble;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cache_runtime::Cache;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use self::config::{Config, Faults, Link, Mix, Scope, Settings};
pub use self::sharing::Excuse;
pub use self::summary::Summary;
pub use self::trouble::{TRACKING, Trouble};

use self::client::Client;
use self::run::Run;
use crate::wait::within;

/// How long a process waits at the end for its queued invalidations.
const CLOSING: Duration = Duration::from_secs(10);

/// How long changes of other processes may go unnoticed where there are copies, for caches on Redis:
/// `near_lag`.
pub const NEAR_LAG: Duration = Duration::from_millis(100);

/// One run.
#[derive(Debug, Clone)]
pub struct History {
    run: Arc<Run>,
}

impl History {
    /// A run that has not begun. Its clock is that of the runtime.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            run: Arc::new(Run::new(config)),
        }
    }

    /// Runs all processes on this runtime.
    ///
    /// # Panics
    ///
    /// If a call does not end.
    pub async fn run_here(&self, open: impl Fn(usize) -> Cache) {
        let mut processes = JoinSet::new();
        for process in 0..self.run.config.processes {
            let (history, cache) = (self.clone(), open(process));
            processes.spawn(async move { history.process(process, &cache).await });
        }
        processes.join_all().await;
    }

    /// Runs each process on a runtime and a thread of its own. `open` makes its cache there.
    ///
    /// # Panics
    ///
    /// If a call does not end.
    pub fn run_on_threads(&self, open: impl AsyncFn(usize) -> Cache + Sync) {
        thread::scope(|scope| {
            for process in 0..self.run.config.processes {
                let open = &open;
                scope.spawn(move || {
                    let runtime = Builder::new_current_thread().enable_all().build();
                    runtime.expect("a runtime").block_on(async {
                        let cache = open(process).await;
                        self.process(process, &cache).await;
                        let _ = cache.shutdown(CLOSING).await;
                    });
                });
            }
        });
    }

    /// Runs the clients of one process, until the operations of all processes are used up or
    /// something is violated, and its loads in the background are over.
    ///
    /// # Panics
    ///
    /// If a call does not end.
    pub async fn process(&self, process: usize, cache: &Cache) {
        let mut clients = JoinSet::new();
        for number in 0..self.run.config.clients {
            let (run, cache) = (self.run.clone(), cache.clone());
            clients.spawn(async move {
                let client = Client::new(&run, &cache, process, number);
                cache.scope(client.work()).await;
            });
        }
        clients.join_all().await;
        let loads = async {
            while self.run.database.under_way(process) > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        within("the loads in the background", loads).await;
    }

    /// Judges what has happened.
    #[must_use]
    pub fn end(&self) -> Summary {
        let steps = self.run.log.steps();
        let sharing = sharing::judge(&steps, &self.run.config);
        let violations = self.run.violations().clone();
        Summary::new(&self.run.config, &steps, sharing, violations)
    }
}
