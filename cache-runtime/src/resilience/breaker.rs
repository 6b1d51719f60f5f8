//! The circuit breaker: after a few failures in a row the store is left alone, and calls fail at
//! once instead of each waiting out its budget.
//!
//! ```text
//!            threshold failures in a row, or `trip`
//!   Closed ────────────────────────────────────────► Open ◄──────────┐
//!     ▲                                               │ probe due    │ probe failed,
//!     │                                               ▼              │ longer backoff
//!     └──────────────── probe succeeded ─────────── HalfOpen ────────┘
//! ```
//!
//! Only evidence about the *link* counts: lost connections, garbage, calls cut off unanswered. A
//! server that answers with an error is alive. The breaker does no I/O and reads no clock; the
//! time is an argument. Who probes, and how, is its owner's business.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::backoff::{Backoff, random};
use crate::error::StoreError;

/// When the breaker opens and how soon it lets a probe through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakerPolicy {
    /// Failures in a row that open it.
    pub(crate) threshold: u32,
    /// The waits before probes. Its cap bounds how long a recovered store goes unnoticed.
    pub(crate) backoff: Backoff,
}

impl BreakerPolicy {
    /// Three failures; probes after 10 ms, doubling up to 100 ms, so that hits are back within
    /// 250 ms of a restart.
    pub(crate) const DEFAULT: Self = Self {
        threshold: 3,
        backoff: Backoff {
            first: Duration::from_millis(10),
            cap: Duration::from_millis(100),
        },
    };
}

/// A circuit breaker; see the module.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    /// Whether `circuit` is anything but closed: all that the hit path reads.
    open: AtomicBool,
    failures: AtomicU32,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
enum Circuit {
    Closed,
    Open {
        reason: StoreError,
        probe_at: Instant,
        attempt: u32,
    },
    HalfOpen {
        reason: StoreError,
        since: Instant,
        attempt: u32,
    },
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            open: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            circuit: Mutex::new(Circuit::Closed),
        }
    }

    /// Whether calls may pass.
    ///
    /// # Errors
    ///
    /// The failure that opened the breaker, until a probe succeeds.
    pub(crate) fn admit(&self) -> Result<(), StoreError> {
        if !self.open.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.circuit.lock() {
            Circuit::Closed => Ok(()),
            Circuit::Open { reason, .. } | Circuit::HalfOpen { reason, .. } => Err(reason.clone()),
        }
    }

    /// A call was answered, with a value or with an error.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A call failed on the link. Says whether this opened the breaker.
    pub(crate) fn failed(&self, reason: StoreError, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        failures >= self.policy.threshold && self.trip(reason, now)
    }

    /// A sibling on the same server opened: the next failure here is enough, unless a call
    /// succeeds first.
    pub(crate) fn suspect(&self) {
        let brink = self.policy.threshold.saturating_sub(1);
        self.failures.fetch_max(brink, Ordering::Relaxed);
    }

    /// Opens a closed breaker on evidence that needs no counting. Says whether it did.
    pub(crate) fn trip(&self, reason: StoreError, now: Instant) -> bool {
        let mut circuit = self.circuit.lock();
        if !matches!(*circuit, Circuit::Closed) {
            return false;
        }
        self.open_for(&mut circuit, reason, 0, now);
        true
    }

    /// When the next probe is due; `None` unless open.
    #[must_use]
    pub(crate) fn probe_at(&self) -> Option<Instant> {
        match &*self.circuit.lock() {
            Circuit::Open { probe_at, .. } => Some(*probe_at),
            Circuit::Closed | Circuit::HalfOpen { .. } => None,
        }
    }

    /// Takes the right to probe. True for one caller per due time; that caller reports with
    /// [`probe_succeeded`](Self::probe_succeeded) or [`probe_failed`](Self::probe_failed).
    pub(crate) fn begin_probe(&self, now: Instant) -> bool {
        let mut circuit = self.circuit.lock();
        let Circuit::Open {
            reason,
            probe_at,
            attempt,
        } = &*circuit
        else {
            return false;
        };
        if *probe_at > now {
            return false;
        }
        *circuit = Circuit::HalfOpen {
            reason: reason.clone(),
            since: now,
            attempt: *attempt,
        };
        true
    }

    /// The store answered: closes, whatever the state was.
    pub(crate) fn probe_succeeded(&self) {
        let mut circuit = self.circuit.lock();
        *circuit = Circuit::Closed;
        self.failures.store(0, Ordering::Relaxed);
        self.open.store(false, Ordering::Release);
    }

    /// The store did not answer: opens, or stays open with a longer wait. Returns when the next
    /// probe is due.
    pub(crate) fn probe_failed(&self, reason: StoreError, now: Instant) -> Instant {
        let mut circuit = self.circuit.lock();
        let attempt = match &*circuit {
            Circuit::Closed => 0,
            Circuit::Open { attempt, .. } | Circuit::HalfOpen { attempt, .. } => {
                attempt.saturating_add(1)
            }
        };
        self.open_for(&mut circuit, reason, attempt, now)
    }

    /// Takes over a probe that was due, or under way, for longer than `patience`: whoever was to
    /// report is not coming back. True for one caller, who reports in its place.
    pub(crate) fn adopt_probe(&self, patience: Duration, now: Instant) -> bool {
        let mut circuit = self.circuit.lock();
        let (reason, from, attempt) = match &*circuit {
            Circuit::Closed => return false,
            Circuit::Open {
                reason,
                probe_at: from,
                attempt,
            }
            | Circuit::HalfOpen {
                reason,
                since: from,
                attempt,
            } => (reason, *from, *attempt),
        };
        if now.saturating_duration_since(from) <= patience {
            return false;
        }
        *circuit = Circuit::HalfOpen {
            reason: reason.clone(),
            since: now,
            attempt,
        };
        true
    }

    fn open_for(
        &self,
        circuit: &mut Circuit,
        reason: StoreError,
        attempt: u32,
        now: Instant,
    ) -> Instant {
        let probe_at = now + self.policy.backoff.wait(attempt, random());
        *circuit = Circuit::Open {
            reason,
            probe_at,
            attempt,
        };
        self.open.store(true, Ordering::Release);
        probe_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreErrorKind;

    fn down() -> StoreError {
        StoreError::new(StoreErrorKind::Unavailable, "connection refused")
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerPolicy::DEFAULT)
    }

    /// A breaker opened by failures at `now`.
    fn opened(now: Instant) -> Breaker {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.failed(down(), now);
        }
        breaker
    }

    #[test]
    fn the_threshold_in_a_row_opens_it_once() {
        let now = Instant::now();
        let breaker = breaker();
        let opened: Vec<_> = (0..5).map(|_| breaker.failed(down(), now)).collect();
        assert_eq!(opened, [false, false, true, false, false]);
        assert_eq!(breaker.admit(), Err(down()));
    }

    #[test]
    fn a_success_starts_the_count_again() {
        let now = Instant::now();
        let breaker = breaker();
        for _ in 0..10 {
            assert!(!breaker.failed(down(), now));
            assert!(!breaker.failed(down(), now));
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(), Ok(()));
    }

    #[test]
    fn a_suspected_breaker_opens_at_the_next_failure() {
        let now = Instant::now();
        let breaker = breaker();
        breaker.suspect();
        assert_eq!(breaker.admit(), Ok(()));
        assert!(breaker.failed(down(), now));
    }

    #[test]
    fn a_success_clears_the_suspicion() {
        let now = Instant::now();
        let breaker = breaker();
        breaker.suspect();
        breaker.succeeded();
        assert!(!breaker.failed(down(), now));
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_passes_once_it_is_due() {
        let breaker = opened(Instant::now());
        let due = breaker.probe_at().unwrap();
        assert!(!breaker.begin_probe(due - Duration::from_nanos(1)));

        tokio::time::sleep_until(due).await;
        assert!(breaker.begin_probe(Instant::now()));
        assert!(!breaker.begin_probe(Instant::now()), "a second probe");
        assert_eq!(
            breaker.admit(),
            Err(down()),
            "half-open is not open to calls"
        );

        breaker.probe_succeeded();
        assert_eq!(breaker.admit(), Ok(()));
        assert_eq!(breaker.probe_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_probes_wait_longer_and_never_beyond_the_cap() {
        let breaker = opened(Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            let due = breaker.probe_at().unwrap();
            waits.push(due - Instant::now());
            tokio::time::sleep_until(due).await;
            assert!(breaker.begin_probe(Instant::now()));
            breaker.probe_failed(down(), Instant::now());
        }
        let cap = BreakerPolicy::DEFAULT.backoff.cap;
        assert!(waits.iter().all(|wait| *wait <= cap), "{waits:?}");
        assert!(waits[0] <= Duration::from_millis(10), "{waits:?}");
        assert!(waits[7] >= cap / 2, "{waits:?}");
    }

    #[test]
    fn closing_forgets_the_failures_and_the_backoff() {
        let now = Instant::now();
        let breaker = opened(now);
        for _ in 0..8 {
            breaker.probe_failed(down(), now);
        }
        breaker.probe_succeeded();
        assert!(!breaker.failed(down(), now));
        assert!(!breaker.failed(down(), now));
        assert!(breaker.failed(down(), now));
        assert!(breaker.probe_at().unwrap() <= now + Duration::from_millis(10));
    }

    #[test]
    fn a_failed_probe_of_a_closed_breaker_opens_it() {
        let now = Instant::now();
        let breaker = breaker();
        let due = breaker.probe_failed(down(), now);
        assert_eq!(breaker.probe_at(), Some(due));
        assert_eq!(breaker.admit(), Err(down()));
    }

    #[test]
    fn the_newest_reason_is_reported() {
        let now = Instant::now();
        let breaker = opened(now);
        let auth = StoreError::new(StoreErrorKind::Auth, "NOAUTH");
        breaker.probe_failed(auth.clone(), now);
        assert_eq!(breaker.admit(), Err(auth));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_never_reports_is_adopted_once() {
        let patience = Duration::from_secs(3);
        let later = Duration::from_millis(3_200);
        let breaker = opened(Instant::now());
        assert!(!breaker.adopt_probe(patience, Instant::now()));

        tokio::time::sleep(later).await;
        assert!(
            breaker.adopt_probe(patience, Instant::now()),
            "nobody began"
        );
        assert!(
            !breaker.adopt_probe(patience, Instant::now()),
            "adopted twice"
        );

        tokio::time::sleep(later).await;
        assert!(
            breaker.adopt_probe(patience, Instant::now()),
            "nobody reported"
        );
        breaker.probe_succeeded();
        assert!(!breaker.adopt_probe(patience, Instant::now() + later));
    }

    #[test]
    fn concurrent_failures_open_it_exactly_once() {
        let now = Instant::now();
        let breaker = breaker();
        let opened = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if breaker.failed(down(), now) {
                            opened.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(opened.into_inner(), 1);
    }
}
