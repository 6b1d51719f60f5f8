//! Waking a task once its worker has nothing else to do.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::yield_now,
};

/// Wakes it when the worker on this thread has nothing else to do, or has done much else; at once if this
/// is no worker of several.
///
/// A task that is woken is looked for by a worker that sleeps, which has to be woken for that, too.
pub(super) fn wake_later(waker: &Waker) {
    let is_one_of_several = Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    match is_one_of_several {
        // It wakes whoever has polled it, and that is all it is for.
        true => drop(pin!(yield_now()).poll(&mut Context::from_waker(waker))),
        // A runtime that is driven by who waits may not be driven any more when it has nothing else to do,
        // and forgets then whom it was to wake.
        false => waker.wake_by_ref(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering::Relaxed};

    use tokio::{runtime::Builder, task::yield_now};

    use super::{super::woken::Woken, *};

    /// Whether it is woken at once.
    fn is_woken_at_once(woken: &Arc<Woken>) -> bool {
        wake_later(&Waker::from(woken.clone()));
        woken.0.load(Relaxed) == 1
    }

    #[test]
    fn a_worker_wakes_when_it_has_nothing_else_to_do() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        let woken = Arc::new(Woken::default());
        let seen = woken.clone();
        let worker = runtime.spawn(async move {
            let at_once = is_woken_at_once(&seen);
            yield_now().await;
            (at_once, seen.0.load(Relaxed) == 1)
        });
        let seen = runtime.block_on(worker).expect("no panic");
        assert_eq!(seen, (false, true));
    }

    #[test]
    fn who_is_no_worker_wakes_at_once() {
        assert!(is_woken_at_once(&Arc::default()));
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = builder.build().expect("a runtime");
            let at_once = runtime.block_on(async { is_woken_at_once(&Arc::default()) });
            assert!(at_once);
        }
    }
}
