//! XFetch: when a value is refreshed before it expires.
//!
//! A. Vattani, F. Chierichetti, K. Lowenstein: "Optimal Probabilistic Cache Stampede Prevention",
//! PVLDB 8(8), 2015. Each caller draws u uniformly from (0, 1] and refreshes if
//! `now − δ·β·ln(u) ≥ expiry`, where δ is what the last load took: the later it is and the more a
//! load takes, the likelier. No caller has to know of any other.

use std::time::Duration;

/// Whether the caller that drew `random` from (0, 1] refreshes a value that is fresh for `left`.
pub(super) fn is_due(left: Duration, cost: Duration, beta: f64, random: f64) -> bool {
    cost.as_secs_f64() * beta * -random.ln() >= left.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64: the same numbers on every run.
    struct Random(u64);

    impl Random {
        /// From (0, 1].
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + f64::EPSILON / 4.0
        }
    }

    /// Simulates `expiries` lives of an entry with Poisson reads, and returns for how many of them
    /// a caller had to wait because the refresh had not ended when the value expired.
    fn waited_for(expiries: u32, reads_per_load: f64, beta: f64, seed: u64) -> u32 {
        let (ttl, cost) = (Duration::from_secs(300), Duration::from_millis(500));
        let mut random = Random(seed);
        let mut waited = 0;
        for _ in 0..expiries {
            // Long before the end nobody refreshes: the chance is e^(-left/cost) a read.
            let mut at = ttl.saturating_sub(20 * cost);
            let refreshed_at = loop {
                let pause = -random.next().ln() / reads_per_load;
                at += cost.mul_f64(pause);
                if at >= ttl || is_due(ttl - at, cost, beta, random.next()) {
                    break at;
                }
            };
            // Somebody reads in the moment between the expiry and the end of the refresh?
            let gap = (refreshed_at + cost).saturating_sub(ttl);
            let read = -random.next().ln() / reads_per_load;
            waited += u32::from(refreshed_at >= ttl || cost.mul_f64(read) < gap);
        }
        waited
    }

    #[test]
    fn at_a_hundred_reads_per_load_hardly_an_expiry_is_waited_for() {
        const EXPIRIES: u32 = 10_000;
        let share =
            |reads, beta| f64::from(waited_for(EXPIRIES, reads, beta, 42)) / f64::from(EXPIRIES);
        assert!(
            share(100.0, 0.0) > 0.99,
            "without it every expiry is waited for"
        );
        let shares = [1.0, 3.0, 10.0, 30.0, 100.0].map(|reads| share(reads, 1.0));
        println!("expiries waited for at 1, 3, 10, 30, 100 reads per load: {shares:?}");
        assert!(
            shares.is_sorted_by(|fewer, more| fewer >= more),
            "{shares:?}"
        );
        assert!(shares[4] < 0.01, "{shares:?}");
        assert!(share(10.0, 2.0) < shares[2], "a larger β refreshes earlier");
    }

    #[test]
    fn rarely_read_values_are_rarely_refreshed_early() {
        let left = Duration::from_secs(10);
        let cost = Duration::from_millis(100);
        assert!(!is_due(left, cost, 1.0, 0.000_001));
        assert!(is_due(Duration::ZERO, cost, 1.0, 1.0));
        assert!(!is_due(Duration::from_nanos(1), Duration::ZERO, 1.0, 0.5));
    }
}
