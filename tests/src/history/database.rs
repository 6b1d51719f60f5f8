//! The origin: rows with versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::config::Faults;
use super::log::{Caller, Ending, Log, What};
use crate::random::Random;

/// A row as some load or write saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) key: usize,
    pub(super) version: u64,
    /// Whether it may be stored.
    pub(super) keep: bool,
}

/// The database is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Down;

/// One version for each key, counted up by every write.
#[derive(Debug)]
pub(super) struct Database {
    versions: Vec<AtomicU64>,
    faults: Faults,
    seed: u64,
    runs: AtomicU64,
    under_way: Vec<AtomicUsize>,
    log: Arc<Log>,
}

/// A write on its way.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) by: Caller,
    pub(super) fails: bool,
    /// Of this version and those before the entry is outdated; 0 as long as the body has not run.
    outdated: AtomicU64,
}

impl Write {
    pub(super) fn new(by: Caller, fails: bool) -> Self {
        Self {
            by,
            fails,
            outdated: AtomicU64::new(0),
        }
    }

    /// The version from which on the entry is to be, if the body has run at all.
    pub(super) fn outdated(&self) -> Option<u64> {
        Some(self.outdated.load(SeqCst)).filter(|version| *version > 0)
    }
}

impl Database {
    pub(super) fn new(
        keys: usize,
        processes: usize,
        faults: Faults,
        seed: u64,
        log: Arc<Log>,
    ) -> Self {
        Self {
            versions: (0..keys).map(|_| AtomicU64::new(1)).collect(),
            faults,
            seed,
            runs: AtomicU64::new(0),
            under_way: (0..processes).map(|_| AtomicUsize::new(0)).collect(),
            log,
        }
    }

    /// The version of a row at this moment.
    pub(super) fn version(&self, key: usize) -> u64 {
        self.row(key).load(SeqCst)
    }

    /// Loads under way in a process.
    pub(super) fn under_way(&self, process: usize) -> usize {
        self.under_way
            .get(process)
            .map_or(0, |loads| loads.load(SeqCst))
    }

    /// Reads the version at a random moment of its delay.
    pub(super) async fn read(&self, by: Caller, key: usize) -> Result<Option<Row>, Down> {
        let mut random = self.random();
        let mut load = Load::start(self, by);
        self.delay(&mut random).await;
        let version = self.version(key);
        self.log.add(by, What::Read(version));
        self.delay(&mut random).await;
        let (fails, none, declined) = (
            random.permille(self.faults.fails),
            random.permille(self.faults.none),
            random.permille(self.faults.declined),
        );
        if fails {
            load.ending = Ending::Failed;
            return Err(Down);
        }
        if none {
            load.ending = Ending::NotCacheable;
            return Ok(None);
        }
        load.ending = if declined {
            Ending::NotCacheable
        } else {
            Ending::Value
        };
        Ok(Some(Row {
            key,
            version,
            keep: !declined,
        }))
    }

    /// Makes a new version at a random moment of its delay. One that fails may have made it.
    pub(super) async fn write(&self, write: &Write, key: usize) -> Result<Row, Down> {
        let mut random = self.random();
        write.outdated.store(self.version(key), SeqCst);
        self.delay(&mut random).await;
        if write.fails && random.permille(500) {
            return self.write_failed(write, key);
        }
        let version = self.row(key).fetch_add(1, SeqCst) + 1;
        write.outdated.store(version, SeqCst);
        self.log.add(write.by, What::Wrote(version));
        self.delay(&mut random).await;
        if write.fails {
            return self.write_failed(write, key);
        }
        Ok(Row {
            key,
            version,
            keep: true,
        })
    }

    /// [`write`](Self::write) for a function that invalidates: what others have written until it
    /// ends is outdated too.
    pub(super) async fn write_without_value(&self, write: &Write, key: usize) -> Result<(), Down> {
        self.write(write, key).await?;
        write.outdated.store(self.version(key), SeqCst);
        Ok(())
    }

    /// A failed write deletes the entry when it ends.
    fn write_failed(&self, write: &Write, key: usize) -> Result<Row, Down> {
        write.outdated.store(self.version(key), SeqCst);
        Err(Down)
    }

    async fn delay(&self, random: &mut Random) {
        let slow = random.permille(self.faults.slow);
        match random.below(4) {
            _ if slow => {
                // A load has two delays.
                let longest = self.faults.slowest.as_millis() as u64 / 2;
                sleep(Duration::from_millis(random.below(longest))).await;
            }
            0 => {}
            1 => {
                for _ in 0..random.below(6) {
                    yield_now().await;
                }
            }
            _ => sleep(Duration::from_millis(random.below(5))).await,
        }
    }

    fn row(&self, key: usize) -> &AtomicU64 {
        self.versions.get(key).expect("keys are numbered from 0")
    }

    /// Each run of the origin draws its own numbers.
    fn random(&self) -> Random {
        Random::new(self.seed, (1 << 32) + self.runs.fetch_add(1, SeqCst))
    }
}

/// A load under way; logs its end however it ends.
struct Load<'a> {
    database: &'a Database,
    by: Caller,
    ending: Ending,
}

impl<'a> Load<'a> {
    fn start(database: &'a Database, by: Caller) -> Self {
        database.log.add(by, What::Load);
        if let Some(loads) = database.under_way.get(by.process) {
            loads.fetch_add(1, SeqCst);
        }
        Self {
            database,
            by,
            ending: Ending::Dropped,
        }
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.database.log.add(self.by, What::Loaded(self.ending));
        if let Some(loads) = self.database.under_way.get(self.by.process) {
            loads.fetch_sub(1, SeqCst);
        }
    }
}
