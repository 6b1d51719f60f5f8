//! Patterns as Redis understands them in `SCAN MATCH`, byte for byte, so that `clear` removes
//! the same entries from every store.
//!
//! `*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a-z]` one byte of a class, `\x` the byte
//! `x`. A class that never ends, ends with the pattern.

/// Whether the whole of `text` matches `pattern`.
///
/// Every part but `*` takes exactly one byte, so it is enough to return to the last `*`: the time
/// is bounded by the product of the lengths whatever the pattern.
pub(super) fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', rest @ ..] = pattern {
            pattern = rest;
            retry = Some((rest, text));
        } else if let [byte, following @ ..] = text {
            if let Some(rest) = one(pattern, *byte) {
                pattern = rest;
                text = following;
            } else if let Some((after_star, [_, shorter @ ..])) = retry {
                pattern = after_star;
                text = shorter;
                retry = Some((after_star, shorter));
            } else {
                return false;
            }
        } else {
            return pattern.is_empty();
        }
    }
}

/// Matches `byte` against the first part of `pattern`; what follows that part if it matches.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', rest @ ..] => Some(rest),
        [b'[', b'^', class @ ..] => {
            let (found, rest) = in_class(class, byte);
            (!found).then_some(rest)
        }
        [b'[', class @ ..] => {
            let (found, rest) = in_class(class, byte);
            found.then_some(rest)
        }
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => (*literal == byte).then_some(rest),
    }
}

fn in_class(mut class: &[u8], byte: u8) -> (bool, &[u8]) {
    let mut found = false;
    loop {
        class = match class {
            [] => return (found, &[]),
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [b']', rest @ ..] => return (found, rest),
            [a, b'-', b, rest @ ..] => {
                found |= (*a.min(b)..=*a.max(b)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        for text in matching {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        for text in others {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn stars() {
        check(
            "user:*",
            &["user:", "user:1", "user:1:2"],
            &["user", "xuser:1"],
        );
        check("*", &["a", "a:b"], &[]);
        check("a*b*c", &["abc", "axbxbc", "abcbc"], &["ab", "acb", "abcd"]);
        check("a**b", &["ab", "axb"], &["a"]);
        check("*:x", &["a:x", "a:x:x"], &["a:xy", "x"]);
    }

    #[test]
    fn single_bytes_and_classes() {
        check("a?c", &["abc", "a*c"], &["ac", "abbc"]);
        check("[abc]", &["a", "c"], &["d", "ab"]);
        check("[a-c]x", &["bx"], &["dx"]);
        check("[c-a]", &["b"], &["d"]);
        check("[^a-c]", &["d", "^"], &["a"]);
        check("[a\\]b]", &["]", "a", "b"], &["\\"]);
        check("[\\^a]", &["^", "a"], &["b"]);
        check("[]", &[], &["a", "]"]);
        check("[^]", &["a", "]"], &["ab"]);
    }

    #[test]
    fn unfinished_patterns() {
        check("[abc", &["a"], &["d", "abc"]);
        check("[", &[], &["[", "a"]);
        check("[^", &["a"], &[]);
        check("a\\", &["a\\"], &["a"]);
        check("[a-", &["a", "-"], &["b"]);
    }

    #[test]
    fn escapes() {
        check("a\\*", &["a*"], &["ab", "a"]);
        check("\\[a\\]", &["[a]"], &["a"]);
    }

    #[test]
    fn a_hostile_pattern_takes_bounded_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(5_000).as_bytes()));
    }
}
