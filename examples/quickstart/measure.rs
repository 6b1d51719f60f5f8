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
    Timed {
        output,
        took: start.elapsed(),
    }
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// How often each outcome was seen.
#[derive(Default)]
pub struct Outcomes(BTreeMap<String, usize>);

impl Outcomes {
    pub fn count(&mut self, outcome: Outcome) {
        *self.0.entry(outcome.to_string()).or_default() += 1;
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self
            .0
            .iter()
            .map(|(outcome, count)| format!("{count} × {outcome}"))
            .collect();
        f.write_str(&counts.join(", "))
    }
}
