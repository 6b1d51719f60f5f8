//! Everything that happened, in one order.

use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use cache_runtime::{Outcome, test_util::Event};
use tokio::time::Instant;

/// Who does something: a call of a client in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) process: usize,
    pub(super) client: usize,
    /// Every operation has a number of its own.
    pub(super) call: usize,
    pub(super) key: usize,
}

/// One step of the run.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Since the run began.
    pub(super) at: Duration,
    pub(super) by: Caller,
    pub(super) what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// An operation is about to be polled. The floors as they stand.
    Calls { op: Op, floor: u64, own: u64 },
    /// The operation has ended.
    Returns(Answer),
    /// The operation was dropped before it ended.
    Dropped,
    /// The origin of the call is started.
    Load,
    /// It has read this version.
    Read(u64),
    /// It is over.
    Loaded(Ending),
    /// A write has made this version.
    Wrote(u64),
    /// The invalidation by this call has ended: of this version and later is what its own process
    /// returns from now on.
    Queued(u64),
    /// The invalidation by this call is confirmed: the floor is now at least this version.
    Acknowledged(u64),
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    Read,
    Refresh,
    Peek,
    Invalidate,
    /// The tag that several entries have; logged under one of their keys or another.
    ClearShelf,
    Expire,
    /// A write that is written through.
    Update,
    /// A write that invalidates.
    Remove,
}

impl Op {
    /// Whether it ends leases and outdates the entry.
    pub(super) fn outdates(self) -> bool {
        matches!(
            self,
            Self::Invalidate | Self::ClearShelf | Self::Expire | Self::Update | Self::Remove
        )
    }
}

/// What an operation returned.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The version returned; none for errors, for `None`, and for what returns no value.
    pub(super) version: Option<u64>,
    pub(super) failed: bool,
    /// Of a copy: how long before the call it was acknowledged that there is a newer version.
    pub(super) outdated: Duration,
    /// The story of a read, as the cache tells it.
    pub(super) events: Vec<Event>,
}

impl Answer {
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self.events.last() {
            Some(Event::Ended(outcome)) => Some(*outcome),
            _ => None,
        }
    }
}

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a value that may be stored.
    Value,
    Failed,
    /// With a value that is not to be stored, or with none.
    NotCacheable,
    /// Dropped with the call that ran it.
    Dropped,
}

/// The steps so far. The place of a step is its time: one order for all processes.
#[derive(Debug)]
pub(super) struct Log {
    start: Instant,
    steps: Mutex<Vec<Step>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            steps: Mutex::default(),
        }
    }

    pub(super) fn add(&self, by: Caller, what: What) {
        let mut steps = self.steps();
        // Taken under the lock, so that times are in the order of the steps.
        let at = self.start.elapsed();
        steps.push(Step { at, by, what });
    }

    pub(super) fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        self.steps.lock().expect("nobody panics while logging")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Caller {
            process,
            client,
            call,
            ..
        } = self.by;
        let millis = self.at.as_secs_f64() * 1000.0;
        write!(
            f,
            "{millis:>11.3} ms  process {process}, client {client:<2} #{call:<7}"
        )?;
        match &self.what {
            What::Calls { op, floor, own } if own > floor => {
                write!(f, "calls {op:?} (floor {floor}, in this process {own}) {{")
            }
            What::Calls { op, floor, .. } => write!(f, "calls {op:?} (floor {floor}) {{"),
            What::Returns(answer) => write!(f, "}} {answer}"),
            What::Dropped => f.write_str("} is dropped"),
            What::Load => f.write_str("  origin starts"),
            What::Read(version) => write!(f, "  origin has read {version}"),
            What::Loaded(ending) => write!(f, "  origin ends: {ending:?}"),
            What::Wrote(version) => write!(f, "  WRITES {version}"),
            What::Queued(version) => write!(f, "own floor {version}"),
            What::Acknowledged(version) => write!(f, "ACKNOWLEDGED: floor {version}"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.version, self.failed) {
            (Some(version), _) => write!(f, "returns {version}")?,
            (None, true) => f.write_str("fails")?,
            (None, false) => f.write_str("returns nothing")?,
        }
        if !self.outdated.is_zero() {
            write!(f, ", outdated for {:?}", self.outdated)?;
        }
        if !self.events.is_empty() {
            write!(f, "  {:?}", self.events)?;
        }
        Ok(())
    }
}
