//! What must not be returned any more.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cache_runtime::Cache;

use super::log::{Caller, Log, What};

/// The lowest version that a call may return, for each key: of all processes, and of one.
#[derive(Debug)]
pub(super) struct Floors {
    fleet: Vec<AtomicU64>,
    /// When they were raised to what.
    raised: Vec<Mutex<Vec<(Instant, u64)>>>,
    processes: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    own: Vec<AtomicU64>,
    /// Invalidations that have ended, and of which it is not known whether they are confirmed.
    queued: Mutex<Vec<(Caller, u64)>>,
}

impl Floors {
    pub(super) fn new(keys: usize, processes: usize) -> Self {
        let zeros = || (0..keys).map(|_| AtomicU64::new(0)).collect();
        let process = || Process {
            own: zeros(),
            queued: Mutex::default(),
        };
        Self {
            fleet: zeros(),
            raised: (0..keys).map(|_| Mutex::default()).collect(),
            processes: (0..processes).map(|_| process()).collect(),
        }
    }

    /// The floor of the fleet and that of this process, as they stand.
    pub(super) fn of(&self, by: Caller) -> (u64, u64) {
        let own = &self.process(by.process).own;
        (read(&self.fleet, by.key), read(own, by.key))
    }

    /// The floor of the fleet as it stood so long before.
    pub(super) fn of_fleet_before(&self, key: usize, now: Instant, lag: Duration) -> u64 {
        let raised = self.raised(key);
        let then = raised
            .iter()
            .filter(|(at, _)| now.saturating_duration_since(*at) >= lag);
        then.map(|(_, version)| *version).max().unwrap_or(0)
    }

    /// For how long the floor of the fleet had been above this version.
    pub(super) fn above_since(&self, key: usize, now: Instant, version: u64) -> Duration {
        let raised = self.raised(key);
        let first = raised.iter().find(|(_, raised)| *raised > version);
        first.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }

    /// An invalidation has ended, confirmed or not: its own process stands by it at once.
    pub(super) fn ended(&self, by: Caller, version: u64, log: &Log) {
        let process = self.process(by.process);
        raise(&process.own, by.key, version);
        log.add(by, What::Queued(version));
        process.queued.lock().expect("a list").push((by, version));
    }

    /// An invalidation is confirmed.
    pub(super) fn acknowledged(&self, by: Caller, version: u64, log: &Log) {
        raise(&self.fleet, by.key, version);
        self.raised(by.key).push((Instant::now(), version));
        log.add(by, What::Acknowledged(version));
    }

    /// Acknowledges what has ended before, if this process's cache has nothing queued now.
    pub(super) fn settle(&self, process: usize, cache: &Cache, log: &Log) {
        let queued = &self.process(process).queued;
        // Taken before the look at the cache: so what is taken was queued there, or confirmed,
        // before that look.
        let taken = std::mem::take(&mut *queued.lock().expect("a list"));
        if taken.is_empty() {
            return;
        }
        if cache.stats().unconfirmed > 0 {
            queued.lock().expect("a list").extend(taken);
            return;
        }
        for (by, version) in taken {
            self.acknowledged(by, version, log);
        }
    }

    fn raised(&self, key: usize) -> MutexGuard<'_, Vec<(Instant, u64)>> {
        let raised = self.raised.get(key).expect("keys are numbered from 0");
        raised.lock().expect("a list")
    }

    fn process(&self, process: usize) -> &Process {
        self.processes
            .get(process)
            .expect("processes are numbered from 0")
    }
}

fn read(floors: &[AtomicU64], key: usize) -> u64 {
    floors.get(key).map_or(0, |floor| floor.load(SeqCst))
}

fn raise(floors: &[AtomicU64], key: usize, version: u64) {
    if let Some(floor) = floors.get(key) {
        floor.fetch_max(version, SeqCst);
    }
}
