//! In which order contenders take turns.

use std::ops::Range;

use crate::ids::Ids;

/// Drawn anew each time. In an order that only rotates each follows the same one, and how fast a turn
/// begins depends on what ran before it.
pub struct Lots(Ids<'static>);

const LOTS: &Range<u64> = &(0..1 << 32);

impl Lots {
    pub fn draw<T>(&mut self, contenders: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut order: Vec<_> = contenders.into_iter().collect();
        order.sort_by_cached_key(|_| self.0.next());
        order
    }
}

impl Default for Lots {
    fn default() -> Self {
        Self(Ids::new(LOTS, 0))
    }
}
