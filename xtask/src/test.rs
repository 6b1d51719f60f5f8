//! `cargo xtask test`: every test of the workspace.

use crate::redis;
use crate::shell::{self, Result, cargo};

/// Runs the tests with all features; `arguments` go to `cargo test` (`-p cache-runtime`,
/// a filter, `-- --nocapture`, …).
pub(crate) fn run(arguments: &[String]) -> Result {
    redis::ensure()?;
    let chooses_packages = arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"));
    let mut command = cargo(&["test", "--all-features"]);
    if !chooses_packages {
        command.arg("--workspace");
    }
    shell::run(command.args(arguments))
}
