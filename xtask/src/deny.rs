//! `cargo xtask deny`: what the dependencies are allowed to be.

use crate::shell::{self, Result, answers, cargo};

/// Checks licences, sources and bans against `deny.toml`.
///
/// Advisories are left out: their database has to be fetched from GitHub, which is not
/// reachable everywhere this runs. Where it is, `cargo deny check advisories` does it.
pub(crate) fn run(arguments: &[String]) -> Result {
    if !answers("cargo-deny", "--version") {
        eprintln!("cargo-deny is not installed: installing it, which takes some minutes.");
        shell::run(&mut cargo(&["install", "--locked", "cargo-deny"]))?;
    }
    let mut command = cargo(&["deny", "--all-features", "check", "--hide-inclusion-graph"]);
    shell::run(
        command
            .args(arguments)
            .args(["bans", "licenses", "sources"]),
    )
}
