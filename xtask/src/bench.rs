//! `cargo xtask bench`: the project measured against what else there is.

use crate::redis;
use crate::shell::{self, Result, cargo};

/// Builds the program that measures, which is a workspace of its own, and runs it.
pub(crate) fn run(arguments: &[String]) -> Result {
    redis::ensure()?;
    let manifest = "benches/peers/Cargo.toml";
    let mut command = cargo(&[
        "run",
        "--release",
        "--locked",
        "--manifest-path",
        manifest,
        "--",
    ]);
    shell::run(command.args(arguments))
}
