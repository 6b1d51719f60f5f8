//! The project's own commands: `cargo xtask <command>`.

mod bench;
mod deny;
mod fuzz;
mod history;
mod redis;
mod shell;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command> [arguments]

  test [arguments]   every test of the workspace, doc tests included, against a real Redis;
                     installs redis-server if there is none. Arguments go to `cargo test`.
  bench [--quick] [--only hits|behaviour|coherence|many|cost] [--rounds N] [--seconds S]
        [--scan-keys N] [--out DIR]
                     the project measured against what else there is; writes docs/benchmarks. A
                     quick or partial run writes to target/benchmarks.
  fuzz [--seconds N] [target…]
                     each fuzz target (or those named) for N seconds, 60 by default.
  check-history [--minutes N] [--seed S] [--store memory|redis]
                     random histories on both stores, or on one, for N minutes, 10 by default, with
                     seeds from S on; the story of the first that breaks a promise. Those on Redis
                     also with trouble on the connections that tell of changes.
  deny               licences, sources and bans of all dependencies (deny.toml);
                     installs cargo-deny if there is none.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let done = match command.as_deref() {
        Some("test") => test::run(&rest),
        Some("bench") => bench::run(&rest),
        Some("fuzz") => fuzz::run(&rest),
        Some("check-history") => history::run(&rest),
        Some("deny") => deny::run(&rest),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(unknown) => Err(format!("there is no command `{unknown}`\n\n{USAGE}")),
        None => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
