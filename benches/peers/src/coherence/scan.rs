//! More is read than the copies have room for, once each, and some is read again and again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use cache_benches::RedisServer;
use cache_runtime::{Cache, Outcome, cached, outcome};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::memory::Memory;
use super::{Plan, WORD, sites};
use crate::contenders::by_hand;
use crate::ids::Ids;
use crate::origin::Failure;
use crate::worker;

/// Keys that Redis has at a time, many more than there is room for copies of: those before are
/// deleted, because all of them would take gigabytes. A limit to Redis's memory would do the same, but
/// would take hot keys, too, which Redis is not asked for as long as copies serve.
pub const KEPT: u64 = 1_000_000;

/// Callers that scan at the same time.
pub const CALLERS: usize = 256;

/// The length of the values, in bytes.
pub const LENGTH: usize = 64;

/// So many keys are written, and then read, before the next are.
const WINDOW: u64 = 10_000;

/// Between two looks at what the copies weigh.
const LOOK: Duration = Duration::from_millis(2);

/// No scan takes longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// Keys that are read again and again.
pub const HOT: u64 = 1000;

/// How many keys are scanned for each read of a hot one: so often that a key comes again long before
/// the room is used up, and so rarely that it comes again long after.
pub const PACES: [u64; 2] = [10, 1000];

/// What became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scan {
    /// Keys that were scanned.
    pub keys: u64,
    /// Those that were found in Redis, so that copies of them were kept.
    pub found: u64,
    pub seconds: f64,
    /// What the copies weighed at most, and how many there were in the end.
    pub copied_bytes: u64,
    pub copies: usize,
    /// Looks at what they weigh.
    pub looks: u64,
    /// Of the whole process, in bytes; none where the system does not tell.
    pub before: Option<u64>,
    pub peak: Option<u64>,
    /// One for each of [`PACES`].
    pub hot: [Hot; 2],
}

/// Reads of hot keys, and those of them that copies served.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Hot {
    pub before: Served,
    pub during: Served,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Served {
    pub reads: u64,
    pub near: u64,
}

impl Served {
    pub fn ratio(self) -> f64 {
        self.near as f64 / self.reads as f64
    }
}

/// In a process of its own, whose memory is looked at.
pub async fn observe(plan: Plan) -> Result<Scan, Failure> {
    eprintln!("Scan of {} keys", plan.scanned);
    let server = RedisServer::start().map_err(Failure::of)?;
    let (keys, capacity) = (plan.scanned.to_string(), plan.capacity.to_string());
    let worker = worker::start(WORD, &["scan", &server.url(), &keys, &capacity])?;
    let answer: Option<Result<Scan, String>> = worker::answer_within(worker, LONGEST).await;
    let scan = answer.ok_or_else(|| Failure::of("the scan was not answered"))?;
    scan.map_err(Failure)
}

pub async fn play(url: &str, keys: &str, capacity: &str) -> Result<Scan, String> {
    scan(url, keys, capacity).await.map_err(|failure| failure.0)
}

async fn scan(url: &str, keys: &str, capacity: &str) -> Result<Scan, Failure> {
    let keys: u64 = keys.parse().map_err(Failure::of)?;
    let capacity = capacity.parse().map_err(Failure::of)?;
    let open = || sites::patient(url, "scan");
    let here = open().near_capacity(capacity).build().await;
    let elsewhere = open().build().await;
    let rows = Arc::new(Scanned {
        here: Rows(here.map_err(Failure::of)?),
        elsewhere: Rows(elsewhere.map_err(Failure::of)?),
        other: by_hand::connect(url).await?,
        found: AtomicU64::new(0),
        hot: [Counted::default(), Counted::default()],
    });
    let before = rows.warm().await?;
    let memory = Memory::now().resident;
    let weighing = Weighing::start(rows.here.0.clone());
    let start = Instant::now();
    let mut first = 0;
    while first < keys {
        let window = first..(first + WINDOW).min(keys);
        in_parts(&rows, &window, Scanned::write).await?;
        in_parts(&rows, &window, Scanned::read).await?;
        first = window.end;
        rows.forget(&window).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (copied_bytes, looks) = weighing.end().await?;
    let [often, rarely] = rows.hot.each_ref().map(Counted::served);
    let [often_before, rarely_before] = before;
    Ok(Scan {
        keys,
        found: rows.found.load(Relaxed),
        seconds,
        copied_bytes,
        copies: rows.here.0.stats().copies,
        looks,
        before: memory,
        peak: Memory::now().peak,
        hot: [
            Hot {
                before: often_before,
                during: often,
            },
            Hot {
                before: rarely_before,
                during: rarely,
            },
        ],
    })
}

struct Rows(Cache);

impl Rows {
    #[cached(ttl = 36_000, key = "row:{id}", skip(self), near, cache = self.0)]
    async fn row(&self, id: u64) -> Arc<str> {
        row(id)
    }
}

fn row(id: u64) -> Arc<str> {
    Arc::from(format!("{id:>LENGTH$}"))
}

struct Scanned {
    here: Rows,
    /// As another process, it writes what is then found here.
    elsewhere: Rows,
    /// A client that knows of no cache.
    other: MultiplexedConnection,
    found: AtomicU64,
    hot: [Counted; 2],
}

#[derive(Default)]
struct Counted {
    reads: AtomicU64,
    near: AtomicU64,
}

impl Counted {
    fn served(&self) -> Served {
        Served {
            reads: self.reads.load(Relaxed),
            near: self.near.load(Relaxed),
        }
    }
}

/// The hot keys that are read at a pace; none of them is scanned.
fn hot(pace: usize) -> Range<u64> {
    let first = (pace as u64 + 1) << 40;
    first..first + HOT
}

impl Scanned {
    /// Reads the hot keys until copies serve them, and then as often again.
    async fn warm(&self) -> Result<[Served; 2], Failure> {
        let mut served = [Served::default(); 2];
        for (pace, served) in served.iter_mut().enumerate() {
            let ids = hot(pace);
            let start = Instant::now();
            while !self.all_near(&ids).await {
                if start.elapsed() > super::PATIENCE {
                    return Err(Failure::of("copies do not serve"));
                }
            }
            let mut random = Ids::new(&ids, 0);
            for _ in 0..10 * HOT {
                served.reads += 1;
                served.near += u64::from(self.is_near(random.next()).await?);
            }
        }
        Ok(served)
    }

    async fn all_near(&self, ids: &Range<u64>) -> bool {
        let mut all = true;
        for id in ids.clone() {
            all &= self.is_near(id).await.is_ok_and(|near| near);
        }
        all
    }

    async fn is_near(&self, id: u64) -> Result<bool, Failure> {
        Ok(self.get(id).await? == Outcome::Near)
    }

    async fn get(&self, id: u64) -> Result<Outcome, Failure> {
        let (found, how) = outcome(self.here.row(id)).await;
        match *found == *row(id) {
            true => Ok(how),
            false => Err(Failure(format!("row {id} is not what was written"))),
        }
    }

    async fn write(self: Arc<Self>, ids: Range<u64>) -> Result<(), Failure> {
        for id in ids {
            let put = self.elsewhere.row_entry(id).put(&row(id)).await;
            put.map_err(Failure::of)?;
        }
        Ok(())
    }

    /// Deletes what was scanned long before this.
    async fn forget(&self, window: &Range<u64>) -> Result<(), Failure> {
        let Some(first) = window.start.checked_sub(KEPT) else {
            return Ok(());
        };
        let mut command = redis::cmd("UNLINK");
        for id in first..first + (window.end - window.start) {
            command.arg(self.here.row_entry(id).key());
        }
        let unlinked = command.query_async(&mut self.other.clone()).await;
        unlinked.map_err(Failure::of)
    }

    async fn read(self: Arc<Self>, ids: Range<u64>) -> Result<(), Failure> {
        let sets = [hot(0), hot(1)];
        let caller = usize::try_from(ids.start).unwrap_or(usize::MAX);
        let mut random = sets.each_ref().map(|ids| Ids::new(ids, caller));
        let mut found = 0;
        for id in ids {
            found += u64::from(self.get(id).await? == Outcome::Hit);
            for ((pace, random), counted) in PACES.iter().zip(&mut random).zip(&self.hot) {
                if id % pace == 0 {
                    counted.reads.fetch_add(1, Relaxed);
                    let near = u64::from(self.is_near(random.next()).await?);
                    counted.near.fetch_add(near, Relaxed);
                }
            }
        }
        self.found.fetch_add(found, Relaxed);
        Ok(())
    }
}

/// Many callers at once, each with its part of the keys.
async fn in_parts<F>(
    rows: &Arc<Scanned>,
    ids: &Range<u64>,
    work: impl Fn(Arc<Scanned>, Range<u64>) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let part = (ids.end - ids.start).div_ceil(CALLERS as u64).max(1);
    let mut callers = JoinSet::new();
    let mut first = ids.start;
    while first < ids.end {
        let end = (first + part).min(ids.end);
        callers.spawn(work(Arc::clone(rows), first..end));
        first = end;
    }
    while let Some(caller) = callers.join_next().await {
        caller.map_err(Failure::of)??;
    }
    Ok(())
}

/// Looks again and again at what the copies weigh.
struct Weighing {
    has_ended: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<(u64, u64)>,
}

impl Weighing {
    fn start(cache: Cache) -> Self {
        let (has_ended, mut ended) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let (mut highest, mut looks) = (0, 0);
            while ended.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                highest = cache.stats().copied_bytes.max(highest);
                looks += 1;
                tokio::time::sleep(LOOK).await;
            }
            (cache.stats().copied_bytes.max(highest), looks + 1)
        });
        Self { has_ended, task }
    }

    /// The most that they weighed, and the number of looks.
    async fn end(self) -> Result<(u64, u64), Failure> {
        // It looks until it is told.
        let _ = self.has_ended.send(());
        self.task.await.map_err(Failure::of)
    }
}
