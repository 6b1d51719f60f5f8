//! The project measured against what else there is; `cargo xtask bench` runs it.
//!
//! * `hits`: what a hit costs.
//! * `behaviour`: what happens when many callers miss, data change, types change, Redis goes.
//! * `coherence`: what it costs to keep copies in processes true, and whether they are.
//! * `many`: a thousand ids by one call, and tags that very many entries have.
//! * `cost`: what an annotated function costs where it is compiled.
//! * `contenders`: everybody who takes part, one file each.
//! * `report` and `chart`: what is printed and written.

mod allocations;
mod behaviour;
mod chart;
mod coherence;
mod contenders;
mod cost;
mod hits;
mod ids;
mod info;
mod lots;
mod many;
mod options;
mod origin;
mod page;
mod processor;
mod report;
mod worker;

use std::error::Error;
use std::process::ExitCode;

use cache_benches::RedisServer;
use hits::Place;
use options::{Options, Part};
use origin::Failure;
use processor::Kept;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((word, rest)) if word == worker::WORD => work(rest),
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
    let (mut sections, mut methods) = (Vec::new(), Vec::new());
    if options.includes(Part::Hits) {
        sections.extend(hits::sections(&measure_hits(options.hits())?));
        methods.push(hits::method(options.hits()));
    }
    if options.includes(Part::Behaviour) {
        let seen = runtime()?.block_on(behaviour::observe(options.behaviour()))?;
        sections.push(behaviour::section(&seen));
        methods.push(behaviour::METHOD.to_owned());
    }
    if options.includes(Part::Coherence) {
        let seen = runtime()?.block_on(coherence::observe(options.coherence()))?;
        sections.push(coherence::section(&seen));
        methods.push(coherence::method(options.coherence()));
    }
    if options.includes(Part::Many) {
        let seen = runtime()?.block_on(many::measure(options.many()))?;
        sections.push(many::section(&seen));
        methods.push(many::method(options.many()));
    }
    if options.includes(Part::Cost) {
        sections.extend(cost::sections(&cost::measure(options.cost())?));
        methods.push(cost::METHOD.to_owned());
    }
    report::publish(&sections, &methods, options.quick, &options.out())?;
    Ok(())
}

fn measure_hits(plan: hits::Plan) -> Result<Vec<hits::Hits>, Box<dyn Error>> {
    let mut all = {
        let server = RedisServer::start()?;
        runtime()?.block_on(hits::measure(plan, &server))?
    };
    if !processor::can_be_chosen() {
        eprintln!("Hits where processors are chosen are left out: there is no choice here");
        return Ok(all);
    }
    all.extend({
        let server = {
            let _kept = Kept::on_last()?;
            RedisServer::start()?
        };
        let _kept = Kept::on_first()?;
        runtime()?.block_on(hits::measure_kept(plan, Place::RedisApart, &server))?
    });
    all.extend({
        let _kept = Kept::on_last()?;
        let server = RedisServer::start()?;
        runtime()?.block_on(hits::measure_kept(plan, Place::RedisOnOne, &server))?
    });
    Ok(all)
}

fn work(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let runtime = runtime()?;
    match arguments.as_slice() {
        [coherence::WORD, part, rest @ ..] => runtime.block_on(coherence::play(part, rest))?,
        [part, rest @ ..] => runtime.block_on(behaviour::play(part, rest))?,
        [] => return Err(Failure::of("which part?").into()),
    }
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
