//! How calls behave around a miss: a [`Policy`], usually one `const` shared by many functions.

use std::time::Duration;

/// Who shares one load of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SingleFlight {
    /// All callers of all processes on the same store share one load.
    #[default]
    Fleet,
    /// Callers of this process share one load, and do not wait for other processes.
    Process,
    /// Every caller that misses loads by itself.
    Off,
}

/// The knobs of one annotated function, or of a whole [`Cache`](crate::Cache).
///
/// A policy is a plain value built in `const` context:
///
/// ```
/// use cache_runtime::{Policy, SingleFlight, cached};
/// use std::time::Duration;
///
/// const PATIENT: Policy = Policy::DEFAULT.wait(Duration::from_secs(30));
///
/// #[cached(ttl = 60, key = "report:{day}", policy = PATIENT)]
/// async fn report(day: u32) -> String {
///     format!("report of day {day}")
/// }
/// # assert_eq!(PATIENT.single_flight, SingleFlight::Fleet);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// Who shares one load. Default: [`SingleFlight::Fleet`].
    pub single_flight: SingleFlight,
    /// How long the right to load a key stands when its holder is not heard of any more: after a
    /// crash the next caller loads at the latest after this. It is renewed while the load runs, up to
    /// sixty times its length. Default: 2 s.
    pub lease: Duration,
    /// How long a caller waits for somebody else's load. Default: 5 s.
    ///
    /// A caller that waits for another process, and knows what a load took last time, waits no
    /// longer than four times that and 250 ms. Then one caller of each process loads, and the others
    /// wait for that load once more this long; after that everyone loads by itself.
    pub wait: Duration,
    /// The budget of all cache operations of one call together; the origin's own time does not
    /// count. Default: 100 ms.
    pub timeout: Duration,
    /// The part of the `ttl` that is taken off at random, so that entries stored together do not
    /// expire together: at 0.1 an entry is fresh for 90 to 100% of its `ttl`. Default: 0.
    pub jitter: f64,
    /// Refreshes a fresh value in the background with a probability that grows as its end comes
    /// near, so that callers need not wait for the load. This is the β of XFetch: 1 is the
    /// recommended value, more refreshes earlier, 0 never. Needs `stale_while_revalidate`, which is
    /// what allows background loads. What a load takes is known of loaded values only, not of those
    /// written through or `put`. Default: 0.
    pub early_refresh: f64,
    /// With an old value at hand, stop waiting for the load after this; it goes on in the background.
    /// Needs `stale_if_error`, which is what keeps the old value, and `stale_while_revalidate`, which
    /// is what allows background loads. A load in the background whose value is not stored cannot be
    /// shared: the call then loads by itself, and waits. Default: none.
    pub soft_timeout: Option<Duration>,
    /// After a load that failed while an old value can be served: how long nobody tries again.
    /// Default: 1 s.
    pub retry: Duration,
    /// After an invalidation of the entry: how long nothing is stored, so that a load that reads a
    /// replica lagging behind the database cannot store what was just invalidated. Invalidating a
    /// tag holds nothing off. Default: none.
    pub hold_off: Duration,
}

impl Policy {
    /// The defaults named at each field.
    pub const DEFAULT: Self = Self {
        single_flight: SingleFlight::Fleet,
        lease: Duration::from_secs(2),
        wait: Duration::from_secs(5),
        timeout: Duration::from_millis(100),
        jitter: 0.0,
        early_refresh: 0.0,
        soft_timeout: None,
        retry: Duration::from_secs(1),
        hold_off: Duration::ZERO,
    };

    /// The same policy with another [`single_flight`](Self::single_flight).
    #[must_use]
    pub const fn single_flight(self, single_flight: SingleFlight) -> Self {
        Self {
            single_flight,
            ..self
        }
    }

    /// The same policy with another [`lease`](Self::lease).
    #[must_use]
    pub const fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The same policy with another [`wait`](Self::wait).
    #[must_use]
    pub const fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The same policy with another [`timeout`](Self::timeout).
    #[must_use]
    pub const fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same policy with another [`jitter`](Self::jitter), from 0 to 1.
    #[must_use]
    pub const fn jitter(self, jitter: f64) -> Self {
        Self { jitter, ..self }
    }

    /// The same policy with another [`early_refresh`](Self::early_refresh).
    #[must_use]
    pub const fn early_refresh(self, beta: f64) -> Self {
        Self {
            early_refresh: beta,
            ..self
        }
    }

    /// The same policy with a [`soft_timeout`](Self::soft_timeout).
    #[must_use]
    pub const fn soft_timeout(self, soft_timeout: Duration) -> Self {
        Self {
            soft_timeout: Some(soft_timeout),
            ..self
        }
    }

    /// The same policy with another [`retry`](Self::retry).
    #[must_use]
    pub const fn retry(self, retry: Duration) -> Self {
        Self { retry, ..self }
    }

    /// The same policy with another [`hold_off`](Self::hold_off).
    #[must_use]
    pub const fn hold_off(self, hold_off: Duration) -> Self {
        Self { hold_off, ..self }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
