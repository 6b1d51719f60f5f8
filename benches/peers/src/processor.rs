//! [`Kept`]: what is started meanwhile runs on one processor.

#[cfg(target_os = "linux")]
pub use linux::Kept;
#[cfg(not(target_os = "linux"))]
pub use other::Kept;

/// Whether there are processors to choose from, and a way to do it.
pub fn can_be_chosen() -> bool {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    cfg!(target_os = "linux") && processors > 1
}

#[cfg(target_os = "linux")]
mod linux {
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
}

#[cfg(not(target_os = "linux"))]
mod other {
    use crate::origin::Failure;

    /// See `linux::Kept`.
    pub enum Kept {}

    impl Kept {
        pub fn on_first() -> Result<Self, Failure> {
            Err(Failure::of("processors are chosen on Linux only"))
        }

        pub fn on_last() -> Result<Self, Failure> {
            Self::on_first()
        }
    }
}
