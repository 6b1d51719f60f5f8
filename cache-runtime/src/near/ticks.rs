//! [`Ticks`]: a clock that a hit can afford to read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use quanta::Clock;

/// Counts of the processor's own counter, where it has one that runs evenly, which are read in less
/// than half the time that the system's clock takes.
///
/// How many are a second is measured against the system's clock, and never over: a count is read
/// between two readings of the clock that lie at least as far apart as the counts. So what is to
/// happen within a time happens a little early, however the process was interrupted meanwhile.
pub(super) struct Ticks {
    counter: Clock,
    /// A count, and a time before it.
    begin: (Instant, u64),
    /// How many there are at least in a nanosecond, times 2³².
    rate: AtomicU64,
}

const SHIFT: u32 = 32;

impl Ticks {
    /// Takes a few milliseconds, for once, to find out what there is to be read.
    pub(super) fn new() -> Self {
        let counter = Clock::new();
        let begin = (Instant::now(), counter.raw());
        let ticks = Self {
            counter,
            begin,
            rate: AtomicU64::new(0),
        };
        ticks.adjust();
        ticks
    }

    /// Measures once more: the longer, the closer.
    pub(super) fn adjust(&self) {
        let (began, first) = self.begin;
        let count = u128::from(self.now().saturating_sub(first));
        let nanos = began.elapsed().as_nanos();
        let rate = (count << SHIFT).checked_div(nanos).unwrap_or(0);
        let rate = u64::try_from(rate).unwrap_or(0);
        self.rate.fetch_max(rate, Relaxed);
    }

    /// The count now.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.counter.raw()
    }

    /// How many there are in this time at least, given in nanoseconds.
    #[inline]
    pub(super) fn within(&self, nanos: u64) -> u64 {
        let counts = (u128::from(nanos) * u128::from(self.rate.load(Relaxed))) >> SHIFT;
        u64::try_from(counts).unwrap_or(u64::MAX)
    }

    /// See [`within`](Self::within).
    pub(super) fn of(&self, time: Duration) -> u64 {
        self.within(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_over_before_its_ticks_are() {
        let ticks = Ticks::new();
        for millis in [0, 1, 5, 20] {
            ticks.adjust();
            let time = Duration::from_millis(millis);
            let begin = Instant::now();
            let end = ticks.now() + ticks.of(time);
            while begin.elapsed() <= time {
                std::hint::spin_loop();
            }
            assert!(ticks.now() >= end, "{time:?}");
        }
    }

    #[test]
    fn the_longer_it_is_measured_the_closer() {
        let ticks = Ticks::new();
        let first = ticks.of(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(20));
        ticks.adjust();
        let second = ticks.of(Duration::from_secs(1));
        assert!(second >= first);
        assert_eq!(ticks.of(Duration::ZERO), 0);
        assert!(ticks.of(Duration::from_secs(2)) >= 2 * second - 1);
    }
}
