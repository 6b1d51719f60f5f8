//! `cargo xtask check-history`: searches at random for a history that breaks a promise.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::redis;
use crate::shell::{self, Result, cargo};

/// How long it searches unless said otherwise.
const MINUTES: u64 = 10;

/// Runs histories with seeds from the one given on, or from one taken from the clock. Fails with
/// the story of the first violation.
pub(crate) fn run(arguments: &[String]) -> Result {
    let Search {
        minutes,
        seed,
        store,
    } = Search::parse(arguments)?;
    redis::ensure()?;
    let mut command = cargo(&["test", "-p", "cache-tests", "--test", "history", "--"]);
    command
        .args(["--ignored", "--nocapture", "--exact", "random_seeds"])
        .env("HISTORY_MINUTES", minutes.to_string())
        .env("HISTORY_SEED", seed.to_string())
        .env("HISTORY_STORE", store)
        // The story is what is to be read.
        .env("RUST_BACKTRACE", "0");
    shell::run(&mut command)
}

struct Search {
    minutes: u64,
    seed: u64,
    /// `memory` or `redis`; otherwise both.
    store: String,
}

impl Search {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut search = Self {
            minutes: MINUTES,
            seed: from_the_clock(),
            store: String::new(),
        };
        let number = |name: &str, value: Option<&String>| {
            let number = value.and_then(|value| value.parse().ok());
            number.ok_or_else(|| format!("`{name}` needs a whole number"))
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            match (name.as_str(), value.map(String::as_str)) {
                ("--minutes", _) => search.minutes = number(name, value)?,
                ("--seed", _) => search.seed = number(name, value)?,
                ("--store", Some(store @ ("memory" | "redis"))) => {
                    store.clone_into(&mut search.store)
                }
                ("--store", _) => return Err("`--store` needs `memory` or `redis`".to_owned()),
                (unknown, _) => return Err(format!("there is no option `{unknown}`")),
            }
        }
        Ok(search)
    }
}

fn from_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
