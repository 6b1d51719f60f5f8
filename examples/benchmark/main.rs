//! What the cache does for *your* function on *your* Redis. Put the function in `function.rs`,
//! where the example has one that sleeps; everything else here only measures.
//!
//! ```sh
//! cargo run --release --example benchmark
//! cargo run --release --example benchmark -- --url redis://127.0.0.1 --callers 1,64 --seconds 3
//! ```
//!
//! The same calls are made twice: not annotated, and annotated with every value cached before.

#![expect(
    unreachable_pub,
    reason = "`pub` reads better than `pub(crate)` in an example"
)]

mod function;
mod measure;
mod options;
mod report;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;

use function::{ARGUMENTS, look_up, look_up_entry, look_up_uncached};
use measure::{Measured, measure};
use options::Options;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result {
    let options = Options::parse(std::env::args().skip(1))?;
    let cache = options.cache().await?;
    cache.install()?;
    let answered = cache.ping().await;
    report::introduction(&options, &answered);

    if answered.is_ok() {
        // What another version of the function has left behind is not what is measured here.
        forget().await;
    }
    let pairs = compare(&options).await;
    let stats = cache.stats();
    if answered.is_ok() {
        // Entries of a benchmark are of no use to anybody.
        forget().await;
    }

    let pairs = pairs?;
    report::table(&pairs);
    report::chart(&pairs);
    report::served(&stats);
    Ok(cache.shutdown(Duration::from_secs(5)).await?)
}

/// Fills the cache, and measures every number of callers.
async fn compare(options: &Options) -> Result<Vec<Pair>> {
    let turns = 2 * options.callers.len();
    let bar = ProgressBar::new(ARGUMENTS + turns as u64 * measure::ticks(options.length));
    bar.set_style(report::bar_style()?);
    bar.set_message("filling the cache");
    for argument in 0..ARGUMENTS {
        if let Err(error) = look_up(argument).await {
            bar.suspend(|| eprintln!("The function fails for {argument}: {error}"));
        }
        bar.inc(1);
    }
    let mut pairs = Vec::new();
    for &callers in &options.callers {
        bar.set_message(format!("{callers} at once, not annotated"));
        let bare = measure(callers, options.length, &bar, look_up_uncached).await?;
        bar.set_message(format!("{callers} at once, annotated"));
        let cached = measure(callers, options.length, &bar, look_up).await?;
        pairs.push(Pair {
            callers,
            bare,
            cached,
        });
    }
    bar.finish_and_clear();
    Ok(pairs)
}

/// Deletes the entries of all arguments, as long as Redis answers.
async fn forget() {
    for argument in 0..ARGUMENTS {
        if look_up_entry(argument).invalidate().await.is_err() {
            return;
        }
    }
}

/// The same number of callers without and with the cache.
struct Pair {
    callers: usize,
    bare: Measured,
    cached: Measured,
}

impl Pair {
    fn sides(&self) -> [(&'static str, &Measured); 2] {
        [("not annotated", &self.bare), ("#[cached]", &self.cached)]
    }
}
