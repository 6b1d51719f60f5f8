//! [`struct@Copy`]: a value kept in the process, and what is said of it.

use std::any::Any;
use std::sync::Arc;

use quick_cache::{Lifecycle, Weighter};

use super::name::Name;
use crate::key::Key;
use crate::place::Tags;

/// A value of whatever type.
pub(super) type AnyValue = Arc<dyn Any + Send + Sync>;

/// A copy, and what is said of it.
#[derive(Clone)]
pub(super) struct Copy {
    pub(super) value: AnyValue,
    /// Since when it is fresh, in ticks.
    pub(super) since: u64,
    /// When it is no longer fresh.
    pub(super) until: u64,
    pub(super) epoch: u64,
    pub(super) weight: u64,
    pub(super) tagged: Option<Arc<Tagged>>,
}

/// The tags of a copy.
#[derive(Debug)]
pub(super) struct Tagged {
    pub(super) tags: Tags,
    /// Their marks.
    pub(super) marks: Box<[u64]>,
}

impl Copy {
    #[inline]
    pub(super) fn tags(&self) -> &[Key] {
        self.tagged.as_ref().map_or(&[], |tagged| &tagged.tags)
    }
}

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<Name, Copy> for Weight {
    fn weight(&self, name: &Name, copy: &Copy) -> u64 {
        copy.weight + name.text().map_or(0, |key| key.as_bytes().len() as u64)
    }
}

/// Hands out what has to make room.
#[derive(Clone)]
pub(super) struct Evicted;

impl Lifecycle<Name, Copy> for Evicted {
    type RequestState = Vec<(Name, Copy)>;

    fn begin_request(&self) -> Self::RequestState {
        Vec::new()
    }

    fn on_evict(&self, evicted: &mut Self::RequestState, name: Name, copy: Copy) {
        evicted.push((name, copy));
    }
}
