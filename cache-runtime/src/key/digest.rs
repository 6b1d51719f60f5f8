//! Digests: of keys that are too long, and of secrets.
//!
//! SHA-256 cut to 128 bits: finding two texts with one digest is out of reach for an attacker
//! who chooses argument values, which a fast non-cryptographic hash would not give.

use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write};

/// A longer key is shortened. Redis takes up to 512 MiB, but every lookup hashes, compares and
/// sends the whole key.
pub(super) const LONGEST: usize = 512;
/// What stays of the text; with `~` and 32 digits one byte more than [`LONGEST`], so that a
/// shortened key never equals one that was short from the start.
const HEAD: usize = 480;

/// Leaves a text of up to 512 bytes as it is, otherwise its head, `~` and a digest of the whole.
pub(super) fn shorten(text: &mut String) {
    if text.len() > LONGEST {
        let digest = Hasher::new("key").add(text).finish();
        text.truncate(text.ceil_char_boundary(HEAD));
        text.push('~');
        text.push_str(&digest);
    }
}

/// Computes the digest of a text that arrives in pieces, e.g. from a `Display` implementation.
pub(super) struct Hasher(Sha256);

impl Hasher {
    /// The purpose keeps digests of different things apart.
    pub(super) fn new(purpose: &'static str) -> Self {
        Self(Sha256::new())
            .add("cache-runtime ")
            .add(purpose)
            .add("\0")
    }

    pub(super) fn add(mut self, text: &str) -> Self {
        self.0.update(text);
        self
    }

    /// 32 lower-case hex digits.
    pub(super) fn finish(self) -> String {
        let mut digits = String::with_capacity(32);
        for byte in self.0.finalize().into_iter().take(16) {
            digits.extend(
                [byte >> 4, byte & 0xf].map(|n| char::from_digit(n.into(), 16).unwrap_or('0')),
            );
        }
        digits
    }
}

impl Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_digest_is_the_head_of_sha_256() {
        // printf 'cache-runtime key\0abc' | sha256sum
        let digest = Hasher::new("key").add("a").add("bc").finish();
        assert_eq!(digest, "ff2d0fb536e1bf10a04ea075f6172776");
    }

    #[test]
    fn purposes_are_kept_apart() {
        let of = |purpose| Hasher::new(purpose).add("x").finish();
        assert_ne!(of("key"), of("secret"));
    }

    fn shortened(mut text: String) -> String {
        shorten(&mut text);
        text
    }

    #[test]
    fn keys_up_to_the_limit_are_left_alone() {
        for length in [0, 1, LONGEST] {
            let text = "k".repeat(length);
            assert_eq!(shortened(text.clone()), text);
        }
    }

    #[test]
    fn long_keys_keep_a_readable_head() {
        let text = "user:".to_owned() + &"x".repeat(600);
        let short = shortened(text.clone());
        let (head, digest) = short.split_once('~').expect("a digest");
        assert!(text.starts_with(head) && head.len() == HEAD);
        assert!(digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit()));
    }

    proptest! {
        #[test]
        fn shortened_keys_are_never_as_short_as_whole_ones(text in "\\PC{130,700}") {
            let short = shortened(text.clone());
            if text.len() > LONGEST {
                prop_assert!((LONGEST + 1..=LONGEST + 4).contains(&short.len()));
            } else {
                prop_assert_eq!(short, text);
            }
        }

        #[test]
        fn long_keys_that_differ_anywhere_differ(at in 0..2000usize) {
            let text = "x".repeat(2000);
            let mut other = text.clone();
            other.replace_range(at..=at, "y");
            prop_assert_ne!(shortened(text), shortened(other));
        }
    }
}
