//! What time it is on the server, as far as its replies tell.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Samples older than this give way to any newer one: clocks drift, and may be set.
const FADES: Duration = Duration::from_secs(60);

/// The server's clock, guessed from the times in its replies.
///
/// A reply is read after it was made, so the time in it plus what has passed since is never ahead
/// of the server; of two guesses the later is the better. The process's own clock is the system's
/// even where a test pauses tokio's, since the server does not pause.
#[derive(Debug, Default)]
pub(super) struct Clock {
    samples: Mutex<Option<Samples>>,
}

#[derive(Debug, Clone, Copy)]
struct Samples {
    best: Sample,
    newest: Sample,
}

/// What the server said, and when it was read.
#[derive(Debug, Clone, Copy)]
struct Sample {
    millis: u64,
    at: Instant,
}

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
        let newest = Sample { millis, at };
        let mut samples = self.samples.lock();
        let best = samples
            .map(|samples| samples.chosen(at))
            .filter(|best| !best.has_faded(at) && best.guess(at) > millis)
            .unwrap_or(newest);
        *samples = Some(Samples { best, newest });
    }

    fn now_at(&self, at: Instant) -> Option<u64> {
        let samples = *self.samples.lock();
        samples.map(|samples| samples.chosen(at).guess(at))
    }
}

impl Samples {
    fn chosen(&self, at: Instant) -> Sample {
        if self.best.has_faded(at) {
            self.newest
        } else {
            self.best
        }
    }
}

impl Sample {
    fn guess(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.at).as_millis();
        self.millis
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn has_faded(&self, at: Instant) -> bool {
        at.saturating_duration_since(self.at) > FADES
    }
}

#[cfg(test)]
mod tests {
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
