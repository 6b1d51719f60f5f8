//! Random numbers that a seed repeats.

/// `SplitMix64`: small, fast, and each seed a stream of its own.
#[derive(Debug, Clone)]
pub struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The stream of one of the users of a seed.
    #[must_use]
    pub fn new(seed: u64, user: u64) -> Self {
        let mut mixed = Self(seed ^ user.wrapping_mul(STEP).rotate_left(32));
        mixed.next();
        mixed
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if there is none.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    /// True this often in a thousand.
    pub fn permille(&mut self, often: u32) -> bool {
        self.below(1000) < u64::from(often)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_its_numbers_and_another_does_not() {
        let take = |seed, user| {
            let mut random = Random::new(seed, user);
            [(); 8].map(|()| random.next())
        };
        assert_eq!(take(1, 2), take(1, 2));
        assert_ne!(take(1, 2), take(1, 3));
        assert_ne!(take(1, 2), take(2, 2));
    }
}
