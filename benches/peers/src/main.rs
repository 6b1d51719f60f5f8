//! The project measured against what else there is; `cargo xtask bench` runs it.
//!
//! * `hits`: what a hit costs.
//! * `behaviour`: what happens when many callers miss, data change, types change, Redis goes.
//! * `cost`: what an annotated function costs where it is compiled.
//! * `contenders`: everybody who takes part, one file each.
//! * `report` and `chart`: what is printed and written.

mod allocations;
mod behaviour;
mod chart;
mod contenders;
mod cost;
mod hits;
mod options;
mod origin;
mod page;
mod report;

use std::error::Error;
use std::process::ExitCode;

use cache_benches::RedisServer;
use options::{Options, Part};
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((word, rest)) if word == behaviour::WORKER => work(rest),
        _ => Options::parse(arguments.into_iter())
            .map_err(Into::into)
            .and_then(|options| run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut sections = Vec::new();
    if options.includes(Part::Hits) {
        let server = RedisServer::start()?;
        let hits = runtime()?.block_on(hits::measure(options.hits(), &server))?;
        sections.extend(hits::sections(&hits));
    }
    if options.includes(Part::Behaviour) {
        let seen = runtime()?.block_on(behaviour::observe(options.behaviour()))?;
        sections.push(behaviour::section(&seen));
    }
    if options.includes(Part::Cost) {
        sections.extend(cost::sections(&cost::measure(options.cost())?));
    }
    report::publish(&sections, options.quick, &options.out())?;
    Ok(())
}

fn work(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let runtime = runtime()?;
    runtime.block_on(behaviour::work(arguments))?;
    // A contender may still be waiting for a Redis that does not come.
    runtime.shutdown_background();
    Ok(())
}

/// Two threads run what is measured, whatever the machine has, so that reports can be compared.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}
