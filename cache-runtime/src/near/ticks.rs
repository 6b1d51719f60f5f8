//! [`Ticks`]: a clock that a hit can afford to read.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use quanta::Clock;

/// Counts of the processor's own counter, if all processors have the same, which are read in less
/// than half the time that the system's clock takes; elsewhere nanoseconds of that clock.
///
/// How many are a second is measured against the system's clock, and never over: two counts are read
/// between two readings of the clock. So what is to happen within a time happens a little early,
/// however the process was interrupted meanwhile.
pub(super) struct Ticks {
    counter: Counter,
    /// A count, and a time before it.
    begin: (Instant, u64),
    /// How many there are at least in a nanosecond, times 2³².
    rate: AtomicU64,
}

const SHIFT: u32 = 32;

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
            Self::System(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
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
    /// Takes a few milliseconds, for once, to find out what there is to be read.
    pub(super) fn new() -> Self {
        Self::of_counter(Counter::new())
    }

    fn of_counter(counter: Counter) -> Self {
        let begin = (Instant::now(), counter.read());
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
        self.rate.store(rate, Relaxed);
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
        let ticks = Ticks::of_counter(Counter::System(Instant::now()));
        let is_close = |ticks: &Ticks| {
            ticks.adjust();
            let counts = ticks.of(Duration::from_secs(1));
            assert!(counts <= SECOND, "{counts} nanoseconds");
            counts > SECOND - SECOND / 1000
        };
        while !is_close(&ticks) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(ticks.of(Duration::ZERO), 0);
        assert!(ticks.within(u64::MAX) > SECOND * SECOND);
    }
}
