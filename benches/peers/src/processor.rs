//! [`Kept`]: what is started meanwhile runs on one processor.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::origin::Failure;

/// Keeps this thread, and the threads and processes that it starts, on one processor.
pub struct Kept {
    before: CpuSet,
}

impl Kept {
    /// On the first of those that it may run on.
    pub fn on_first() -> Result<Self, Failure> {
        Self::on(|may| (0..CpuSet::MAX_CPU).find(|cpu| may.is_set(*cpu)))
    }

    /// On the last of those that it may run on: the first often has the machine's interrupts to
    /// serve.
    pub fn on_last() -> Result<Self, Failure> {
        Self::on(|may| (0..CpuSet::MAX_CPU).rfind(|cpu| may.is_set(*cpu)))
    }

    fn on(choose: impl FnOnce(&CpuSet) -> Option<usize>) -> Result<Self, Failure> {
        let before = sched_getaffinity(None).map_err(Failure::of)?;
        let chosen = choose(&before).ok_or_else(|| Failure::of("no processor"))?;
        let mut one = CpuSet::new();
        one.set(chosen);
        sched_setaffinity(None, &one).map_err(Failure::of)?;
        Ok(Self { before })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(None, &self.before) {
            eprintln!("what follows stays on one processor: {error}");
        }
    }
}
