//! Who takes part, and what each is compared with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_benches::RedisServer;
use cache_runtime::Cache;

use super::turn::Entrant;
use crate::contenders::annotated::{self, Annotated, AnnotatedPostcard};
use crate::contenders::bare::Bare;
use crate::contenders::by_hand::ByHand;
use crate::contenders::cached::{Cached, CachedApart, CachedOnOne};
use crate::contenders::format::Format;
use crate::contenders::hitbox::Hitbox;
use crate::contenders::in_process::{
    CachedLruTtl, CachedSharded, CachedUnbounded, Embedded, Moka, Near, NearOwned, Plain, Quick,
};
use crate::contenders::pooled::Pooled;
use crate::contenders::wire::Wire;
use crate::origin::Failure;

/// A turn, unless it is to be shorter.
pub const LONGEST_TURN: Duration = Duration::from_millis(50);

/// And where it is to be, for each caller.
pub const TURN_OF_ONE: Duration = Duration::from_micros(500);

/// Where pages are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Redis,
    /// Where it has a processor of its own, and those who ask another.
    RedisApart,
    /// Where it shares a processor with those who ask.
    RedisOnOne,
    InProcess,
}

impl Place {
    /// See [`Turn::stride`](super::turn::Turn::stride).
    pub fn stride(self) -> u64 {
        match self {
            Self::Redis | Self::RedisApart | Self::RedisOnOne => 1,
            Self::InProcess => 64,
        }
    }

    /// How long a turn is.
    ///
    /// On several processors, a call on Redis with few others does little but wait for a processor to wake,
    /// and how long that takes changes several times a second and by more than a factor of two: all
    /// contenders should have had a turn by then. Of one and the same contender, entered twice and with one
    /// caller, the medians of 60 rounds were within 0.01 of each other with 100 turns of 0.5 ms in a round,
    /// and up to 0.1 apart with 10 of 5 ms. The more callers there are, the longer it takes until all of
    /// them are under way.
    pub fn turn(self, callers: usize) -> Duration {
        match self {
            Self::Redis | Self::RedisApart => LONGEST_TURN.min(TURN_OF_ONE * callers as u32),
            Self::RedisOnOne | Self::InProcess => LONGEST_TURN,
        }
    }

    /// What rows are compared with.
    pub fn baseline(self) -> &'static str {
        match self {
            Self::InProcess => "a function that has the value",
            Self::Redis | Self::RedisApart | Self::RedisOnOne => {
                "redis-rs `GET` and the same codec"
            }
        }
    }

    /// Where callers and server are kept: in words, and in names of files.
    pub fn kept(self) -> (&'static str, &'static str) {
        match self {
            Self::Redis | Self::InProcess => ("", ""),
            Self::RedisApart => (", on a processor each", "-apart"),
            Self::RedisOnOne => (", on one processor", "-one"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => f.write_str("in process"),
            place => write!(f, "on Redis{}", place.kept().0),
        }
    }
}

pub struct Entered {
    pub name: &'static str,
    pub baseline: usize,
    /// It caches nothing, so there is nothing to warm.
    pub is_bare: bool,
    pub entrant: Box<dyn Entrant>,
}

/// The first two are the baselines, one for each codec.
pub async fn on_redis(server: &RedisServer, place: Place) -> Result<Vec<Entered>, Failure> {
    let url = &server.url();
    let cached = match place {
        Place::Redis | Place::InProcess => entered("`cached`", 0, Cached::new(url)),
        Place::RedisApart => entered("`cached`", 0, CachedApart::new(url)),
        Place::RedisOnOne => entered("`cached`", 0, CachedOnOne::new(url)),
    };
    let cache = annotated::open(url).await?;
    let by_hand = ByHand::open(url, Format::MessagePack).await?;
    let by_hand_postcard = ByHand::open(url, Format::Postcard).await?;
    let wire = Wire::open(&server.address()).await?;
    Ok(vec![
        entered("redis-rs `GET`, MessagePack", 0, by_hand),
        entered("redis-rs `GET`, Postcard", 1, by_hand_postcard),
        entered("`#[cached]`, MessagePack", 0, Annotated(cache.clone())),
        entered("`#[cached]`, Postcard", 1, AnnotatedPostcard(cache)),
        entered("deadpool-redis `GET`, MessagePack", 0, Pooled::open(url)?),
        cached,
        entered("`hitbox`", 0, Hitbox::open(url)?),
        entered("RESP by hand, MessagePack", 0, wire),
        Entered {
            is_bare: true,
            ..entered("not annotated: sleeps 5 ms", 0, Bare)
        },
    ])
}

/// Two of them have Redis behind.
pub async fn in_process(server: &RedisServer) -> Result<Vec<Entered>, Failure> {
    let cache = annotated::open(&server.url()).await?;
    Ok(vec![
        entered("not annotated: a shared value", 0, Plain),
        entered("`#[cached]`, `near`", 0, Near(cache.clone())),
        entered("`#[cached]`, `near`, owned value", 0, NearOwned(cache)),
        entered("`#[cached]`, embedded store", 0, Embedded(Cache::memory())),
        entered("`cached`, LRU and TTL", 0, CachedLruTtl),
        entered("`cached`, unbounded", 0, CachedUnbounded),
        entered("`cached`, unbounded, shards", 0, CachedSharded),
        entered("`moka`", 0, Moka::default()),
        entered("`quick_cache`, no TTL", 0, Quick::default()),
    ])
}

fn entered<C>(name: &'static str, baseline: usize, contender: C) -> Entered
where
    C: crate::contenders::Contender,
{
    Entered {
        name,
        baseline,
        is_bare: false,
        entrant: Box::new(Arc::new(contender)),
    }
}
