//! What the clients of one run share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use super::config::{Config, Settings};
use super::database::Database;
use super::floors::Floors;
use super::functions;
use super::log::{Caller, Log};

#[derive(Debug)]
pub(super) struct Run {
    pub(super) config: Config,
    pub(super) log: Arc<Log>,
    pub(super) database: Arc<Database>,
    pub(super) floors: Floors,
    /// Those that are used.
    pub(super) keys: Vec<usize>,
    calls: AtomicUsize,
    stopped: AtomicBool,
    violations: Mutex<Vec<Violation>>,
}

/// A promise that was not kept.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) broken: String,
    pub(super) key: usize,
    /// Where it shows in the log.
    pub(super) step: usize,
    /// Where its story begins.
    pub(super) since: Since,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Since {
    Step(usize),
    /// When this version was overwritten.
    Version(u64),
}

impl Run {
    pub(super) fn new(config: Config) -> Self {
        let log = Arc::new(Log::new());
        let Config {
            keys,
            processes,
            settings,
            faults,
            seed,
            ..
        } = config;
        let is_used = |key: &usize| match settings {
            Settings::All => functions::is_of_all(*key),
            Settings::Near => functions::is_near(*key),
        };
        Self {
            database: Arc::new(Database::new(keys, processes, faults, seed, log.clone())),
            floors: Floors::new(keys, processes),
            keys: (0..keys).filter(is_used).collect(),
            calls: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            violations: Mutex::default(),
            log,
            config,
        }
    }

    /// The number of the next operation; none if the run is over.
    pub(super) fn next(&self) -> Option<usize> {
        if self.stopped.load(SeqCst) {
            return None;
        }
        let call = self.calls.fetch_add(1, SeqCst);
        (call < self.config.operations).then_some(call)
    }

    /// Ends the run.
    pub(super) fn violated(&self, by: Caller, version: u64, broken: String) {
        self.stopped.store(true, SeqCst);
        let step = self.log.steps().len().saturating_sub(1);
        self.violations().push(Violation {
            broken: format!("{broken}, in call #{}", by.call),
            key: by.key,
            step,
            since: Since::Version(version),
        });
    }

    /// Those found while it ran.
    pub(super) fn violations(&self) -> std::sync::MutexGuard<'_, Vec<Violation>> {
        self.violations.lock().expect("a list")
    }
}
