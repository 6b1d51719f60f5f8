//! Reads one value of each type through one cache.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::subjects;
use crate::types::{Renamed, Retyped, Swapped};

pub use crate::subjects::Subject;

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The function ran.
    Loaded,
    /// The value in the cache, as it was meant.
    Right,
    /// Something else, which nobody has ever returned.
    Wrong(String),
    Failed(String),
}

/// The three types, each read so many times: the last read counts.
pub async fn read(subject: Subject, url: &str, times: usize) -> Result<[Read; 3], String> {
    let caches = subjects::Caches::open(url).await?;
    let mut reads = [Read::Loaded, Read::Loaded, Read::Loaded];
    for _ in 0..times {
        reads = [
            judge(&Swapped::RIGHT, caches.swapped(subject).await),
            judge(&Retyped::RIGHT, caches.retyped(subject).await),
            judge(&Renamed::RIGHT, caches.renamed(subject).await),
        ];
    }
    Ok(reads)
}

static RAN: AtomicBool = AtomicBool::new(false);

/// The body of all functions.
pub fn load<T>(value: T) -> Result<T, Failure> {
    RAN.store(true, SeqCst);
    Ok(value)
}

fn judge<T: PartialEq + Debug>(right: &T, read: Result<T, Failure>) -> Read {
    let ran = RAN.swap(false, SeqCst);
    match read {
        Err(failure) => Read::Failed(failure.0),
        Ok(_) if ran => Read::Loaded,
        Ok(value) if value == *right => Read::Right,
        Ok(value) => Read::Wrong(format!("{value:?}")),
    }
}

/// Why a function has no value.
#[derive(Debug, Clone)]
pub struct Failure(pub String);

impl Failure {
    pub fn of(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
