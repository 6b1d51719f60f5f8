//! What time it is on the server, as far as its replies tell.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Instant,
};

use parking_lot::Mutex;

/// Samples older than this, in nanoseconds, give way to any newer one: clocks drift, and may be
/// set.
const FADES: i64 = 60_000_000_000;

/// The server's clock, guessed from the times in its replies.
///
/// A reply is read after it was made, so the time in it plus what has passed since is never ahead
/// of the server; of two guesses the later is the better. The process's own clock is the system's
/// even where a test pauses tokio's, since the server does not pause.
///
/// Every hit reads it, so reading takes no lock. Each sample is right by itself: whoever reads while
/// another thread writes gets one of those that were heard.
#[derive(Debug)]
pub(super) struct Clock {
    /// What times of this process are counted from.
    epoch: Instant,
    /// Held by who writes.
    hearing: Mutex<()>,
    best: Sample,
    newest: Sample,
}

/// What the server said, and when it was read.
#[derive(Debug)]
struct Sample {
    /// The server's time at the clock's epoch by this sample, in nanoseconds since the Unix epoch;
    /// [`NONE`] if there is none.
    at_epoch: AtomicI64,
    /// When it was read, in nanoseconds since the epoch.
    read: AtomicI64,
}

const NONE: i64 = i64::MIN;

const NANOS_PER_MILLI: i64 = 1_000_000;

impl Clock {
    /// The server has just said what time it is.
    pub(super) fn heard(&self, millis: u64) {
        self.heard_at(millis, Instant::now());
    }

    /// Milliseconds since the Unix epoch; none before the first reply with a time.
    pub(super) fn now(&self) -> Option<u64> {
        self.now_at(Instant::now())
    }

    fn heard_at(&self, millis: u64, at: Instant) {
        let _hearing = self.hearing.lock();
        let read = self.since_epoch(at);
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        let at_epoch = millis.saturating_mul(NANOS_PER_MILLI).saturating_sub(read);
        let chosen = self.chosen(read);
        if chosen.has_faded(read) || chosen.at_epoch.load(Ordering::Relaxed) <= at_epoch {
            self.best.put(at_epoch, read);
        } else if self.best.has_faded(read) {
            let chosen = chosen.at_epoch.load(Ordering::Relaxed);
            self.best
                .put(chosen, self.newest.read.load(Ordering::Relaxed));
        }
        self.newest.put(at_epoch, read);
    }

    fn now_at(&self, at: Instant) -> Option<u64> {
        let at = self.since_epoch(at);
        match self.chosen(at).at_epoch.load(Ordering::Relaxed) {
            NONE => None,
            at_epoch => u64::try_from(at_epoch.saturating_add(at) / NANOS_PER_MILLI).ok(),
        }
    }

    fn since_epoch(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.epoch).as_nanos();
        i64::try_from(since).unwrap_or(i64::MAX)
    }

    fn chosen(&self, at: i64) -> &Sample {
        if self.best.has_faded(at) {
            &self.newest
        } else {
            &self.best
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            hearing: Mutex::default(),
            best: Sample::default(),
            newest: Sample::default(),
        }
    }
}

impl Sample {
    fn put(&self, at_epoch: i64, read: i64) {
        self.at_epoch.store(at_epoch, Ordering::Relaxed);
        self.read.store(read, Ordering::Relaxed);
    }

    fn has_faded(&self, at: i64) -> bool {
        let age = at.saturating_sub(self.read.load(Ordering::Relaxed));
        age > FADES
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            at_epoch: AtomicI64::new(NONE),
            read: AtomicI64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn time_goes_on_from_the_last_reply() {
        let clock = Clock::default();
        let start = Instant::now();
        assert_eq!(clock.now_at(start), None);
        clock.heard_at(5_000, start);
        assert_eq!(clock.now_at(start), Some(5_000));
        assert_eq!(clock.now_at(start + SECOND), Some(6_000));
        assert_eq!(
            clock.now_at(start + 600 * SECOND),
            Some(605_000),
            "the only one"
        );
    }

    #[test]
    fn a_reply_that_took_long_does_not_set_the_clock_back() {
        let clock = Clock::default();
        let start = Instant::now();
        clock.heard_at(5_000, start);
        clock.heard_at(5_100, start + SECOND);
        assert_eq!(clock.now_at(start + SECOND), Some(6_000));
        clock.heard_at(7_500, start + 2 * SECOND);
        assert_eq!(clock.now_at(start + 2 * SECOND), Some(7_500));
    }

    #[test]
    fn an_old_sample_gives_way_to_the_newest() {
        let clock = Clock::default();
        let start = Instant::now();
        clock.heard_at(5_000, start);
        clock.heard_at(1_000, start + 30 * SECOND);
        assert_eq!(clock.now_at(start + 60 * SECOND), Some(65_000));
        assert_eq!(clock.now_at(start + 61 * SECOND), Some(32_000));
        clock.heard_at(20_000, start + 61 * SECOND);
        assert_eq!(clock.now_at(start + 61 * SECOND), Some(32_000));
    }
}
