//! What a run does.

use std::time::Duration;

/// A run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Decides everything that is random here. The order in which the runtime wakes those who wait
    /// for one thing is its own, and so are the times of a Redis: a seed repeats the operations, not
    /// how they meet. What one run has found another of its seed finds as well as any.
    pub seed: u64,
    /// Of all clients together.
    pub operations: usize,
    /// Caches on one store; each stands for a process.
    pub processes: usize,
    /// Tasks in each process.
    pub clients: usize,
    /// Few, so that everything collides. Each takes the next setting of the annotated function.
    pub keys: usize,
    /// The keys of which are used.
    pub settings: Settings,
    /// What the clients do.
    pub mix: Mix,
    /// What the origin does.
    pub faults: Faults,
    /// Within what a key is loaded once.
    pub scope: Scope,
    /// How the processes reach the store.
    pub link: Link,
}

impl Config {
    /// A run of everything at once.
    #[must_use]
    pub fn everything(seed: u64, operations: usize, link: Link) -> Self {
        Self {
            seed,
            operations,
            processes: 3,
            clients: 6,
            keys: 48,
            settings: Settings::All,
            mix: Mix::EVERYTHING,
            faults: Faults::SOME,
            scope: Scope::Fleet,
            link,
        }
    }

    /// A run of reads that none of the things excuses that excuse a second load.
    #[must_use]
    pub fn reads(seed: u64, operations: usize, link: Link) -> Self {
        Self {
            mix: Mix::READS,
            faults: Faults::SLOW,
            ..Self::everything(seed, operations, link)
        }
    }

    /// A run of what there are copies of in the processes, which live long enough to become old.
    #[must_use]
    pub fn copies(seed: u64, operations: usize, link: Link) -> Self {
        Self {
            keys: 48,
            settings: Settings::Near,
            mix: Mix::MOSTLY_READS,
            ..Self::everything(seed, operations, link)
        }
    }
}

/// Settings of the annotated function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// All of them.
    All,
    /// Those with copies in each process.
    Near,
}

/// How many of a thousand operations are what; the rest are reads.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// `refresh(read(…))`.
    pub refreshes: u32,
    /// `entry.peek()`.
    pub peeks: u32,
    /// `entry.invalidate()`.
    pub invalidations: u32,
    /// `cache.invalidate_tag("shelf")`, which several entries have.
    pub clearings: u32,
    /// `entry.expire()`.
    pub expiries: u32,
    /// Calls of a function with `#[updates]`.
    pub updates: u32,
    /// Calls of a function with `#[invalidates]`.
    pub removals: u32,
    /// Of a thousand operations of any kind: dropped on their way.
    pub dropped: u32,
    /// Of a thousand writes: failing.
    pub failing: u32,
}

impl Mix {
    /// Something of everything.
    pub const EVERYTHING: Self = Self {
        refreshes: 15,
        peeks: 30,
        invalidations: 30,
        clearings: 10,
        expiries: 20,
        updates: 30,
        removals: 30,
        dropped: 120,
        failing: 150,
    };

    /// Little of everything but reads.
    pub const MOSTLY_READS: Self = Self {
        refreshes: 2,
        peeks: 10,
        invalidations: 4,
        clearings: 1,
        expiries: 2,
        updates: 4,
        removals: 4,
        dropped: 40,
        failing: 150,
    };

    /// Nothing but reads to their end.
    pub const READS: Self = Self {
        refreshes: 0,
        peeks: 0,
        invalidations: 0,
        clearings: 0,
        expiries: 0,
        updates: 0,
        removals: 0,
        dropped: 0,
        failing: 0,
    };
}

/// How many of a thousand loads go how.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Fail.
    pub fails: u32,
    /// Return `None`.
    pub none: u32,
    /// Return a value that `cache_if` refuses.
    pub declined: u32,
    /// Take up to `slowest` instead of a few milliseconds.
    pub slow: u32,
    /// Longer than the lease of 100 ms, some loads need it renewed. From 250 ms on callers would
    /// give up waiting, which is no fault.
    pub slowest: Duration,
}

impl Faults {
    /// Some of each.
    pub const SOME: Self = Self {
        fails: 30,
        none: 20,
        declined: 20,
        slow: 40,
        slowest: Duration::from_millis(180),
    };

    /// Some are slow, within their lease.
    pub const SLOW: Self = Self {
        fails: 0,
        none: 0,
        declined: 0,
        slow: 40,
        slowest: Duration::from_millis(90),
    };
}

/// Within what a key is loaded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Within all processes together.
    Fleet,
    /// Within each process.
    Process,
}

/// How the processes reach the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// How long after the end of a call what it has sent without awaiting the answer may still be
    /// on its way.
    pub delay: Duration,
}

impl Link {
    /// The embedded store with paused time: everything happens at once and nothing is late.
    pub const NONE: Self = Self {
        delay: Duration::ZERO,
    };

    /// Redis on a loaded machine.
    pub const NETWORK: Self = Self {
        delay: Duration::from_millis(250),
    };
}
