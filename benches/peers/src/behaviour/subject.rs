//! Whose behaviour is looked at, by a name that fits on a command line.

use std::fmt;

use cache_runtime::Cache;

use crate::contenders::Contender;
use crate::contenders::annotated::{self, Annotated};
use crate::contenders::by_hand::{ByHand, ByHandCareful};
use crate::contenders::cached::{Cached, CachedManaged};
use crate::contenders::format::Format;
use crate::contenders::hitbox::{Hitbox, HitboxShared};
use crate::contenders::in_process::{CachedByKey, Embedded, Moka, Quick};
use crate::contenders::pooled::Pooled;
use crate::origin::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Annotated,
    Embedded,
    ByHand,
    ByHandCareful,
    Pooled,
    Cached,
    CachedManaged,
    CachedByKey,
    Hitbox,
    HitboxShared,
    Moka,
    Quick,
}

/// Something to do with a contender, whatever its type.
pub trait Job: Send {
    type Output;

    fn run<C: Contender>(self, contender: C) -> impl Future<Output = Self::Output> + Send;
}

impl Subject {
    const ALL: [Self; 12] = [
        Self::Annotated,
        Self::Embedded,
        Self::ByHand,
        Self::ByHandCareful,
        Self::Pooled,
        Self::Cached,
        Self::CachedManaged,
        Self::CachedByKey,
        Self::Hitbox,
        Self::HitboxShared,
        Self::Moka,
        Self::Quick,
    ];

    /// What it is called on the command line of a worker.
    pub fn word(self) -> String {
        format!("{self:?}")
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.word() == word)
    }

    /// Whether processes share what it has cached.
    pub fn is_shared(self) -> bool {
        !matches!(
            self,
            Self::Embedded | Self::CachedByKey | Self::Moka | Self::Quick
        )
    }

    /// Opens it, and does the job.
    pub async fn with<J: Job>(self, url: &str, job: J) -> Result<J::Output, Failure> {
        Ok(match self {
            Self::Annotated => job.run(Annotated(annotated::open(url).await?)).await,
            Self::Embedded => job.run(Embedded(Cache::memory())).await,
            Self::ByHand => job.run(ByHand::open(url, Format::MessagePack).await?).await,
            Self::ByHandCareful => job.run(ByHandCareful::open(url)?).await,
            Self::Pooled => job.run(Pooled::open(url)?).await,
            Self::Cached => job.run(Cached::new(url)).await,
            Self::CachedManaged => job.run(CachedManaged::new(url)).await,
            Self::CachedByKey => job.run(CachedByKey).await,
            Self::Hitbox => job.run(Hitbox::open(url)?).await,
            Self::HitboxShared => job.run(HitboxShared::open(url)?).await,
            Self::Moka => job.run(Moka::default()).await,
            Self::Quick => job.run(Quick::default()).await,
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Annotated => "`#[cached]` on Redis",
            Self::Embedded => "`#[cached]`, embedded store",
            Self::ByHand => "redis-rs by hand",
            Self::ByHandCareful => "redis-rs by hand, connection manager, or the function",
            Self::Pooled => "deadpool-redis by hand",
            Self::Cached => "`cached` on Redis",
            Self::CachedManaged => "`cached` on Redis, connection manager",
            Self::CachedByKey => "`cached` in memory, `sync_writes = \"by_key\"`",
            Self::Hitbox => "`hitbox` on Redis",
            Self::HitboxShared => "`hitbox` on Redis, broadcast manager",
            Self::Moka => "`moka`",
            Self::Quick => "`quick_cache`",
        })
    }
}
