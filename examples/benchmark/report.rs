//! What the benchmark prints.

use std::time::Duration;

use cache_examples::short;
use cache_runtime::{CacheError, Stats};
use indicatif::style::TemplateError;
use indicatif::{HumanCount, ProgressStyle};

use crate::Pair;
use crate::measure::Measured;
use crate::options::Options;

/// Characters of the longest bar.
const LONGEST: f64 = 40.0;

pub fn bar_style() -> Result<ProgressStyle, TemplateError> {
    ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}")
}

/// Says what is measured, without the credentials that an address may contain.
pub fn introduction(options: &Options, answered: &Result<Duration, CacheError>) {
    let address = options
        .url
        .as_deref()
        .map_or("inside this process", address);
    match answered {
        Ok(round_trip) => {
            println!(
                "The cache is {address}, a round trip takes {}.",
                short(*round_trip)
            );
        }
        Err(error) => {
            println!("The cache is {address}, but: {error}.");
            println!("So annotated calls go to the function, as if there were no cache.");
        }
    }
    println!(
        "Each line is measured for {} in each column.",
        short(options.length)
    );
    println!();
}

pub fn table(pairs: &[Pair]) {
    println!("{:<10}{:^38}{:^38}", "", "not annotated", "#[cached]");
    let head = |name| format!("{name:>13}");
    let columns = ["calls/s", "median", "p99"].map(head).concat();
    println!("{:<9}{columns}{columns}{:>12}", "callers", "speed-up");
    for pair in pairs {
        let [bare, cached] = [&pair.bare, &pair.cached].map(cells);
        let factor = match pair.bare.calls_per_second {
            0.0 => "-".to_owned(),
            bare => format!("{:.1} ×", pair.cached.calls_per_second / bare),
        };
        println!("{:<9}{bare}{cached}{:>12}", pair.callers, factor);
    }
    for pair in pairs {
        for (name, measured) in pair.sides() {
            let (failed, callers) = (&measured.failed, pair.callers);
            if failed.calls > 0 {
                let calls = HumanCount(failed.calls);
                println!(
                    "{calls} calls of {callers} at once, {name}, failed and are not counted: {}",
                    failed.message
                );
            }
        }
    }
    println!();
}

/// Calls per second as bars.
pub fn chart(pairs: &[Pair]) {
    let rates = pairs.iter().flat_map(|pair| [&pair.bare, &pair.cached]);
    let highest = rates
        .map(|measured| measured.calls_per_second)
        .fold(1.0, f64::max);
    println!("Calls per second:");
    for pair in pairs {
        for (name, measured) in pair.sides() {
            let rate = measured.calls_per_second;
            let length = (rate / highest * LONGEST).round().max(1.0) as usize;
            println!(
                "{:>6} × {name:<14} {} {}",
                pair.callers,
                "█".repeat(length),
                HumanCount(rate as u64)
            );
        }
    }
    println!();
}

/// How annotated calls were served.
pub fn served(stats: &Stats) {
    for function in &stats.functions {
        let hits = function.hits + function.near;
        let part = 100.0 * hits as f64 / function.calls.max(1) as f64;
        println!(
            "{} of {} annotated calls, the filling included, were hits: {part:.2} %.",
            HumanCount(hits),
            HumanCount(function.calls)
        );
    }
}

fn cells(measured: &Measured) -> String {
    let rate = HumanCount(measured.calls_per_second as u64).to_string();
    let [median, p99] = [measured.median, measured.p99].map(short);
    format!("{rate:>13}{median:>13}{p99:>13}")
}

fn address(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    let host = rest
        .rsplit_once('@')
        .map_or(rest, |(_credentials, host)| host);
    host.split(['?', '#']).next().unwrap_or_default()
}
