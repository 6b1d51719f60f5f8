//! [`Ticks`]: a clock that a hit can afford to read.

use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{fs, thread};

use quanta::Clock;

/// Counts of the processor's own counter, if all processors have the same, which are read in less
/// than half the time that the system's clock takes; elsewhere nanoseconds of that clock.
///
/// How many are a second is measured once against the system's clock, and not over: two counts are
/// read between two readings of the clock, and a thousandth is taken off for a clock that is being
/// adjusted. So what is to happen within a time happens a little early, however the process is
/// interrupted; and early, too, on a machine that was suspended while the counter ran on.
pub(super) struct Ticks {
    counter: Counter,
    /// How many there are at least in a nanosecond, times 2³².
    rate: u64,
}

/// There is one for the process.
static TICKS: OnceLock<Ticks> = OnceLock::new();

const SHIFT: u32 = 32;

/// How often it is measured, of which the best is taken, and the waits in between: 10 ms are enough
/// for 50 ns between a count and a reading of the clock to be less than is taken off.
const ROUNDS: u32 = 10;
const WAIT: Duration = Duration::from_millis(1);

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
            Self::System(start) => START.saturating_add(nanos(start.elapsed())),
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
    /// None until they are there.
    #[inline]
    pub(super) fn get() -> Option<&'static Self> {
        TICKS.get()
    }

    /// Blocks for up to 0.3 s, for once, to find out what there is to be read.
    pub(super) fn start() -> &'static Self {
        TICKS.get_or_init(|| Self::new(Counter::new()))
    }

    fn new(counter: Counter) -> Self {
        let (began, first) = (Instant::now(), counter.read());
        let rates = (0..ROUNDS).map(|_| {
            thread::sleep(WAIT);
            let counts = u128::from(counter.read().saturating_sub(first));
            let rate = (counts << SHIFT).checked_div(began.elapsed().as_nanos());
            rate.and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
        });
        let rate = rates.max().unwrap_or(0);
        Self {
            counter,
            rate: rate - (rate >> 10),
        }
    }

    /// The count now.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.counter.read()
    }

    /// How many there are in this time at least, given in nanoseconds.
    #[inline]
    pub(super) fn within(&self, nanos: u64) -> u64 {
        let counts = (u128::from(nanos) * u128::from(self.rate)) >> SHIFT;
        u64::try_from(counts).unwrap_or(u64::MAX)
    }

    /// See [`within`](Self::within).
    pub(super) fn of(&self, time: Duration) -> u64 {
        self.within(nanos(time))
    }
}

#[inline]
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_over_before_its_ticks_are() {
        let system = Ticks::new(Counter::System(Instant::now()));
        for ticks in [Ticks::start(), &system] {
            for millis in [0, 1, 5, 20] {
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
    fn the_rate_comes_close_and_is_not_over() {
        const SECOND: u64 = 1_000_000_000;
        // One after the other, should the machine be busy whenever one is measured.
        loop {
            let ticks = Ticks::new(Counter::System(Instant::now()));
            let counts = ticks.of(Duration::from_secs(1));
            assert!(counts <= SECOND - SECOND / 1100, "{counts} nanoseconds");
            assert_eq!(ticks.of(Duration::ZERO), 0);
            if counts > SECOND - SECOND / 100 {
                assert!(ticks.within(u64::MAX) > SECOND * SECOND);
                return;
            }
        }
    }
}
