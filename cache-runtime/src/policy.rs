//! How calls behave around a miss: a [`Policy`], usually one `const` shared by many functions.

use std::time::Duration;

/// Who shares one load of a cold key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SingleFlight {
    /// Callers of this process that miss the same key share one load.
    #[default]
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
/// # assert_eq!(PATIENT.single_flight, SingleFlight::Process);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Who shares one load. Default: [`SingleFlight::Process`].
    pub single_flight: SingleFlight,
    /// How long a caller waits for somebody else's load. Default: 5 s.
    ///
    /// Then one of those who waited loads, and the others wait for that load once more this long;
    /// after that everyone loads by itself.
    pub wait: Duration,
    /// The budget of all cache operations of one call together; the origin's own time does not
    /// count. Default: 100 ms.
    pub timeout: Duration,
}

impl Policy {
    /// The defaults named at each field.
    pub const DEFAULT: Self = Self {
        single_flight: SingleFlight::Process,
        wait: Duration::from_secs(5),
        timeout: Duration::from_millis(100),
    };

    /// The same policy with another [`single_flight`](Self::single_flight).
    #[must_use]
    pub const fn single_flight(self, single_flight: SingleFlight) -> Self {
        Self {
            single_flight,
            ..self
        }
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
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
