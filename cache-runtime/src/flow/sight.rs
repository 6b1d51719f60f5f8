//! [`Seen`]: what an envelope shows of an entry: its value and its age, and who works on it.

use std::time::Duration;

use bytes::{Buf, Bytes};

use super::early;
use crate::envelope::{self, Age, Generation, Meta, Rejected};
use crate::lease::{Lease, LeaseKind, Stamp, Token};
use crate::place::{self, Mark, Place};
use crate::resilience::backoff::random;

/// A caller that knows what a load took last time waits for another process no longer than this
/// many times that, and a little for the way.
const COSTS: u32 = 4;
const WAY: Duration = Duration::from_millis(250);

/// What the store told of an entry last, without its value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    stamp: Option<Stamp>,
    // Of this type: one of another type is never waited for.
    lease: Option<Lease>,
    cost: Option<Duration>,
    // Of the tags' generations; none if one of them has none.
    generations: Option<u128>,
}

/// A value by its age.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// For this much longer.
    Fresh { payload: Bytes, left: Duration },
    /// No longer fresh since so long.
    Stale { payload: Bytes, by: Duration },
    /// Beyond its stale span.
    Dead,
    /// One of its tags has been invalidated: of no use at any age.
    TagInvalidated,
}

impl Seen {
    /// Looks at an envelope, given the generations of the tags at the same time. Without a clock, a
    /// value is fresh as long as it is there.
    pub(super) fn look(
        &mut self,
        mut envelope: Bytes,
        generations: Option<&[Generation]>,
        place: &Place,
        now: Option<u64>,
    ) -> Result<Sight, Rejected> {
        let Place { key, identity, .. } = place;
        let digest = generations.map(place::digest);
        match envelope::open(&envelope, key.as_str(), *identity) {
            Ok(opened) => {
                *self = Self {
                    stamp: Some(opened.stamp),
                    lease: opened.lease,
                    cost: Some(opened.meta.load_cost),
                    generations: digest,
                };
                if generations != Some(opened.generations) {
                    return Ok(Sight::TagInvalidated);
                }
                let (meta, start) = (opened.meta, envelope.len() - opened.payload.len());
                envelope.advance(start);
                Ok(Sight::new(envelope, &meta, now))
            }
            Err(rejected) => {
                let lease = envelope::lease(&envelope).filter(|(of, _)| of == identity);
                *self = Self {
                    stamp: envelope::stamp(&envelope),
                    lease: lease.map(|(_, lease)| lease),
                    cost: None,
                    generations: digest,
                };
                Err(rejected)
            }
        }
    }

    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// The token of the lease that somebody loads under.
    pub(super) fn load_token(&self) -> Option<Token> {
        self.of_kind(LeaseKind::Load).map(|lease| lease.token)
    }

    /// The mark of the lease or the intent that somebody has.
    pub(super) fn mark(&self) -> Option<Mark> {
        let token = self.work()?.token;
        Some(Mark::of_digest(token, self.generations?))
    }

    /// Whether somebody loads or writes.
    pub(super) fn is_busy(&self, now: Option<u64>) -> bool {
        self.work().is_some_and(|lease| stands(lease, now)) || self.is_throttled(now)
    }

    /// Whether the last load failed and it is too early for the next.
    pub(super) fn is_throttled(&self, now: Option<u64>) -> bool {
        self.of_kind(LeaseKind::Ended)
            .is_some_and(|lease| stands(lease, now))
    }

    /// Whether the load under this lease has ended without a value.
    pub(super) fn has_ended(&self, token: Token) -> bool {
        self.of_kind(LeaseKind::Ended)
            .is_some_and(|lease| lease.token == token)
    }

    /// How long the lease stands.
    pub(super) fn left(&self, now: Option<u64>) -> Duration {
        let deadline = self.lease.map_or(0, |lease| lease.deadline_ms);
        let left = now.map_or(u64::MAX, |now| deadline.saturating_sub(now));
        // Not before it is over.
        Duration::from_millis(left.saturating_add(1))
    }

    /// How long to wait for another process, if what a load takes is known.
    pub(super) fn patience(&self) -> Option<Duration> {
        // What was put or written through does not tell.
        let cost = self.cost.filter(|cost| !cost.is_zero())?;
        Some(cost.saturating_mul(COSTS).saturating_add(WAY))
    }

    /// Whether this caller is the one to refresh a value that is fresh for `left`.
    pub(super) fn is_due_early(&self, left: Duration, beta: f64) -> bool {
        let random = || (f64::from(random()) + 1.0) / (f64::from(u32::MAX) + 1.0);
        beta > 0.0
            && self
                .cost
                .is_some_and(|cost| early::is_due(left, cost, beta, random()))
    }

    /// The lease or the intent that somebody has.
    fn work(&self) -> Option<&Lease> {
        self.of_kind(LeaseKind::Load)
            .or(self.of_kind(LeaseKind::Intent))
    }

    fn of_kind(&self, kind: LeaseKind) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.kind == kind)
    }
}

fn stands(lease: &Lease, now: Option<u64>) -> bool {
    now.is_none_or(|now| now < lease.deadline_ms)
}

impl Sight {
    fn new(payload: Bytes, meta: &Meta, now: Option<u64>) -> Self {
        match now.map(|now| meta.age(now)) {
            None => Self::Fresh {
                payload,
                left: meta.spans.fresh,
            },
            Some(Age::Fresh { left }) => Self::Fresh { payload, left },
            Some(Age::Stale { by }) => Self::Stale { payload, by },
            Some(Age::Dead) => Self::Dead,
        }
    }
}
