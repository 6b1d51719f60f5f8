//! Which page a caller asks for, and whatever else is drawn.

use std::ops::Range;

/// Pages in no order that would help, another for each number (xorshift).
pub struct Ids<'a> {
    ids: &'a Range<u64>,
    state: u64,
}

impl<'a> Ids<'a> {
    pub fn new(ids: &'a Range<u64>, number: usize) -> Self {
        // Numbers that follow one another begin far from each other.
        let state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number as u64 + 1);
        Self { ids, state }
    }

    pub fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        // A division would take longer than some caches do.
        let count = self.ids.end - self.ids.start;
        self.ids.start + (((self.state >> 32) * count) >> 32)
    }
}
