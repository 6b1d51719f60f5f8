//! What a run did, and the story of what went wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::config::Config;
use super::log::{Op, Step, What};
use super::run::{Since, Violation};
use super::sharing::{Excuse, Sharing};

/// Steps of the key that are told from before its story begins.
const BEFORE: usize = 12;
/// And from after it shows: calls tell of themselves when they end.
const AFTER: usize = 25;
/// Longer stories are cut in the middle.
const LONGEST: usize = 150;
/// Stories told of one run.
const STORIES: usize = 3;

/// What a run did. Its `Display` is a few lines, and the story of each violation.
#[derive(Debug)]
pub struct Summary {
    /// Of the run.
    pub seed: u64,
    /// Operations that were started.
    pub operations: usize,
    /// Those dropped on their way.
    pub dropped: usize,
    /// Values returned to readers, each compared with its floor.
    pub compared: usize,
    /// Those of them with a floor above 0.
    pub floored: usize,
    /// Invalidations and writes that were acknowledged.
    pub acknowledged: usize,
    /// Loads.
    pub loads: usize,
    /// Pairs of loads of one key that overlapped in time.
    pub overlapping: usize,
    /// Why that was in order.
    pub excused: BTreeMap<Excuse, usize>,
    /// How many calls were served how.
    pub outcomes: BTreeMap<String, usize>,
    /// Copies served although it was acknowledged that there is a newer version.
    pub outdated: usize,
    /// How long before the call that was, at most.
    pub longest_outdated: Duration,
    /// Promises not kept.
    pub violations: usize,
    stories: Vec<String>,
}

impl Summary {
    pub(super) fn new(
        config: &Config,
        steps: &[Step],
        sharing: Sharing,
        mut violations: Vec<Violation>,
    ) -> Self {
        let mut summary = Self {
            seed: config.seed,
            operations: 0,
            dropped: 0,
            compared: 0,
            floored: 0,
            acknowledged: 0,
            loads: sharing.loads,
            overlapping: sharing.overlapping,
            excused: sharing.excused,
            outcomes: BTreeMap::new(),
            outdated: 0,
            longest_outdated: Duration::ZERO,
            violations: violations.len() + sharing.violations.len(),
            stories: Vec::new(),
        };
        let mut floors = BTreeMap::new();
        for step in steps {
            match &step.what {
                What::Calls { op, floor, own } => {
                    summary.operations += 1;
                    if matches!(op, Op::Read | Op::Refresh | Op::Peek) {
                        floors.insert(step.by.call, *floor.max(own));
                    }
                }
                What::Dropped => summary.dropped += 1,
                What::Acknowledged(_) => summary.acknowledged += 1,
                What::Returns(answer) => {
                    if let Some(outcome) = answer.outcome() {
                        let outcome = outcome.to_string();
                        *summary.outcomes.entry(outcome).or_default() += 1;
                    }
                    summary.outdated += usize::from(!answer.outdated.is_zero());
                    summary.longest_outdated = summary.longest_outdated.max(answer.outdated);
                    if answer.version.is_some() {
                        summary.compared += 1;
                        let floor = floors.get(&step.by.call);
                        summary.floored += usize::from(floor.is_some_and(|floor| *floor > 0));
                    }
                }
                _ => {}
            }
        }
        violations.extend(sharing.violations);
        let told = violations.iter().take(STORIES);
        summary.stories = told.map(|violation| tell(violation, steps)).collect();
        summary
    }

    /// Fails with the seed and the stories unless every promise was kept.
    ///
    /// # Panics
    ///
    /// That is how it fails.
    pub fn expect_kept(&self) {
        assert!(self.violations == 0, "\n{self}");
    }
}

/// What happened to the key around a violation.
fn tell(violation: &Violation, steps: &[Step]) -> String {
    let of_key: Vec<(usize, &Step)> = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.by.key == violation.key)
        .collect();
    let since = match violation.since {
        Since::Step(since) => since,
        Since::Version(version) => steps
            .iter()
            .position(|step| {
                step.by.key == violation.key
                    && matches!(step.what, What::Wrote(written) if written > version)
            })
            .unwrap_or(violation.step),
    };
    let first = of_key.partition_point(|(at, _)| *at < since);
    let shows = of_key.partition_point(|(at, _)| *at <= violation.step);
    let last = of_key.len().min(shows + AFTER);
    let story = of_key
        .get(first.saturating_sub(BEFORE)..last)
        .unwrap_or_default();
    let cut = story.len().saturating_sub(LONGEST);
    let mut told = format!(
        "{}\nThe story of key {}:\n",
        violation.broken, violation.key
    );
    for (at, (place, step)) in story.iter().enumerate() {
        let shown = at < LONGEST / 3 || at >= LONGEST / 3 + cut;
        if shown {
            let mark = if *place == violation.step { '>' } else { ' ' };
            told.push_str(&format!("{mark} {step}\n"));
        } else if at == LONGEST / 3 {
            told.push_str(&format!("  … {cut} steps …\n"));
        }
    }
    told
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {:#x}: {} operations, {} of them dropped; {} invalidations acknowledged; {} values \
             compared, {} with a floor",
            self.seed,
            self.operations,
            self.dropped,
            self.acknowledged,
            self.compared,
            self.floored
        )?;
        write!(f, "  served:")?;
        for (outcome, calls) in &self.outcomes {
            write!(f, " {calls} {outcome};")?;
        }
        if self.outdated > 0 {
            write!(
                f,
                "\n  {} copies were outdated, for {:.1?} at most",
                self.outdated, self.longest_outdated
            )?;
        }
        write!(
            f,
            "\n  {} loads, {} overlapping; excused:",
            self.loads, self.overlapping
        )?;
        for (excuse, pairs) in &self.excused {
            write!(f, " {pairs} {excuse:?}")?;
        }
        writeln!(f, "\n  {} violations", self.violations)?;
        for story in &self.stories {
            writeln!(f, "{story}")?;
        }
        Ok(())
    }
}
