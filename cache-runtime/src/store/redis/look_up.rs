//! [`LookUp`]: one read on its way to its reply.
//!
//! ```text
//!   join ──► wait for the ticket ───────────────► done
//!     │ no connection, or nobody keeps its    │
//!     │ time                                  │
//!     └──► the long way, boxed ◄──────────────┘ the connection broke: once
//!            └────────────────────────────────► done
//! ```
//!
//! Written by hand, because every call carries one: an `async fn` around an `async fn` keeps its
//! arguments at each level.

use std::{
    mem,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{super::Found, batch::Reply, call::Waiting, lane::Lane};
use crate::{boxed::Boxed, error::StoreError, key::Key};

/// Reads a key and its tags. Safe to drop at any time.
#[must_use]
pub(super) struct LookUp<'a> {
    lane: &'a Lane,
    key: &'a Key,
    tags: &'a [Key],
    time: &'a Range<Instant>,
    again: bool,
    state: State<'a>,
}

enum State<'a> {
    Begin,
    Wait(Waiting<'a>),
    LongWay(Boxed<'a, Reply>),
}

impl<'a> LookUp<'a> {
    #[inline]
    pub(super) fn new(
        lane: &'a Lane,
        key: &'a Key,
        tags: &'a [Key],
        time: &'a Range<Instant>,
    ) -> Self {
        Self {
            lane,
            key,
            tags,
            time,
            again: true,
            state: State::Begin,
        }
    }
}

impl Future for LookUp<'_> {
    type Output = Result<Found, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Self {
            lane,
            key,
            tags,
            time,
            ..
        } = *this;
        loop {
            let reply = match &mut this.state {
                State::Begin => match lane.begin(key, tags, time, context) {
                    Ok(Some(waiting)) => {
                        this.state = match waiting.is_timed() {
                            true => State::Wait(waiting),
                            false => State::LongWay(waiting.in_time()),
                        };
                        continue;
                    }
                    Ok(None) => {
                        this.state = State::LongWay(lane.begin_connected(key, tags, time.end));
                        continue;
                    }
                    Err(failure) => Err(failure.into()),
                },
                State::Wait(waiting) => ready!(waiting.poll(context)),
                State::LongWay(reply) => ready!(reply.as_mut().poll(context)),
            };
            match reply {
                Err(failure) if failure.again && mem::take(&mut this.again) => {
                    // It waits for the connection that replaces this one, and its time begins anew.
                    this.state = State::LongWay(lane.begin_connected(key, tags, time.end));
                }
                reply => return Poll::Ready(reply.map_err(|failure| failure.error)),
            }
        }
    }
}
