//! How long to leave a failing peer alone.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// Exponential backoff with jitter: the n-th wait lies between half of `first * 2^n` and all of
/// it, and never above `cap`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The longest first wait.
    pub(crate) first: Duration,
    /// The longest wait of all.
    pub(crate) cap: Duration,
}

impl Backoff {
    /// The wait before attempt number `attempt`, which counts from zero.
    ///
    /// `random` places it between half and all of the full wait, so that many processes do not
    /// return at once; see [`random`].
    #[must_use]
    pub(crate) fn wait(&self, attempt: u32, random: u32) -> Duration {
        let factor = 2_u32.checked_pow(attempt).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.cap);
        let half = full / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// A number that differs between calls and processes; good enough to spread waits.
#[must_use]
pub(crate) fn random() -> u32 {
    let bits = RandomState::new().build_hasher().finish();
    u32::try_from(bits >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(10),
        cap: Duration::from_millis(100),
    };

    #[test]
    fn waits_double_up_to_the_cap() {
        let longest: Vec<_> = (0..6)
            .map(|n| BACKOFF.wait(n, u32::MAX).as_millis())
            .collect();
        assert_eq!(longest, [10, 20, 40, 80, 100, 100]);
    }

    #[test]
    fn jitter_takes_at_most_half() {
        assert_eq!(BACKOFF.wait(1, 0), Duration::from_millis(10));
        for random in [1, 77, u32::MAX / 2, u32::MAX - 1] {
            let wait = BACKOFF.wait(3, random);
            assert!(wait >= Duration::from_millis(40) && wait <= Duration::from_millis(80));
        }
    }

    #[test]
    fn many_attempts_do_not_overflow() {
        assert_eq!(BACKOFF.wait(u32::MAX, u32::MAX), BACKOFF.cap);
    }

    #[test]
    fn random_numbers_differ() {
        let numbers: std::collections::HashSet<_> = (0..64).map(|_| random()).collect();
        assert!(numbers.len() > 1);
    }
}
