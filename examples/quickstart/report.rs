//! What the example prints.

use std::env;
use std::time::Duration;

use cache_examples::short;
use cache_runtime::CacheError;
use indicatif::style::TemplateError;
use indicatif::{HumanCount, ProgressStyle};

use crate::database::{Database, USERS, VISITS};
use crate::measure::Sample;

pub fn bar_style() -> Result<ProgressStyle, TemplateError> {
    let template = "Making the database, once: {bar:40} {human_pos} of {human_len} rows";
    ProgressStyle::with_template(template)
}

pub fn introduction(db: &Database) {
    let [users, visits] = [USERS, VISITS].map(|rows| HumanCount(rows.cast_unsigned()));
    println!("Who are the most active users of Lisbon? SQLite reads {users} users");
    println!(
        "and {visits} visits to answer that: {}",
        db.file().display()
    );
}

/// Says which store is in use, without the credentials its address may contain.
pub fn store(answered: &Result<Duration, CacheError>) {
    match (env::var("CACHE_URL"), answered) {
        (Err(_), _) => {
            println!("The cache is the embedded store, inside this process.");
            println!("With CACHE_URL=redis://127.0.0.1 it is Redis, shared by all processes.");
        }
        (Ok(url), Ok(round_trip)) => {
            let round_trip = short(*round_trip);
            println!(
                "The cache is {}, which answers in {round_trip}.",
                address(&url)
            );
        }
        (Ok(url), Err(error)) => {
            println!("The cache is {}, but: {error}.", address(&url));
            println!("So calls go to SQLite, as if there were no cache.");
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

/// The first access and later ones, not annotated and annotated.
pub fn comparison(bare: &[Sample; 2], cached: &[Sample; 2]) {
    println!();
    println!(
        "{:<16}{:>15}{:>13}{:>13}",
        "", "not annotated", "#[cached]", "speed-up"
    );
    let names = ["first access", "later, median"];
    for ((name, bare), cached) in names.iter().zip(bare).zip(cached) {
        let factor = bare.median.as_secs_f64() / cached.median.as_secs_f64().max(1e-9);
        let factor = match factor {
            ..10.0 => format!("{factor:.1} ×"),
            _ => format!("{} ×", HumanCount(factor as u64)),
        };
        let [bare, at] = [bare, cached].map(|sample| short(sample.median));
        println!(
            "{name:<16}{bare:>15}{at:>13}{factor:>13}   {}",
            cached.outcomes
        );
    }
}

pub fn headline(text: &str) {
    println!();
    println!("{text}");
}

pub fn step(call: &str, took: Duration, what: &str) {
    println!("{call:<31}{:>13}   {what}", short(took));
}
