//! Putting a key together, part by part.

use super::argument;
use super::digest;
use super::field::Field;
use super::{Key, KeyError};
use serde::Serialize;
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// Where the thread's next key is put together, so that a key takes one allocation and not two.
    static DESK: Cell<String> = const { Cell::new(String::new()) };
}

/// A desk that one key has made larger than this is not kept.
const KEPT: usize = 4 << 10;

/// Builds one key from literals, placeholders and arguments, in order.
///
/// What goes wrong on the way (only an argument's own `Serialize`, `Display` or `Debug` can) is
/// kept for [`finish`](Self::finish), so that the parts can be chained.
///
/// Expansions use it; everybody else writes a key template.
///
/// # Examples
///
/// ```
/// # use cache_runtime::KeyBuilder;
/// let (shelf, title) = (7, "a:b");
/// let key = KeyBuilder::new("shop")
///     .text("book:")
///     .field(format_args!("{shelf}"))
///     .text(":")
///     .field(format_args!("{title}"))
///     .finish()?;
/// assert_eq!(key.as_str(), "shop:book:7:a%3Ab");
/// # Ok::<(), cache_runtime::KeyError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct KeyBuilder {
    text: String,
    failed: Option<KeyError>,
}

impl KeyBuilder {
    /// Begins with `<namespace>:`.
    pub fn new(namespace: &str) -> Self {
        // Empty while another key is put together, as by a `Display` that calls for one.
        let mut text = DESK.try_with(Cell::take).unwrap_or_default();
        text.clear();
        text.push_str(namespace);
        text.push(':');
        Self { text, failed: None }
    }

    /// A literal part of a template, as it is.
    #[inline]
    pub fn text(mut self, literal: &str) -> Self {
        self.text.push_str(literal);
        self
    }

    /// A filled placeholder, escaped.
    #[inline]
    pub fn field(mut self, value: impl Field) -> Self {
        let written = value.fill(&mut self.text);
        self.keep(written);
        self
    }

    /// The path of an item, as `type_name` spells it, with `.` for `::` and the rest escaped: no
    /// identifier contains a `.`, and what follows the path is separated by the `:` that is gone.
    pub fn path(mut self, path: &str) -> Self {
        for (at, part) in path.split("::").enumerate() {
            self = self
                .text(if at == 0 { "" } else { "." })
                .field(format_args!("{part}"));
        }
        self
    }

    /// `:` and an argument of a default key, in the grammar of the [`argument`] module.
    pub fn argument<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.text.push(':');
        let rendered = argument::render(value, &mut self.text);
        self.keep(rendered);
        self
    }

    /// The key, shortened if it is longer than 512 bytes.
    ///
    /// # Errors
    ///
    /// If the `Serialize`, `Display` or `Debug` implementation of an argument failed: there is
    /// no key for this call.
    pub fn finish(self) -> Result<Key, KeyError> {
        Ok(self.draft()?.to_key())
    }

    /// The key, if there is one.
    #[cold]
    pub(crate) fn rendered(self) -> Option<Key> {
        self.finish().ok()
    }

    /// The text of the key, still at the desk: to look at, without an allocation.
    #[inline]
    pub(crate) fn draft(mut self) -> Result<Draft, KeyError> {
        match self.failed {
            Some(error) => Err(error),
            None => {
                digest::shorten(&mut self.text);
                Ok(Draft { text: self.text })
            }
        }
    }

    fn keep(&mut self, result: Result<(), KeyError>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }
}

/// The text of a key that is not one yet.
#[derive(Debug)]
pub(crate) struct Draft {
    text: String,
}

impl Draft {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn to_key(&self) -> Key {
        Key(Arc::from(self.as_str()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.text.capacity() <= KEPT {
            let text = std::mem::take(&mut self.text);
            // At the end of its thread the desk is gone.
            let _ = DESK.try_with(|desk| desk.set(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt;

    /// Texts that try to reach across a placeholder: made of what has a meaning somewhere.
    fn nasty() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::collection::vec(
                prop::sample::select(vec![
                    ":", "%", "%3A", "3A", "25", "{", "}", "", "\0", " ", "\u{a0}", "a", "1", "🦀",
                    "~", "'", ",", "(", ")", "[", "]", "=", "none", "\n",
                ]),
                0..6
            )
            .prop_map(|parts| parts.concat()),
            any::<String>(),
        ]
    }

    fn template(x: &str, y: &str) -> Key {
        KeyBuilder::new("ns")
            .text("a:")
            .field(format_args!("{x}"))
            .text(":")
            .field(format_args!("{y}"))
            .finish()
            .expect("strings can be formatted")
    }

    #[test]
    fn plain_values_are_readable() {
        assert_eq!(template("42", "Zürich").as_str(), "ns:a:42:Zürich");
        assert_eq!(template("", "").as_str(), "ns:a::");
    }

    #[test]
    fn a_value_cannot_reach_across_its_placeholder() {
        assert_ne!(template("a", "b:c"), template("a:b", "c"));
        assert_ne!(template("", "x"), template(":x", ""));
        assert_ne!(template("%3A", ""), template(":", ""));
    }

    #[test]
    fn a_value_cannot_bring_its_own_hash_tag() {
        assert!(!template("{x}", "y").as_str().contains('{'));
    }

    #[test]
    fn default_keys_separate_their_arguments() {
        let key = |x: &str, y: &str| {
            KeyBuilder::new("ns")
                .text("get")
                .argument(x)
                .argument(y)
                .finish()
                .unwrap()
        };
        assert_eq!(key("a", "b").as_str(), "ns:get:a:b");
        assert_ne!(key("a:b", "c"), key("a", "b:c"));
        assert_ne!(
            KeyBuilder::new("ns").argument("a:b").finish().unwrap(),
            KeyBuilder::new("ns")
                .argument("a")
                .argument("b")
                .finish()
                .unwrap(),
        );
    }

    #[test]
    fn paths_are_readable_and_leave_the_separator_to_the_arguments() {
        let key = |path| KeyBuilder::new("ns").path(path).finish().unwrap();
        assert_eq!(key("shop::users::get").as_str(), "ns:shop.users.get");
        assert_eq!(
            key("<a::B<u8, ':'> as c::D>::get").as_str(),
            "ns:<a.B<u8,%20'%3A'>%20as%20c.D>.get"
        );
        assert_ne!(key("a::b"), key("a:b"));
    }

    #[test]
    fn a_failing_argument_is_reported_at_the_end() {
        struct Silent;
        impl fmt::Display for Silent {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                Err(fmt::Error)
            }
        }
        struct Locked;
        impl Serialize for Locked {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("locked"))
            }
        }
        let failed = KeyBuilder::new("ns")
            .field(format_args!("{Silent}"))
            .text("x")
            .finish();
        assert!(matches!(failed, Err(KeyError::Format)));
        let failed = KeyBuilder::new("ns")
            .argument(&Locked)
            .argument(&1)
            .finish();
        assert!(matches!(failed, Err(KeyError::Serialize(reason)) if reason == "locked"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn different_fields_give_different_keys(a in nasty(), b in nasty(), c in nasty(), d in nasty()) {
            prop_assert_eq!(template(&a, &b) == template(&c, &d), a == c && b == d);
        }

        #[test]
        fn moving_a_border_gives_a_different_key(text in nasty(), at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let borders: Vec<_> = (0..=text.len()).filter(|&i| text.is_char_boundary(i)).collect();
            let (at, to) = (*at.get(&borders), *to.get(&borders));
            let split = |at| template(&text[..at], &text[at..]);
            prop_assert_eq!(split(at) == split(to), at == to);
        }

        #[test]
        fn different_string_arguments_give_different_default_keys(a in nasty(), b in nasty(), c in nasty(), d in nasty()) {
            let key = |x: &str, y: &str| KeyBuilder::new("ns").argument(x).argument(y).finish().unwrap();
            prop_assert_eq!(key(&a, &b) == key(&c, &d), a == c && b == d);
        }
    }
}
