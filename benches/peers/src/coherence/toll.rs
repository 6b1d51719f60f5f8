//! What it costs the server to tell processes of changes.

use std::time::{Duration, Instant};

use cache_benches::RedisServer;

use super::load::{KEYS, Load, ONE_IN, Shape};
use super::sites::Sites;
use super::{Plan, WORD};
use crate::info::Info;
use crate::lots::Lots;
use crate::origin::Failure;
use crate::worker::{self, Steady};

/// Numbers of processes that are told.
pub const PROCESSES: [usize; 3] = [0, 10, 50];

/// Each command on its own, and many at once: the server tells of changes once for all that it
/// reads at one go.
const SHAPES: [Shape; 2] = [
    Shape {
        connections: 50,
        together: 1,
    },
    Shape {
        connections: 8,
        together: 16,
    },
];

/// Until all connections are at full speed and all keys are there.
const WARM_UP: Duration = Duration::from_millis(300);

/// All rounds of one shape.
pub struct Toll {
    pub shape: Shape,
    /// One for each of [`PROCESSES`].
    pub rows: Vec<Row>,
}

/// One entry for each round.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// `SET`s in a second.
    pub rates: Vec<f64>,
    /// What the server computed for one `SET`, in nanoseconds.
    pub computed: Vec<f64>,
}

pub async fn measure(plan: Plan) -> Result<Vec<Toll>, Failure> {
    let mut tolls: Vec<_> = SHAPES.into_iter().map(Toll::new).collect();
    let mut lots = Lots::default();
    for round in 0..plan.rounds {
        eprintln!("Cost of tracking: round {} of {}", round + 1, plan.rounds);
        for (row, processes) in lots.draw(PROCESSES.into_iter().enumerate()) {
            let server = RedisServer::start().map_err(Failure::of)?;
            let trackers = trackers(&server, processes).await?;
            for toll in &mut tolls {
                let (rate, computed) = turn(plan, &server, toll.shape, processes).await?;
                if let Some(row) = toll.rows.get_mut(row) {
                    row.rates.push(rate);
                    row.computed.push(computed);
                }
            }
            for tracker in trackers {
                tracker.end().await?;
            }
        }
    }
    Ok(tolls)
}

/// Processes that serve copies.
async fn trackers(server: &RedisServer, processes: usize) -> Result<Vec<Steady>, Failure> {
    let url = server.url();
    let start = |_| Steady::start(WORD, &["track", &url]);
    let mut trackers: Vec<_> = (0..processes).map(start).collect::<Result<_, _>>()?;
    for tracker in &mut trackers {
        tracker.ready().await?;
    }
    Ok(trackers)
}

/// Keeps copies of keys that are going to be written, and hears of that.
pub async fn play(url: &str) -> Result<(), Failure> {
    let sites = Sites::open(url).await?;
    for id in KEYS.step_by(ONE_IN as usize).take(100) {
        sites.until_near(id).await?;
    }
    worker::ready_until_the_end().await
}

async fn turn(
    plan: Plan,
    server: &RedisServer,
    shape: Shape,
    processes: usize,
) -> Result<(f64, f64), Failure> {
    let info = Info::open(&server.url()).await?;
    let load = Load::start(&server.address(), shape).await?;
    tokio::time::sleep(WARM_UP).await;
    let (start, sets, computed) = (Instant::now(), load.sets(), info.computed().await?);
    tokio::time::sleep(plan.length).await;
    let computed = info.computed().await? - computed;
    let (sets, seconds) = (load.sets() - sets, start.elapsed().as_secs_f64());
    load.end().await?;
    // A process that was dropped meanwhile would cost nothing.
    match info.told().await? {
        told if told == processes => Ok((sets as f64 / seconds, computed * 1e9 / sets as f64)),
        told => Err(Failure(format!("{told} of {processes} are told"))),
    }
}

impl Toll {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            rows: vec![Row::default(); PROCESSES.len()],
        }
    }
}
