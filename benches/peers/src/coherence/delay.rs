//! From a change to the moment when a copy elsewhere serves no more.
//!
//! The copies and the change are in two threads of this process, so that one clock tells both times.
//! Each side has a cache, a runtime and connections of its own: to each other they are as two
//! processes.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use cache_benches::RedisServer;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::load::{Load, Shape};
use super::raw::Raw;
use super::sites::{self, Sites};
use super::{PATIENCE, Plan, WORD};
use crate::ids::Ids;
use crate::origin::Failure;
use crate::worker::{self, Steady};

/// What a loaded server has to do besides.
pub const SHAPE: Shape = Shape {
    connections: 8,
    together: 16,
};

/// Callers that read entries without copies meanwhile.
pub const READERS: usize = 16;

/// Entries that they read.
const READ: Range<u64> = 0..1000;

/// Entries that are changed in turn, none of which the load writes.
const CHANGED: Range<u64> = 1_000_000..1_000_100;

/// Changes that are not counted: connections are made, and scripts are loaded.
const WARM_UP: usize = 20;

/// A copy that has served this long ago, and still does, serves until it is changed.
const SETTLED: Duration = Duration::from_millis(3);

/// How an entry is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `entry.invalidate()`
    Invalidate,
    /// `DEL` by a client that knows of no cache.
    Del,
    /// `SET` by such a client.
    Set,
}

impl Change {
    pub const ALL: [Self; 3] = [Self::Invalidate, Self::Del, Self::Set];
}

pub struct Delays {
    /// One for each of [`Change::ALL`].
    pub idle: Vec<Delay>,
    pub loaded: Vec<Delay>,
    pub load: Carried,
}

/// Times in nanoseconds, one for each change.
#[derive(Debug, Default)]
pub struct Delay {
    /// From the moment when the change began.
    pub from_start: Vec<f64>,
    /// From its acknowledgement; 0 if the copy was gone by then.
    pub from_acknowledgement: Vec<f64>,
    /// Between the last look that found the copy and the first that did not.
    pub between_looks: Vec<f64>,
    /// Copies that served no more before anybody had changed anything: they are not counted.
    pub early: usize,
}

/// What the server carried out besides, in a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Carried {
    pub sets: f64,
    pub reads: f64,
}

pub async fn measure(plan: Plan) -> Result<Delays, Failure> {
    let server = RedisServer::start().map_err(Failure::of)?;
    eprintln!("Delay of changes: idle");
    let idle = all(plan, &server).await?;
    eprintln!("Delay of changes: loaded");
    let mut load = Steady::start(WORD, &["load", &server.url(), &server.address()])?;
    load.ready().await?;
    let loaded = all(plan, &server).await?;
    let load = serde_json::from_str(&load.end().await?).map_err(Failure::of)?;
    Ok(Delays { idle, loaded, load })
}

/// Loads the server until it is told to end.
pub async fn play_load(url: &str, address: &str) -> Result<(), Failure> {
    let sites = Sites::open(url).await?;
    for id in READ {
        sites.asked(id).await;
    }
    let load = Load::start(address, SHAPE).await?;
    let goes_on = watch::Sender::new(());
    let readers: Vec<_> = (0..READERS)
        .map(|number| tokio::spawn(keep_reading(sites.clone(), number, goes_on.subscribe())))
        .collect();
    let (start, sets) = (Instant::now(), load.sets());
    worker::ready_until_the_end().await?;
    let (seconds, sets) = (start.elapsed().as_secs_f64(), load.sets() - sets);
    drop(goes_on);
    let mut reads = 0;
    for reader in readers {
        reads += reader.await.map_err(Failure::of)?;
    }
    load.end().await?;
    worker::say(&Carried {
        sets: sets as f64 / seconds,
        reads: reads as f64 / seconds,
    })
}

async fn keep_reading(sites: Sites, number: usize, goes_on: watch::Receiver<()>) -> u64 {
    let mut ids = Ids::new(&READ, number);
    let mut reads = 0;
    while goes_on.has_changed().is_ok() {
        sites.asked(ids.next()).await;
        reads += 1;
    }
    reads
}

async fn all(plan: Plan, server: &RedisServer) -> Result<Vec<Delay>, Failure> {
    let (url, address) = (server.url(), server.address());
    let measured = tokio::task::spawn_blocking(move || {
        let mut delays = Vec::new();
        for change in Change::ALL {
            delays.push(one(plan.samples, change, &url, &address)?);
        }
        Ok(delays)
    });
    measured.await.map_err(Failure::of)?
}

fn one(samples: usize, change: Change, url: &str, address: &str) -> Result<Delay, Failure> {
    let mut reader = Reader::open(url)?;
    let mut writer = Writer::open(url, address)?;
    let (ask, asked) = channel();
    let (tell, told) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for id in asked {
                if tell.send(writer.change(change, id)).is_err() {
                    break;
                }
            }
        });
        for id in CHANGED.cycle().take(WARM_UP) {
            reader.sample(id, &ask, &told)?;
        }
        reader.seen = Delay::default();
        for id in CHANGED.cycle().take(samples) {
            reader.sample(id, &ask, &told)?;
        }
        drop(ask);
        Ok(reader.seen)
    })
}

/// When a change was made.
struct Changed {
    start: Instant,
    acknowledged: Instant,
}

/// Who has copies.
struct Reader {
    sites: Sites,
    runtime: Runtime,
    seen: Delay,
}

impl Reader {
    fn open(url: &str) -> Result<Self, Failure> {
        let runtime = runtime()?;
        Ok(Self {
            sites: runtime.block_on(Sites::open(url))?,
            runtime,
            seen: Delay::default(),
        })
    }

    /// Until a copy serves, and is not dropped again because the server tells of the load, too.
    async fn settle(&self, id: u64) -> Result<(), Failure> {
        let settled = async {
            loop {
                self.sites.until_near(id).await?;
                tokio::time::sleep(SETTLED).await;
                if self.sites.is_near(id).await {
                    return Ok(());
                }
            }
        };
        let settled = tokio::time::timeout(PATIENCE, settled).await;
        settled.map_err(|_| Failure::of("no copy stays"))?
    }

    /// Looks all the time whether the copy serves, and lets others compute between two looks.
    fn sample(
        &mut self,
        id: u64,
        ask: &Sender<u64>,
        told: &Receiver<Result<Changed, Failure>>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(self.settle(id))?;
        ask.send(id).map_err(Failure::of)?;
        let asked = Instant::now();
        let mut last = asked;
        let gone = loop {
            let look = Instant::now();
            // The last one is a miss, which brings the entry back.
            if !self.runtime.block_on(self.sites.is_near(id)) {
                break look;
            }
            if look > asked + PATIENCE {
                let changed = told.try_recv().map_err(Failure::of)?;
                changed?;
                return Err(Failure::of("a copy outlasts its change"));
            }
            last = look;
            thread::yield_now();
        };
        let changed = told.recv().map_err(Failure::of)??;
        if gone < changed.start {
            self.seen.early += 1;
            return Ok(());
        }
        let since = |moment| gone.saturating_duration_since(moment).as_nanos() as f64;
        self.seen.from_start.push(since(changed.start));
        self.seen
            .from_acknowledgement
            .push(since(changed.acknowledged));
        self.seen.between_looks.push(since(last));
        Ok(())
    }
}

/// Who changes entries.
struct Writer {
    sites: Sites,
    runtime: Runtime,
    raw: Raw,
}

impl Writer {
    fn open(url: &str, address: &str) -> Result<Self, Failure> {
        let runtime = runtime()?;
        Ok(Self {
            sites: runtime.block_on(Sites::open(url))?,
            runtime,
            raw: Raw::open(address)?,
        })
    }

    fn change(&mut self, change: Change, id: u64) -> Result<Changed, Failure> {
        let (entry, key) = (self.sites.copied_entry(id), sites::key(id));
        let start = Instant::now();
        match change {
            Change::Invalidate => {
                let invalidation = self.runtime.block_on(entry.invalidate());
                invalidation.map_err(Failure::of)?;
            }
            Change::Del => self.raw.send(&["DEL", &key], ":1")?,
            Change::Set => self.raw.send(&["SET", &key, "changed"], "+OK")?,
        }
        Ok(Changed {
            start,
            acknowledged: Instant::now(),
        })
    }
}

/// What a cache does in the background gets a thread that nobody keeps from it.
fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.map_err(Failure::of)
}
