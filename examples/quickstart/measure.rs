//! How long calls take and how they are served.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use cache_runtime::Outcome;

/// What came out of a future, and after how long.
pub struct Timed<T> {
    pub output: T,
    pub took: Duration,
}

pub async fn timed<F: Future>(future: F) -> Timed<F::Output> {
    let start = Instant::now();
    let output = future.await;
    let took = start.elapsed();
    Timed { output, took }
}

/// What repeated calls took and how they were served.
pub struct Sample {
    pub median: Duration,
    pub outcomes: Outcomes,
}

/// Where there is no cache, even annotated calls are slow: then fewer of them will do.
const LONGEST: Duration = Duration::from_secs(3);

/// Calls again and again; `call` says how it was served, if the cache had a part in it.
pub async fn sample<E>(
    calls: usize,
    mut call: impl AsyncFnMut() -> Result<Option<Outcome>, E>,
) -> Result<Sample, E> {
    let start = Instant::now();
    let mut times = Vec::new();
    let mut outcomes = Outcomes::default();
    while times.len() < calls && start.elapsed() < LONGEST {
        let timed = timed(call()).await;
        outcomes.0.extend(timed.output?);
        times.push(timed.took);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(Sample { median, outcomes })
}

/// How calls were served.
#[derive(Default)]
pub struct Outcomes(pub Vec<Outcome>);

/// `99 × joined, 1 × loaded`
impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = BTreeMap::<_, usize>::new();
        for outcome in &self.0 {
            *counts.entry(outcome.to_string()).or_default() += 1;
        }
        let counts: Vec<_> = counts
            .iter()
            .map(|(outcome, count)| format!("{count} × {outcome}"))
            .collect();
        f.write_str(&counts.join(", "))
    }
}
