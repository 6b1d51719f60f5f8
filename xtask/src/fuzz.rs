//! `cargo xtask fuzz`: searches for bytes that break what must hold for any bytes.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use crate::shell::{self, Result, cargo, root};

/// How long each target runs unless said otherwise.
const SECONDS: u64 = 60;

/// Runs the named targets one after another, or all of them.
///
/// What was found interesting stays in `fuzz/corpus`, what failed in `fuzz/artifacts`.
pub(crate) fn run(arguments: &[String]) -> Result {
    let Chosen { names, seconds } = choose(arguments)?;
    let host = host()?;
    for name in names {
        let corpus = format!("corpus/{name}");
        let artifacts = format!("artifacts/{name}/");
        for folder in [&corpus, &artifacts] {
            let folder = root().join("fuzz").join(folder);
            fs::create_dir_all(&folder)
                .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
        }
        let mut command = cargo(&["run", "--release", "--target", &host, "--bin", &name, "--"]);
        // The folder's own configuration turns coverage on; flags from outside would replace it.
        command
            .current_dir(root().join("fuzz"))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={artifacts}"))
            .arg(corpus);
        shell::run(&mut command)?;
    }
    Ok(())
}

struct Chosen {
    names: Vec<String>,
    seconds: u64,
}

fn choose(arguments: &[String]) -> Result<Chosen> {
    let known = targets()?;
    let mut names = Vec::new();
    let mut seconds = SECONDS;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let number = arguments.next().and_then(|number| number.parse().ok());
            seconds = number.ok_or("`--seconds` needs a whole number")?;
        } else if known.contains(argument) {
            names.push(argument.clone());
        } else {
            let known = known.join(", ");
            return Err(format!(
                "there is no target `{argument}`; there are: {known}"
            ));
        }
    }
    if names.is_empty() {
        names = known;
    }
    Ok(Chosen { names, seconds })
}

fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|file| file.extension() == Some(OsStr::new("rs")))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let output = output.map_err(|error| format!("`rustc -vV` cannot be run: {error}"))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .ok_or_else(|| "`rustc -vV` does not name its host".to_owned())
}
