//! Copies in the process: what keeping them true costs the server, how soon a change reaches them,
//! whether one that races with a read does, and what they weigh.
//!
//! * `toll`: how many `SET`s a server carries out while processes are told of a tenth of them.
//! * `delay`: from a change to the moment when another process's copy serves no more.
//! * `race`: who still serves old copies when all is quiet.
//! * `scan`: what copies weigh while more is read than fits.
//! * `sites`, `load`, `raw` and `memory`: what these have in common.

mod delay;
mod load;
mod memory;
mod race;
mod raw;
mod report;
mod scan;
mod sites;
mod toll;

use std::time::Duration;

use crate::origin::Failure;
use crate::worker::say;
use delay::Delays;
use race::Race;
use scan::Scan;
use toll::Toll;

pub use report::{method, section};

/// The word on the command line before the part that a worker plays here.
pub const WORD: &str = "coherence";

/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often the server's throughput is measured with each number of processes.
    pub rounds: usize,
    /// For how long.
    pub length: Duration,
    /// Changes of each kind whose delay is measured.
    pub samples: usize,
    /// How often each key is written in the race.
    pub writes: u64,
    /// Keys that are scanned.
    pub scanned: u64,
    /// What the scanning process's copies may weigh, in bytes.
    pub capacity: usize,
}

/// What was seen.
pub struct Seen {
    pub plan: Plan,
    pub tolls: Vec<Toll>,
    pub delays: Delays,
    pub races: Vec<Race>,
    pub scan: Scan,
}

/// Measures everything.
pub async fn observe(plan: Plan) -> Result<Seen, Failure> {
    Ok(Seen {
        plan,
        races: race::observe(plan).await?,
        tolls: toll::measure(plan).await?,
        delays: delay::measure(plan).await?,
        scan: scan::observe(plan).await?,
    })
}

/// Plays a part, as a worker.
pub async fn play(part: &str, arguments: &[&str]) -> Result<(), Failure> {
    match (part, arguments) {
        ("track", [url]) => toll::play(url).await,
        ("load", [url, address]) => delay::play_load(url, address).await,
        ("scan", [url, keys, capacity]) => say(&scan::play(url, keys, capacity).await),
        _ => Err(Failure(format!("there is no part {part} {arguments:?}"))),
    }
}
