//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

use crate::{behaviour, coherence, cost, hits, many};

pub const USAGE: &str = "\
cargo xtask bench [--quick] [--only hits|behaviour|coherence|many|cost] [--rounds N] [--seconds S]
                  [--scan-keys N] [--out DIR]

  --quick      few rounds and few runs: to see that it works, not for numbers to rely on
  --only PART  one part instead of all five
  --rounds N   how many rounds there are
  --seconds S  how long each contender has in a round, for instance 0.5
  --scan-keys N
               how many keys are scanned past the copies in a process: 10000000 by default
  --out DIR    where report.md and its charts go: docs/benchmarks by default, target/benchmarks
               where another option is given";

/// The parts of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Hits,
    Behaviour,
    Coherence,
    Many,
    Cost,
}

#[derive(Debug)]
pub struct Options {
    pub quick: bool,
    pub only: Option<Part>,
    rounds: Option<usize>,
    seconds: Option<f64>,
    scan_keys: Option<u64>,
    out: Option<PathBuf>,
}

impl Options {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            quick: false,
            only: None,
            rounds: None,
            seconds: None,
            scan_keys: None,
            out: None,
        };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            if name == "--quick" {
                options.quick = true;
                continue;
            }
            let value = arguments.next().unwrap_or_default();
            let wrong = || format!("`{name} {value}` is not understood\n\n{USAGE}");
            match name.as_str() {
                "--only" => options.only = Some(part(&value).ok_or_else(wrong)?),
                "--rounds" => options.rounds = Some(value.parse().map_err(|_| wrong())?),
                "--seconds" => options.seconds = Some(seconds(&value).ok_or_else(wrong)?),
                "--scan-keys" => options.scan_keys = Some(value.parse().map_err(|_| wrong())?),
                "--out" if !value.is_empty() => options.out = Some(value.into()),
                _ => return Err(wrong()),
            }
        }
        Ok(options)
    }

    pub fn includes(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    pub fn hits(&self) -> hits::Plan {
        let (rounds, seconds) = if self.quick { (3, 0.05) } else { (12, 0.25) };
        hits::Plan {
            rounds: self.rounds.unwrap_or(rounds).max(1),
            length: Duration::from_secs_f64(self.seconds.unwrap_or(seconds).clamp(0.01, 3600.0)),
        }
    }

    pub fn behaviour(&self) -> behaviour::Plan {
        let (outage, after) = if self.quick { (1, 2) } else { (3, 5) };
        behaviour::Plan {
            outage: Duration::from_secs(outage),
            after: Duration::from_secs(after),
        }
    }

    pub fn coherence(&self) -> coherence::Plan {
        let (rounds, seconds) = if self.quick { (2, 0.2) } else { (5, 2.0) };
        let (samples, writes) = if self.quick { (50, 2) } else { (2000, 10) };
        let (scanned, capacity) = if self.quick {
            (100_000, 4 << 20)
        } else {
            (10_000_000, 64 << 20)
        };
        coherence::Plan {
            rounds: self.rounds.unwrap_or(rounds).max(1),
            length: Duration::from_secs_f64(self.seconds.unwrap_or(seconds).clamp(0.1, 3600.0)),
            samples,
            writes,
            scanned: self.scan_keys.unwrap_or(scanned).max(1),
            capacity,
        }
    }

    pub fn many(&self) -> many::Plan {
        let (rounds, seconds) = if self.quick { (2, 0.05) } else { (9, 0.5) };
        many::Plan {
            rounds: self.rounds.unwrap_or(rounds).max(1),
            length: Duration::from_secs_f64(self.seconds.unwrap_or(seconds).clamp(0.01, 3600.0)),
            tagged: if self.quick { 10_000 } else { 1_000_000 },
        }
    }

    pub fn cost(&self) -> cost::Plan {
        let (functions, types, builds) = if self.quick {
            (20, 10, (1, 1))
        } else {
            (200, 50, (2, 3))
        };
        cost::Plan {
            functions,
            types,
            builds,
        }
    }

    /// Numbers that are not meant to be published do not replace those that are.
    pub fn out(&self) -> PathBuf {
        let is_usual = self.rounds.is_none() && self.seconds.is_none() && self.scan_keys.is_none();
        let is_whole = !self.quick && self.only.is_none() && is_usual;
        let default = if is_whole {
            "docs/benchmarks"
        } else {
            "target/benchmarks"
        };
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let out = self.out.clone();
        out.unwrap_or_else(|| PathBuf::from(root).join(default))
    }
}

fn seconds(text: &str) -> Option<f64> {
    let seconds: f64 = text.parse().ok()?;
    seconds.is_finite().then_some(seconds)
}

fn part(name: &str) -> Option<Part> {
    match name {
        "hits" => Some(Part::Hits),
        "behaviour" => Some(Part::Behaviour),
        "coherence" => Some(Part::Coherence),
        "many" => Some(Part::Many),
        "cost" => Some(Part::Cost),
        _ => None,
    }
}
