//! What the example prints: one line for each call.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cache_runtime::{Outcome, outcome};

use crate::Result;
use crate::origin::{Down, Origin};

pub struct Table {
    start: Instant,
    origin: Origin,
}

impl Table {
    pub fn new(origin: &Origin) -> Self {
        Self {
            start: Instant::now(),
            origin: origin.clone(),
        }
    }

    pub fn headline(&self, text: &str) {
        println!();
        println!("{text}");
        println!();
        println!(
            "{:>9}   {:<22}{:>5}   {:<27}{:>6}   loads so far",
            "at", "call", "value", "served", "took"
        );
    }

    /// One call; its value.
    pub async fn call(
        &self,
        name: &str,
        call: impl Future<Output = std::result::Result<u64, Down>>,
    ) -> Result<u64> {
        let start = Instant::now();
        let (value, how) = outcome(call).await;
        let value = value?;
        self.line(name, value, &how.to_string(), start);
        Ok(value)
    }

    /// Several calls that began at `start`.
    pub fn calls(&self, name: &str, calls: &[(u64, Outcome)], start: Instant) {
        let newest = calls.iter().map(|(value, _)| *value).max();
        let mut counts = BTreeMap::<_, usize>::new();
        for (_, how) in calls {
            *counts.entry(how.to_string()).or_default() += 1;
        }
        let counts: Vec<_> = counts
            .iter()
            .map(|(how, count)| format!("{count} × {how}"))
            .collect();
        let served = counts.join(", ");
        self.line(name, newest.unwrap_or_default(), &served, start);
    }

    /// Something that is no call.
    pub fn event(&self, what: &str) {
        println!("{:>6} ms   {what}", millis(self.start.elapsed()));
    }

    fn line(&self, name: &str, value: u64, served: &str, start: Instant) {
        let at = millis(start.duration_since(self.start));
        let took = millis(start.elapsed());
        let loads = self.origin.loads();
        println!("{at:>6} ms   {name:<22}{value:>5}   {served:<27}{took:>3} ms   {loads}");
    }
}

fn millis(time: Duration) -> u128 {
    time.as_millis()
}
