//! What the example prints.

use std::env;
use std::time::Duration;

use cache_runtime::{Cache, Outcome};
use indicatif::ProgressStyle;
use indicatif::style::TemplateError;

use crate::database::{Database, USERS, VISITS};
use crate::measure::Outcomes;

pub fn bar_style() -> Result<ProgressStyle, TemplateError> {
    ProgressStyle::with_template(
        "Making the database, once: {bar:40} {human_pos} of {human_len} rows",
    )
}

pub async fn introduction(db: &Database) {
    println!(
        "Who are the most active users of Lisbon? To answer, SQLite reads through {USERS} users"
    );
    println!(
        "and {VISITS} visits without an index ({}).",
        db.file().display()
    );
    println!();
    println!("{}", store().await);
}

/// Which store is in use, without the credentials its address may contain.
async fn store() -> String {
    let Ok(url) = env::var("CACHE_URL") else {
        return "The cache is the embedded store, inside this process.\n\
                With CACHE_URL=redis://127.0.0.1 it would be Redis, shared by all processes."
            .to_owned();
    };
    let address = address(&url);
    match Cache::current().ping().await {
        Ok(round_trip) => format!(
            "The cache is {address}, which answers in {}.",
            short(round_trip)
        ),
        Err(error) => {
            format!("The cache is {address}, which does not answer ({error}): calls go to SQLite.")
        }
    }
}

fn address(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest
        .rsplit_once('@')
        .map_or(rest, |(_credentials, host)| host);
    let host = host.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// The same call, not annotated and annotated.
pub struct Comparison {
    pub bare_first: Duration,
    pub bare_later: Duration,
    pub first: Duration,
    pub later: Duration,
    pub outcomes: (Outcome, Outcomes),
}

impl Comparison {
    pub fn print(&self, slow_calls: usize, fast_calls: usize) {
        headline(&format!(
            "{:<26}{:>14}{:>14}{:>14}   outcomes",
            "", "plain", "#[cached]", "speed-up"
        ));
        let (first, later) = &self.outcomes;
        row("first access", self.bare_first, self.first, first);
        row(
            "later accesses (median)",
            self.bare_later,
            self.later,
            later,
        );
        println!(
            "{:<26}{:>14}{:>14}",
            "",
            format!("of {slow_calls} calls"),
            format!("of {fast_calls} calls")
        );
    }
}

fn row(what: &str, bare: Duration, cached: Duration, outcomes: impl std::fmt::Display) {
    let speed_up = bare.as_secs_f64() / cached.as_secs_f64().max(f64::MIN_POSITIVE);
    let speed_up = if speed_up < 10.0 {
        format!("{speed_up:.1}")
    } else {
        format!("{speed_up:.0}")
    };
    println!(
        "{what:<26}{:>14}{:>14}{speed_up:>12} ×   {outcomes}",
        short(bare),
        short(cached)
    );
}

/// One call in the story of an entry.
pub struct Step(String);

impl Step {
    pub fn read(function: &str, city: &str, took: Duration, outcome: Outcome, first: &str) -> Self {
        Self::new(
            &format!("{function}({city:?})"),
            took,
            &outcome.to_string(),
            &format!("the first is {first}"),
        )
    }

    pub fn write(function: &str, user: &str, took: Duration, effect: &str) -> Self {
        Self::new(&format!("{function}({user:?})"), took, "", effect)
    }

    fn new(call: &str, took: Duration, outcome: &str, comment: &str) -> Self {
        Self(format!(
            "  {call:<32}{:>9}   {outcome:<8} {comment}",
            short(took)
        ))
    }

    pub fn print(&self) {
        println!("{}", self.0);
    }
}

pub fn headline(text: &str) {
    println!("\n{text}");
}

/// A duration with two or three digits and its unit.
pub fn short(time: Duration) -> String {
    let nanoseconds = time.as_secs_f64() * 1e9;
    let (value, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        1e3..1e6 => (nanoseconds / 1e3, "µs"),
        1e6..1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let digits = usize::from(value < 100.0);
    format!("{value:.digits$} {unit}")
}
