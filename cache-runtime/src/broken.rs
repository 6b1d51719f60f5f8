//! Rules of the protocol that a test switches off, to see that the history checker misses them.
//!
//! Builds without debug assertions have no switches: every rule holds.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// A rule of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// A loaded value is stored only under a standing lease.
    Fence = 1,
    /// A caller shares a load only if it reads what was current when the call started.
    Join = 2,
    /// A written value is stored only under a standing intent.
    Intent = 4,
    /// A value is current only if its tags have the generations that it was loaded under.
    Generations = 8,
    /// A change moves copies out of the way.
    Near = 16,
    /// A copy serves within a bound of the last proof that everything was told.
    Proof = 32,
    /// With the connection that tells of changes the copies go.
    Loss = 64,
}

/// The rules that are switched off.
#[derive(Debug, Default)]
pub(crate) struct Broken(AtomicU8);

impl Broken {
    pub(crate) fn switch_off(&self, rule: Rule) {
        self.0.fetch_or(rule as u8, Relaxed);
    }

    pub(crate) fn has(&self, rule: Rule) -> bool {
        cfg!(debug_assertions) && self.0.load(Relaxed) & rule as u8 != 0
    }
}
