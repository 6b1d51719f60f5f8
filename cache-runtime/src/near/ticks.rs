//! [`Ticks`]: a clock that a hit can afford to read.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use quanta::Clock;

/// Counts of the processor's own counter, if all processors have the same, which are read in less
/// than half the time that the system's clock takes; elsewhere nanoseconds of that clock.
///
/// How many are a second is measured against the system's clock, for a second at most, and never over:
/// two counts are read between two readings of the clock, and a thousandth is taken off for a clock
/// that is being adjusted. So what is to happen within a time happens a little early, however the
/// process was interrupted meanwhile; and early, too, on a machine that was suspended while the
/// counter ran on.
pub(super) struct Ticks {
    counter: Counter,
    /// A count, and a time before it.
    begin: (Instant, u64),
    /// How many there are at least in a nanosecond, times 2³².
    rate: AtomicU64,
    /// The last count that was measured with.
    latest: AtomicU64,
}

const SHIFT: u32 = 32;

/// The counter runs evenly: measuring for longer would only count in what the clock leaves out.
const LONGEST: Duration = Duration::from_secs(1);

/// Where the fallback begins, in nanoseconds: there is a past before it.
const START: u64 = 1 << 40;

enum Counter {
    Processor(Clock),
    System(Instant),
}

impl Counter {
    fn new() -> Self {
        match is_common() {
            true => Self::Processor(Clock::new()),
            false => Self::System(Instant::now()),
        }
    }

    #[inline]
    fn read(&self) -> u64 {
        match self {
            Self::Processor(counter) => counter.raw(),
            Self::System(start) => {
                START.saturating_add(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
            }
        }
    }
}

/// Whether all processors count alike: by their architecture, or because the system, which compares
/// them all the time, reckons its own clock by it.
fn is_common() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    cfg!(target_arch = "aarch64")
        || cfg!(all(target_arch = "x86_64", target_os = "linux"))
            && fs::read_to_string(SOURCE).is_ok_and(|source| source.trim() == "tsc")
}

impl Ticks {
    /// Blocks for up to 0.2 s, for once, to find out what there is to be read.
    pub(super) fn new() -> Self {
        Self::of_counter(Counter::new())
    }

    fn of_counter(counter: Counter) -> Self {
        let begin = (Instant::now(), counter.read());
        let ticks = Self {
            counter,
            begin,
            rate: AtomicU64::new(0),
            latest: AtomicU64::new(0),
        };
        ticks.adjust();
        ticks
    }

    /// Measures once more: the longer, the closer. Whether the counter has gone on, as one does that
    /// was not set back meanwhile.
    pub(super) fn adjust(&self) -> bool {
        let (began, first) = self.begin;
        let now = self.now();
        let elapsed = began.elapsed();
        if elapsed <= LONGEST {
            let count = u128::from(now.saturating_sub(first));
            let rate = (count << SHIFT).checked_div(elapsed.as_nanos());
            let rate = u64::try_from(rate.unwrap_or(0)).unwrap_or(0);
            self.rate.store(rate - (rate >> 10), Relaxed);
        }
        self.latest.swap(now, Relaxed) <= now
    }

    /// The count now.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.counter.read()
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

    fn both() -> [Ticks; 2] {
        let system = Ticks::of_counter(Counter::System(Instant::now()));
        [Ticks::new(), system]
    }

    #[test]
    fn a_time_is_never_over_before_its_ticks_are() {
        for ticks in both() {
            for millis in [0, 1, 5, 20] {
                ticks.adjust();
                let time = Duration::from_millis(millis);
                let end = ticks.now() + ticks.of(time);
                let begin = Instant::now();
                while begin.elapsed() <= time {
                    std::hint::spin_loop();
                }
                assert!(ticks.now() >= end, "{time:?}");
            }
        }
    }

    #[test]
    fn the_rate_comes_close_and_is_never_over() {
        const SECOND: u64 = 1_000_000_000;
        // One after the other, should the machine be busy for all of the second that is measured.
        loop {
            let ticks = Ticks::of_counter(Counter::System(Instant::now()));
            for _ in 0..5 {
                std::thread::sleep(Duration::from_millis(5));
                assert!(ticks.adjust(), "it goes on");
                let counts = ticks.of(Duration::from_secs(1));
                assert!(counts <= SECOND - SECOND / 1100, "{counts} nanoseconds");
            }
            assert_eq!(ticks.of(Duration::ZERO), 0);
            if ticks.of(Duration::from_secs(1)) > SECOND - SECOND / 100 {
                assert!(ticks.within(u64::MAX) > SECOND * SECOND);
                return;
            }
        }
    }

    /// As after a suspension that the counter noticed and the clock did not.
    #[test]
    fn the_rate_stays_when_a_second_is_over() {
        let ticks = Ticks::of_counter(Counter::System(Instant::now()));
        ticks.adjust();
        let rate = ticks.of(Duration::from_secs(1));
        let long_ago = Instant::now().checked_sub(2 * LONGEST);
        let mut later = Ticks {
            begin: (long_ago.expect("the machine runs longer than that"), 0),
            ..ticks
        };
        later.adjust();
        assert_eq!(later.of(Duration::from_secs(1)), rate);
        later.latest = AtomicU64::new(u64::MAX);
        assert!(!later.adjust(), "it was set back");
        assert!(later.adjust());
    }
}
