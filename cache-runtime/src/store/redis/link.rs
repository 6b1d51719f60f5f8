//! [`Link`]: the connection that the reads of a lane go over, and what is known of its callers and its way.

use std::{task::Waker, time::Duration};

use tokio::{runtime, time::Instant};

use super::{lane::Failure, pen::Pen};

/// The most callers that are few. All that they do takes less than a round trip, so they and the server
/// would take turns at waiting for each other; and to wake a processor may take longer than the work.
pub(super) const FEW: usize = 32;

/// The largest [crowd](Link::crowd): when more are gone, those that are left are soon few.
pub(super) const MOST_CROWD: usize = 16 * FEW;

/// The most batches under way at a time to a server that is [near](NEAR): reads that come then wait for
/// one of the replies, so the busier the server, the more of them leave together; and those that wait in
/// vain are not sent, so that a server that is behind catches up. All that are of [few](FEW) callers may
/// be under way, unless there have just been fewer.
pub(super) const MOST_UNDER_WAY: usize = 8;

/// The same of more than [few](FEW) callers, as long as their batch is not full and has
/// [patience](super::desk::PATIENCE): so more of them leave together. 64 callers made 1.05 of the calls
/// with two instead of eight or three, on whichever processors, and 256 callers 1.0 to 1.05; with one it
/// was less.
pub(super) const MOST_UNDER_WAY_OF_MANY: usize = 2;

/// A server is near whose replies take no longer than this. Whoever waits for a reply before it leaves
/// waits as long as the way to the server is, so with one that is far few have to.
pub(super) const NEAR: Duration = Duration::from_micros(500);

/// The most batches under way to a server that is not [near](NEAR). With 10 ms to the server and back, the
/// last of a burst of 30, 100 or 300 callers had its reply after 13 ms, and after 25 with eight.
pub(super) const MOST_UNDER_WAY_AFAR: usize = 64;

/// No server is nearer, so from here on longer ways are found to be longer.
pub(super) const LEAST_WAY: Duration = Duration::from_micros(1);

/// The connection that the reads go over.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    /// Where its driver runs.
    pub(super) runtime: runtime::Id,
    /// None while somebody writes.
    pub(super) pen: Option<Pen>,
    pub(super) driver: Option<Waker>,
    /// The driver is to be woken if there is something to write: it is not at work.
    pub(super) idle: bool,
    /// When the driver will look for reads whose time is over.
    pub(super) alarm: Option<Instant>,
    pub(super) left: Option<Left>,
    /// About how many callers there are, up to [`MOST_CROWD`]: as many as have waited at a time lately.
    pub(super) crowd: usize,
    /// How long a reply has taken at least of late. What the server worked on before for this lane does not
    /// count, since to wait for that here is no worse: other replies than to a batch
    /// [by itself](super::batch::Sent::by_itself), which there is none of while many ask without a break,
    /// can only show that the way is shorter. None before the first.
    pub(super) way: Option<Duration>,
    /// The server refuses `MGET`.
    pub(super) apart: bool,
    /// Writing has failed.
    pub(super) failure: Option<Failure>,
}

/// Somebody who has given up a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// When its time is over.
    pub(super) deadline: Instant,
    /// How many batches had been answered when it left.
    pub(super) answered: u64,
}

impl Link {
    pub(super) fn new(number: u64, runtime: runtime::Id, pen: Pen) -> Self {
        Self {
            number,
            runtime,
            pen: Some(pen),
            driver: None,
            idle: false,
            alarm: None,
            left: None,
            crowd: 0,
            way: None,
            apart: false,
            failure: None,
        }
    }

    /// The driver, if it is to be woken.
    pub(super) fn idle_driver(&self) -> Option<Waker> {
        self.driver.clone().filter(|_| self.idle)
    }

    /// So many callers wait when a reply comes.
    pub(super) fn count(&mut self, waiting: usize) {
        let gone = match waiting {
            0 | 1 => self.crowd.div_ceil(2),
            _ => self.crowd.div_ceil(8),
        };
        self.crowd = (self.crowd - gone).max(waiting).min(MOST_CROWD);
    }

    /// The reply to a batch took so long.
    pub(super) fn took(&mut self, time: Duration, by_itself: bool) {
        let longer = |way: Duration| way.max(LEAST_WAY) * 9 / 8;
        self.way = match self.way {
            Some(way) if time < way || by_itself => Some(time.min(longer(way))),
            way => way.or(Some(time)),
        };
    }

    /// How many batches may be under way, if the next may still grow.
    pub(super) fn most_under_way(&self) -> usize {
        match self.way {
            Some(way) if way > NEAR => MOST_UNDER_WAY_AFAR,
            _ if self.crowd > FEW => MOST_UNDER_WAY_OF_MANY,
            _ => MOST_UNDER_WAY,
        }
    }

    /// The same of those that are full, or have waited.
    pub(super) fn most_full_under_way(&self) -> usize {
        self.most_under_way().max(MOST_UNDER_WAY)
    }

    /// Whether the server is known to be near.
    pub(super) fn is_near(&self) -> bool {
        self.way.is_some_and(|way| way <= NEAR)
    }

    pub(super) fn is_before_alarm(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| self.alarm.is_none_or(|alarm| deadline < alarm))
    }
}
