//! What an annotated function costs where it is compiled: lines, time and machine code.
//!
//! Programs with one and with many functions are generated and built; only they are built anew,
//! their dependencies are there. The difference, divided by the number of functions, is the cost
//! of one.

mod report;
mod subject;
mod workshop;

use std::time::Duration;

use crate::origin::Failure;
use crate::report::median;
use subject::{FUNCTIONS, Subject, TYPES};
use workshop::{Build, Program, Workshop};

pub use report::{METHOD, sections};

/// How much is built.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Functions in the larger program of each pair.
    pub functions: usize,
    /// Types in the larger program where each function has its own.
    pub types: usize,
    /// Builds of each program at the least, and at the most if they differ by more than
    /// [`TOLERANCE`].
    pub builds: (usize, usize),
}

/// The part by which two builds of the same program may differ without a third being made.
const TOLERANCE: f64 = 0.05;

pub struct Costs {
    pub plan: Plan,
    pub functions: Vec<Cost>,
    pub types: Vec<Cost>,
}

/// Of one function.
pub struct Cost {
    pub name: &'static str,
    pub lines: f64,
    /// In milliseconds.
    pub check: f64,
    pub debug: f64,
    pub release: f64,
    /// In KiB.
    pub code: f64,
}

/// Builds everything for everybody.
pub fn measure(plan: Plan) -> Result<Costs, Failure> {
    let workshop = Workshop::open()?;
    let mut pairs = Vec::new();
    for subject in &FUNCTIONS {
        let small = workshop.program(subject, 1, 1)?;
        let large = workshop.program(subject, plan.functions, 1)?;
        pairs.push(Pair::new(subject, small, large, plan.functions));
    }
    let mut typed = Vec::new();
    for subject in &TYPES {
        // The smaller one of the default codec has been written already.
        let small = workshop.program(subject, 1, 1)?;
        let large = workshop.program(subject, plan.types, plan.types)?;
        typed.push(Pair::new(subject, small, large, plan.types));
    }
    let all = pairs.iter().chain(&typed);
    let mut programs: Vec<_> = all.flat_map(|pair| [&pair.small, &pair.large]).collect();
    programs.sort_by_key(|program| program.name());
    programs.dedup_by_key(|program| program.name());
    workshop.close(&programs)?;
    let any = programs.first().ok_or_else(|| Failure::of("no programs"))?;
    for build in Build::ALL {
        eprintln!("Compiled: dependencies, {build:?}");
        workshop.time(any, build)?;
    }
    Ok(Costs {
        plan,
        functions: costs(&workshop, plan, &pairs)?,
        types: costs(&workshop, plan, &typed)?,
    })
}

fn costs(workshop: &Workshop, plan: Plan, pairs: &[Pair]) -> Result<Vec<Cost>, Failure> {
    pairs.iter().map(|pair| pair.cost(workshop, plan)).collect()
}

/// Two programs that differ in the number of their functions.
struct Pair {
    name: &'static str,
    small: Program,
    large: Program,
    /// Functions that the larger one has more.
    more: f64,
}

impl Pair {
    fn new(subject: &Subject, small: Program, large: Program, functions: usize) -> Self {
        Self {
            name: subject.name,
            small,
            large,
            more: functions.saturating_sub(1).max(1) as f64,
        }
    }

    fn cost(&self, workshop: &Workshop, plan: Plan) -> Result<Cost, Failure> {
        eprintln!("Compiled: {}", self.large.name());
        let of = |count: &dyn Fn(&Program) -> Result<f64, Failure>| {
            Ok::<_, Failure>((count(&self.large)? - count(&self.small)?) / self.more)
        };
        let time = |build| of(&|program| time(workshop, plan, program, build));
        Ok(Cost {
            name: self.name,
            check: time(Build::Check)?,
            debug: time(Build::Debug)?,
            release: time(Build::Release)?,
            code: of(&|program| Ok(workshop.code(program)? as f64 / 1024.0))?,
            lines: of(&|program| Ok(workshop.expanded_lines(program)? as f64))?,
        })
    }
}

/// The median of some builds, in milliseconds.
fn time(workshop: &Workshop, plan: Plan, program: &Program, build: Build) -> Result<f64, Failure> {
    let once = || {
        workshop
            .time(program, build)
            .map(|time: Duration| time.as_secs_f64() * 1e3)
    };
    let mut times = Vec::new();
    let (least, most) = plan.builds;
    while times.len() < least || (times.len() < most && differ(&times)) {
        times.push(once()?);
    }
    Ok(median(times))
}

fn differ(times: &[f64]) -> bool {
    let lowest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = times.iter().copied().fold(0.0, f64::max);
    highest - lowest > TOLERANCE * highest
}
