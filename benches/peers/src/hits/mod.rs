//! What a hit costs: calls per second, latency, commands and allocations.
//!
//! Absolute numbers differ from machine to machine and from minute to minute, so all contenders
//! take turns in one process, in an order drawn for each round, and a round's rates are compared
//! with the baseline's in the same round. (In one that only rotates each follows the same one, and
//! how fast a turn begins depends on what ran before it.)

mod chart;
mod entrants;
mod report;
mod turn;

use std::time::Duration;

use cache_benches::RedisServer;
use hdrhistogram::Histogram;

use crate::ids::Ids;
use crate::info::Info;
use crate::origin::{self, Failure};
use crate::page::Size;
use entrants::Entered;
use turn::{Taken, Turn};

pub use entrants::Place;
pub use report::sections;

/// Numbers of callers at a time.
pub const CALLERS: [usize; 4] = [1, 16, 64, 256];

/// Those for which commands and allocations are counted.
const COUNTED: [usize; 2] = [1, 64];

/// No latency is told from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often each contender has its turn, after one that warms it up.
    pub rounds: usize,
    /// How long a turn is.
    pub length: Duration,
}

/// With one caller each turn is divided into so many. It does little but wait for a processor to wake,
/// and how long that takes changes several times a second and by more than a factor of two: all
/// contenders should have had their turn by then. In rounds of 5 ms one and the same contender, entered
/// twice, made 0.99 to 1.00 of its own calls, and in rounds of 20 ms 0.93 to 1.07.
const PARTS_FOR_ONE: usize = 10;

impl Plan {
    fn with(self, callers: usize) -> Self {
        match callers {
            1 => Self {
                rounds: self.rounds * PARTS_FOR_ONE,
                length: self.length / PARTS_FOR_ONE as u32,
            },
            _ => self,
        }
    }
}

/// What was measured in one place for pages of one size.
pub struct Hits {
    pub place: Place,
    pub size: Size,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub name: &'static str,
    /// The row it is compared with, by number.
    pub baseline: usize,
    /// One for each number of callers.
    pub cells: Vec<Cell>,
    pub counts: Vec<Counts>,
}

/// All rounds at one number of callers.
pub struct Cell {
    /// Calls per second, one for each round.
    pub rates: Vec<f64>,
    /// In nanoseconds.
    pub latencies: Histogram<u64>,
}

/// What a hit needs, at one number of callers.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Commands that Redis carried out; none without Redis.
    pub commands: Option<f64>,
    pub allocations: f64,
}

/// Measures everybody in every place.
pub async fn measure(plan: Plan, server: &RedisServer) -> Result<Vec<Hits>, Failure> {
    let redis = entrants::on_redis(server).await?;
    let mut all = of_every_size(plan, &redis, Place::Redis, server).await?;
    let in_process = entrants::in_process(server).await?;
    all.push(compare(plan, &in_process, Place::InProcess, Size::Small, server).await?);
    Ok(all)
}

/// The same on Redis alone, where it and this process are kept on their processors; after
/// [`measure`], without those who stay with its server.
pub async fn measure_kept(
    plan: Plan,
    place: Place,
    server: &RedisServer,
) -> Result<Vec<Hits>, Failure> {
    let mut redis = entrants::on_redis(server).await?;
    redis.retain(|one| !one.is_bound);
    of_every_size(plan, &redis, place, server).await
}

async fn of_every_size(
    plan: Plan,
    entered: &[Entered],
    place: Place,
    server: &RedisServer,
) -> Result<Vec<Hits>, Failure> {
    let mut all = Vec::new();
    for size in Size::ALL {
        all.push(compare(plan, entered, place, size, server).await?);
    }
    Ok(all)
}

async fn compare(
    plan: Plan,
    entered: &[Entered],
    place: Place,
    size: Size,
    server: &RedisServer,
) -> Result<Hits, Failure> {
    eprintln!("Hits {place}, {size}:");
    origin::takes(Duration::ZERO);
    for one in entered.iter().filter(|one| !one.is_bare) {
        let warmed = one.entrant.warm(size.ids()).await;
        warmed.map_err(|failure| Failure(format!("{}: {failure}", one.name)))?;
    }
    let mut rows: Vec<_> = entered.iter().map(Row::new).collect();
    for callers in CALLERS {
        eprintln!("  {callers} callers");
        let plan = plan.with(callers);
        let turn = Turn {
            callers,
            ids: size.ids(),
            length: plan.length,
            stride: place.stride(),
        };
        let cells = rounds(plan, entered, &turn).await?;
        for (row, cell) in rows.iter_mut().zip(cells) {
            row.cells.push(cell);
        }
        if COUNTED.contains(&callers) {
            for (row, one) in rows.iter_mut().zip(entered) {
                row.counts.push(count(one, place, &turn, server).await?);
            }
        }
    }
    Ok(Hits { place, size, rows })
}

async fn rounds(plan: Plan, entered: &[Entered], turn: &Turn) -> Result<Vec<Cell>, Failure> {
    let mut cells = Vec::new();
    for _ in entered {
        cells.push(Cell::new()?);
    }
    let lots = 0..1 << 32;
    let mut drawn = Ids::new(&lots, 0);
    for round in 0..=plan.rounds {
        let mut order: Vec<_> = entered.iter().zip(&mut cells).collect();
        order.sort_by_cached_key(|_| drawn.next());
        for (one, cell) in order {
            let taken = one.entrant.turn(turn.clone()).await;
            let taken = taken.map_err(|failure| Failure(format!("{}: {failure}", one.name)))?;
            if round > 0 {
                cell.add(&taken);
            }
        }
    }
    // Everybody's rounds in the order in which they were.
    Ok(cells)
}

async fn count(
    one: &Entered,
    place: Place,
    turn: &Turn,
    server: &RedisServer,
) -> Result<Counts, Failure> {
    let calls = if one.is_bare { 256 } else { 12_800 };
    let info = Info::open(&server.url()).await?;
    info.reset().await?;
    let allocations = one.entrant.allocations(turn.clone(), calls).await?;
    let commands = match place {
        Place::Redis | Place::RedisApart | Place::RedisOnOne => {
            Some(info.commands().await? / calls as f64)
        }
        Place::InProcess => None,
    };
    Ok(Counts {
        commands,
        allocations,
    })
}

impl Row {
    fn new(entered: &Entered) -> Self {
        Self {
            name: entered.name,
            baseline: entered.baseline,
            cells: Vec::new(),
            counts: Vec::new(),
        }
    }
}

impl Cell {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            rates: Vec::new(),
            latencies: Histogram::new_with_bounds(1, LONGEST, 3).map_err(Failure::of)?,
        })
    }

    fn add(&mut self, taken: &Taken) {
        self.rates.push(taken.calls as f64 / taken.seconds);
        for latency in &taken.latencies {
            self.latencies.saturating_record(*latency);
        }
    }
}
