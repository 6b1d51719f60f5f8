//! What is cached: pages of two sizes.

use std::ops::Range;
use std::sync::LazyLock;
use std::{fmt, iter};

use hitbox_fn::CacheableResponse;
use serde::{Deserialize, Serialize};

/// A value with one string and a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Page {
    pub id: u64,
    pub version: u64,
    pub rating: f64,
    pub body: String,
}

impl Page {
    pub fn new(id: u64, version: u64) -> Self {
        Self {
            id,
            version,
            rating: id as f64 / 8.0,
            body: BODIES.body(Size::of(id)).to_owned(),
        }
    }
}

impl AsRef<Self> for Page {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// How large a page is; its number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// About 256 bytes when encoded.
    Small,
    /// About 4 KiB.
    Large,
}

/// Pages of each size.
const PAGES: u64 = 1000;
const FIRST_LARGE: u64 = 1_000_000;

impl Size {
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    pub fn ids(self) -> Range<u64> {
        match self {
            Self::Small => 0..PAGES,
            Self::Large => FIRST_LARGE..FIRST_LARGE + PAGES,
        }
    }

    fn of(id: u64) -> Self {
        if id < FIRST_LARGE {
            Self::Small
        } else {
            Self::Large
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "256 B",
            Self::Large => "4 KiB",
        })
    }
}

struct Bodies {
    small: String,
    large: String,
}

static BODIES: LazyLock<Bodies> = LazyLock::new(|| Bodies {
    small: text(210),
    large: text(4050),
});

impl Bodies {
    fn body(&self, size: Size) -> &str {
        match size {
            Size::Small => &self.small,
            Size::Large => &self.large,
        }
    }
}

fn text(length: usize) -> String {
    let words = iter::repeat("all work and no cache makes a slow page ");
    words.flat_map(str::chars).take(length).collect()
}
