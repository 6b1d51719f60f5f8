//! What `single_flight` needs of the machine, seen by the model checker.

use std::hash::{BuildHasherDefault, DefaultHasher};
/// The standard one: the models explore locks and time, not reference counts, and no other may be
/// the type of a `self`.
pub(crate) use std::sync::Arc;
use std::sync::PoisonError;

use loom::sync::MutexGuard;
use loom::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The same in each execution, as the model checker demands.
pub(crate) type HashState = BuildHasherDefault<DefaultHasher>;

/// A lock without poisoning.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

loom::lazy_static! {
    static ref MOMENTS: AtomicU64 = AtomicU64::new(0);
}

/// A point in the order in which loads and look-ups begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self(MOMENTS.load(SeqCst))
    }

    pub(crate) fn next() -> Self {
        Self(MOMENTS.fetch_add(1, SeqCst) + 1)
    }

    /// A number that no other moment has, of those that were made.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}
