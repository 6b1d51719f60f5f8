//! What a hit costs: calls per second, latency, commands and allocations.
//!
//! Absolute numbers differ from machine to machine and from moment to moment, so all contenders
//! take turns in one process, and enough of them in a round to see the machine at its best and its worst.

mod chart;
mod entrants;
mod report;
mod turn;

use std::time::Duration;

use cache_benches::RedisServer;
use hdrhistogram::Histogram;

use crate::info::Info;
use crate::lots::Lots;
use crate::origin::{self, Failure};
use crate::page::Size;
use crate::report::median;
use entrants::Entered;
use turn::{Taken, Turn};

pub use entrants::Place;
pub use report::{method, sections};

/// Numbers of callers at a time.
pub const CALLERS: [usize; 4] = [1, 16, 64, 256];

/// Those for which commands and allocations are counted.
const COUNTED: [usize; 2] = [1, 64];

/// No latency is told from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How many rounds there are, after one that warms everybody up.
    pub rounds: usize,
    /// How long each contender has in a round.
    pub length: Duration,
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
    /// Calls that were no hits after all.
    pub loads: u64,
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
    let redis = entrants::on_redis(server, Place::Redis).await?;
    let mut all = of_every_size(plan, &redis, Place::Redis, server).await?;
    let in_process = entrants::in_process(server).await?;
    all.push(compare(plan, &in_process, Place::InProcess, Size::Small, server).await?);
    Ok(all)
}

/// The same on Redis alone, where it and this process are kept on their processors.
pub async fn measure_kept(
    plan: Plan,
    place: Place,
    server: &RedisServer,
) -> Result<Vec<Hits>, Failure> {
    let redis = entrants::on_redis(server, place).await?;
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
        let turn = Turn {
            callers,
            ids: size.ids(),
            number: 0,
            length: place.turn(callers).min(plan.length),
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
    let mut lots = Lots::default();
    let mut turn = turn.clone();
    for round in 0..=plan.rounds {
        let mut taken: Vec<_> = entered.iter().map(|_| Taken::default()).collect();
        loop {
            // Those whose calls are longer than a turn have fewer turns.
            let left = entered.iter().zip(&mut taken);
            let order = lots.draw(left.filter(|(_, taken)| taken.lasted < plan.length));
            if order.is_empty() {
                break;
            }
            turn.number += 1;
            for (one, taken) in order {
                let more = one.entrant.turn(turn.clone()).await;
                *taken += more.map_err(|failure| Failure(format!("{}: {failure}", one.name)))?;
            }
        }
        if round > 0 {
            cells
                .iter_mut()
                .zip(&taken)
                .for_each(|(cell, taken)| cell.add(taken));
        }
    }
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
            loads: 0,
        })
    }

    /// Calls per second, the median of the rounds.
    fn middle(&self) -> f64 {
        median(self.rates.iter().copied())
    }

    fn add(&mut self, taken: &Taken) {
        self.rates
            .push(taken.calls as f64 / taken.lasted.as_secs_f64());
        self.loads += taken.loads;
        for latency in &taken.latencies {
            self.latencies.saturating_record(*latency);
        }
    }
}
