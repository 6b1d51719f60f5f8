//! How many calls a second there are, and how long each takes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::JoinSet;

use crate::Result;
use crate::function::ARGUMENTS;

/// How often the progress bar moves while a turn is measured.
const TICK: Duration = Duration::from_millis(100);

/// What a turn gave.
pub struct Measured {
    pub calls_per_second: f64,
    pub median: Duration,
    /// One call in a hundred takes longer.
    pub p99: Duration,
}

/// Steps of the progress bar in a turn.
pub fn ticks(length: Duration) -> u64 {
    length.div_duration_f64(TICK).ceil() as u64
}

/// Lets so many callers call for so long, as fast as they get answers.
pub async fn measure<F, T, E>(
    callers: usize,
    length: Duration,
    bar: &ProgressBar,
    call: fn(u64) -> F,
) -> Result<Measured>
where
    F: Future<Output = std::result::Result<T, E>> + Send + 'static,
    T: 'static,
    E: Send + std::error::Error + 'static,
{
    let start = Instant::now();
    let mut all = JoinSet::new();
    for caller in 0..callers {
        all.spawn(keep_calling(caller as u64, start + length, call));
    }
    for _ in 0..ticks(length) {
        tokio::time::sleep(TICK).await;
        bar.inc(1);
    }
    let mut times = Vec::new();
    while let Some(caller) = all.join_next().await {
        times.extend(caller??);
    }
    let took = start.elapsed().max(length).as_secs_f64();
    times.sort_unstable();
    let at = |percent: usize| {
        let place = times.len() * percent / 100;
        times.get(place).copied().unwrap_or_default()
    };
    Ok(Measured {
        calls_per_second: times.len() as f64 / took,
        median: at(50),
        p99: at(99),
    })
}

async fn keep_calling<F, T, E>(
    caller: u64,
    end: Instant,
    call: fn(u64) -> F,
) -> std::result::Result<Vec<Duration>, E>
where
    F: Future<Output = std::result::Result<T, E>>,
{
    let mut times = Vec::new();
    // Not all callers ask for the same at the same time.
    let mut argument = caller * 7;
    loop {
        let start = Instant::now();
        if start >= end {
            return Ok(times);
        }
        argument = (argument + 1) % ARGUMENTS;
        black_box(call(argument).await?);
        times.push(start.elapsed());
        // A call that is answered inside this process never waits, and would let nobody else run.
        tokio::task::coop::consume_budget().await;
    }
}
