//! [`OnOne`]: what is started meanwhile runs on one processor.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::origin::Failure;

/// Keeps this thread, and the threads and processes that it starts, on one processor.
pub struct OnOne {
    before: CpuSet,
}

impl OnOne {
    /// On the last of those that it may run on: the first has the machine's interrupts to serve.
    pub fn new() -> Result<Self, Failure> {
        let before = sched_getaffinity(None).map_err(Failure::of)?;
        let last = (0..CpuSet::MAX_CPU).rfind(|cpu| before.is_set(*cpu));
        let mut one = CpuSet::new();
        one.set(last.ok_or_else(|| Failure::of("no processor"))?);
        sched_setaffinity(None, &one).map_err(Failure::of)?;
        Ok(Self { before })
    }
}

impl Drop for OnOne {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(None, &self.before) {
            eprintln!("what follows stays on one processor: {error}");
        }
    }
}
