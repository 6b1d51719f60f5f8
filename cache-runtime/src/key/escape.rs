//! Percent-escaping of what is filled into a key.
//!
//! A character with a meaning in the key's structure is written as `%XX` for each of its UTF-8
//! bytes, upper-case. All others pass through, so ordinary ids stay readable in `redis-cli`. The
//! mapping is injective, because `%` itself is escaped: every `%` in the output begins an escape.

use std::fmt::{self, Write};

/// Which characters have a meaning where the text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    /// A placeholder of a template: `%`, `:`, `{`, `}` (cluster hash tags), whitespace, controls.
    Placeholder,
    /// An argument of a default key: also the punctuation of its grammar, `()[],=`.
    Argument,
}

impl Context {
    fn escapes(self, c: char) -> bool {
        match c {
            '%' | ':' | '{' | '}' => true,
            '(' | ')' | '[' | ']' | ',' | '=' => self == Self::Argument,
            _ => c.is_whitespace() || c.is_control(),
        }
    }
}

/// A sink that escapes what is written to it and appends the result to a key, without a
/// temporary string between a value's `Display` and the key.
pub(super) struct Escaped<'a> {
    key: &'a mut String,
    context: Context,
}

impl<'a> Escaped<'a> {
    pub(super) fn new(key: &'a mut String, context: Context) -> Self {
        Self { key, context }
    }
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c| self.context.escapes(c)) {
            let (plain, from_special) = rest.split_at(at);
            let mut chars = from_special.chars();
            self.key.push_str(plain);
            if let Some(special) = chars.next() {
                push_percent(self.key, special)?;
            }
            rest = chars.as_str();
        }
        self.key.push_str(rest);
        Ok(())
    }
}

fn push_percent(key: &mut String, c: char) -> fmt::Result {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        write!(key, "%{byte:02X}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str, context: Context) -> String {
        let mut key = String::new();
        Escaped::new(&mut key, context)
            .write_str(text)
            .expect("writing to a String succeeds");
        key
    }

    fn unescaped(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes().iter();
        while let Some(&byte) = rest.next() {
            if byte == b'%' {
                let digits = [*rest.next().unwrap(), *rest.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
            } else {
                bytes.push(byte);
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn ordinary_ids_stay_as_they_are() {
        for id in [
            "42",
            "alice@example.org",
            "a-b_c.d~e/f",
            "Zürich",
            "猫",
            "🦀",
            "",
            "'x'",
        ] {
            assert_eq!(escaped(id, Context::Placeholder), id);
        }
    }

    #[test]
    fn structure_whitespace_and_controls_are_escaped() {
        for (text, expected) in [
            ("a:b", "a%3Ab"),
            ("100%", "100%25"),
            ("{tag}", "%7Btag%7D"),
            ("a b\tc\n", "a%20b%09c%0A"),
            ("\0\u{7f}", "%00%7F"),
            (
                "\u{85}\u{a0}\u{2028}\u{3000}",
                "%C2%85%C2%A0%E2%80%A8%E3%80%80",
            ),
        ] {
            assert_eq!(escaped(text, Context::Placeholder), expected);
        }
    }

    #[test]
    fn the_grammar_of_default_keys_is_escaped_in_arguments_only() {
        assert_eq!(escaped("f(a,[b])=c", Context::Placeholder), "f(a,[b])=c");
        assert_eq!(
            escaped("f(a,[b])=c", Context::Argument),
            "f%28a%2C%5Bb%5D%29%3Dc"
        );
    }

    proptest! {
        #[test]
        fn escaping_is_reversible_and_removes_what_it_should(text in any::<String>()) {
            for context in [Context::Placeholder, Context::Argument] {
                let escaped = escaped(&text, context);
                prop_assert_eq!(unescaped(&escaped), &*text);
                prop_assert!(!escaped.contains(|c| c != '%' && context.escapes(c)));
            }
        }

        #[test]
        fn the_split_into_writes_does_not_matter(parts in prop::collection::vec(any::<String>(), 0..4)) {
            let mut key = String::new();
            for part in &parts {
                Escaped::new(&mut key, Context::Argument).write_str(part).unwrap();
            }
            prop_assert_eq!(key, escaped(&parts.concat(), Context::Argument));
        }
    }
}
