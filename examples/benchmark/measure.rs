//! How many calls a second there are, and how long each takes.

use std::fmt::Display;
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
    /// Without those that failed, as in all that follows.
    pub calls_per_second: f64,
    pub median: Duration,
    /// One call in a hundred takes longer.
    pub p99: Duration,
    pub failed: Failed,
}

/// Calls that ended with an error.
#[derive(Default)]
pub struct Failed {
    pub calls: u64,
    /// What one of them said.
    pub message: String,
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
    E: Display + Send + 'static,
{
    let start = Instant::now();
    let mut all = JoinSet::new();
    for caller in 0..callers {
        all.spawn(keep_calling(caller as u64, start + length, call));
    }
    let reached = bar.position() + ticks(length);
    let moving = tokio::spawn(keep_moving(bar.clone(), ticks(length)));
    let (mut times, mut failed) = (Vec::new(), Failed::default());
    let mut end = start;
    while let Some(caller) = all.join_next().await {
        let (more, failures, ended) = caller?;
        end = end.max(ended);
        times.extend(more);
        failed.calls += failures.calls;
        if failures.calls > 0 {
            failed.message = failures.message;
        }
    }
    let took = end.duration_since(start).as_secs_f64();
    moving.abort();
    bar.set_position(reached);
    times.sort_unstable();
    let at = |percent: usize| {
        let place = times.len() * percent / 100;
        times.get(place).copied().unwrap_or_default()
    };
    Ok(Measured {
        calls_per_second: times.len() as f64 / took,
        median: at(50),
        p99: at(99),
        failed,
    })
}

/// Moves the bar by so many steps, while others compute.
async fn keep_moving(bar: ProgressBar, steps: u64) {
    for _ in 0..steps {
        tokio::time::sleep(TICK).await;
        bar.inc(1);
    }
}

async fn keep_calling<F, T, E>(
    caller: u64,
    end: Instant,
    call: fn(u64) -> F,
) -> (Vec<Duration>, Failed, Instant)
where
    F: Future<Output = std::result::Result<T, E>>,
    E: Display,
{
    let (mut times, mut failed) = (Vec::new(), Failed::default());
    // Not all callers ask for the same at the same time.
    let mut argument = caller * 7;
    loop {
        let start = Instant::now();
        if start >= end {
            return (times, failed, start);
        }
        argument = (argument + 1) % ARGUMENTS;
        match call(argument).await {
            Ok(value) => {
                black_box(value);
                times.push(start.elapsed());
            }
            Err(error) => {
                failed.calls += 1;
                failed.message = error.to_string();
            }
        }
        // A call that is answered inside this process never waits, and would let nobody else run.
        tokio::task::coop::consume_budget().await;
    }
}
