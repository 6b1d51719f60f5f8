//! A workspace of generated programs, built with the dependencies of this one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use object::{Object as _, ObjectSection as _, SectionKind};

use super::subject::Subject;
use crate::origin::Failure;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const MANIFEST: &str = include_str!("../../Cargo.toml");

/// What Cargo does with a program.
#[derive(Debug, Clone, Copy)]
pub enum Build {
    Check,
    Debug,
    Release,
}

pub struct Workshop {
    folder: PathBuf,
    /// Shared with this program, whose dependencies are built already.
    target: PathBuf,
}

/// A generated program.
pub struct Program {
    name: String,
    source: PathBuf,
}

impl Workshop {
    pub fn open() -> Result<Self, Failure> {
        let target = Path::new(HERE).join("target");
        let target = env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
        let folder = target.join("cost");
        fs::create_dir_all(&folder).map_err(Failure::of)?;
        let lock = Path::new(HERE).join("Cargo.lock");
        fs::copy(lock, folder.join("Cargo.lock")).map_err(Failure::of)?;
        Ok(Self { folder, target })
    }

    /// Writes a program; all of them together are the workspace.
    pub fn program(
        &self,
        subject: &Subject,
        functions: usize,
        types: usize,
    ) -> Result<Program, Failure> {
        let name = format!("cost-{}-{functions}-{types}", subject.word).replace('_', "-");
        let folder = self.folder.join(&name);
        fs::create_dir_all(&folder).map_err(Failure::of)?;
        let names = dependencies().filter_map(|line| line.split_once(" = "));
        let names: String = names
            .map(|(name, _)| format!("{name}.workspace = true\n"))
            .collect();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
             publish = false\n\n[[bin]]\nname = \"{name}\"\npath = \"main.rs\"\n\n\
             [dependencies]\n{names}"
        );
        fs::write(folder.join("Cargo.toml"), manifest).map_err(Failure::of)?;
        let source = folder.join("main.rs");
        fs::write(&source, subject.program(functions, types)).map_err(Failure::of)?;
        Ok(Program { name, source })
    }

    /// Makes the programs one workspace, with the versions that this program has.
    pub fn close(&self, programs: &[&Program]) -> Result<(), Failure> {
        let names: Vec<_> = programs
            .iter()
            .map(|program| program.name.as_str())
            .collect();
        let here = Path::new(HERE).display();
        let dependencies: String = dependencies().map(|line| format!("{line}\n")).collect();
        let dependencies = dependencies.replace("path = \"", &format!("path = \"{here}/"));
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = {names:?}\n\n\
             [workspace.dependencies]\n{dependencies}"
        );
        fs::write(self.folder.join("Cargo.toml"), manifest).map_err(Failure::of)
    }

    /// How long Cargo takes for a program whose dependencies are built.
    pub fn time(&self, program: &Program, build: Build) -> Result<Duration, Failure> {
        // As if it had just been edited.
        let text = fs::read(&program.source).map_err(Failure::of)?;
        fs::write(&program.source, text).map_err(Failure::of)?;
        let start = Instant::now();
        self.cargo(build.words(), program, &[])?;
        Ok(start.elapsed())
    }

    /// Bytes of machine code in the released program.
    pub fn code(&self, program: &Program) -> Result<u64, Failure> {
        let file = self.target.join("release").join(&program.name);
        let file = file.with_extension(env::consts::EXE_EXTENSION);
        let bytes = fs::read(file).map_err(Failure::of)?;
        let object = object::File::parse(&*bytes).map_err(Failure::of)?;
        let code = object
            .sections()
            .filter(|section| section.kind() == SectionKind::Text);
        Ok(code.map(|section| section.size()).sum())
    }

    /// Lines after all macros have run, laid out by rustfmt.
    pub fn expanded_lines(&self, program: &Program) -> Result<usize, Failure> {
        let text = fs::read(&program.source).map_err(Failure::of)?;
        fs::write(&program.source, text).map_err(Failure::of)?;
        let output = self.cargo(Build::Check.words(), program, &["-vv"])?;
        let told = String::from_utf8_lossy(&output.stderr);
        let crate_name = format!("--crate-name {} ", program.name.replace('-', "_"));
        let call = told
            .lines()
            .filter(|line| line.contains(&crate_name))
            .find_map(|line| line.trim().strip_prefix("Running `")?.strip_suffix('`'));
        let call = call.ok_or_else(|| Failure::of("Cargo did not say how it calls rustc"))?;
        let file = self.folder.join("expanded.rs");
        let expand = format!(
            "{call} -Zunpretty=expanded > '{0}' && {{ rustfmt --edition 2024 '{0}' || true; }}",
            file.display()
        );
        let mut shell = Command::new("sh");
        // The only thing here that a stable compiler does not do for everybody; it is not timed.
        shell.args(["-c", &expand]).env("RUSTC_BOOTSTRAP", "1");
        run(shell.current_dir(&self.folder))?;
        let expanded = fs::read_to_string(file).map_err(Failure::of)?;
        Ok(expanded
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count())
    }

    fn cargo(&self, words: &[&str], program: &Program, rest: &[&str]) -> Result<Output, Failure> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(words)
            .args(["--offline", "-p", &program.name])
            .args(rest)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            // A second build of the same source would cost nothing.
            .env("CARGO_INCREMENTAL", "0");
        let names = env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| is_of_this_package(name)) {
            cargo.env_remove(name);
        }
        run(&mut cargo)
    }
}

impl Program {
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Build {
    pub const ALL: [Self; 3] = [Self::Check, Self::Debug, Self::Release];

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Check => &["check"],
            Self::Debug => &["build"],
            Self::Release => &["build", "--release"],
        }
    }
}

/// Build scripts that watch these would run again, and so would everything after them.
fn is_of_this_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// This program's dependencies, a line each.
fn dependencies() -> impl Iterator<Item = &'static str> {
    let from = MANIFEST.split_once("[workspace.dependencies]\n");
    let text = from.and_then(|(_, rest)| rest.split_once("\n["));
    let lines = text.map_or("", |(lines, _)| lines).lines();
    lines.filter(|line| line.contains(" = "))
}

fn run(command: &mut Command) -> Result<Output, Failure> {
    let output = command.stdin(Stdio::null()).output().map_err(Failure::of)?;
    if output.status.success() {
        return Ok(output);
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(Failure(format!("{command:?} failed: {told}")))
}
