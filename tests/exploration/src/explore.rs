//! [`explore`]: every execution of a model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::model::Builder;

/// Runs a model in every order of its steps in which at most `interruptions` times somebody is
/// interrupted who could have gone on. Returns how many executions these were.
///
/// # Panics
///
/// If the model panics in one of them, or if everybody waits for somebody.
pub(crate) fn explore(interruptions: usize, model: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(interruptions);
    builder.max_branches = 10_000;
    let counter = executions.clone();
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        model();
    });
    executions.load(Relaxed)
}
