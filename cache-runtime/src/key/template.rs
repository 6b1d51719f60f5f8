//! [`Template`]: the literal that a function's keys are rendered from, and how to read keys back.

use super::digest::LONGEST;

/// The most placeholders of a template whose keys are known by their numbers.
const NUMBERS: usize = 2;

/// The numbers in a template's placeholders, in order; zeros behind them.
pub(crate) type Numbers = [u64; NUMBERS];

/// A template as it stands in the attribute; empty for a default key.
#[derive(Debug)]
pub(crate) struct Template {
    text: &'static str,
    /// Of all but the names in the placeholders.
    digest: u64,
    placeholders: usize,
}

/// A part of a template.
enum Piece<'a> {
    Text(&'a str),
    Placeholder,
}

impl Template {
    pub(crate) const fn new(text: &'static str) -> Self {
        let (digest, placeholders) = digest(text.as_bytes());
        Self {
            text,
            digest,
            placeholders,
        }
    }

    pub(crate) const fn text(&self) -> &'static str {
        self.text
    }

    /// Equal for templates that render alike.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) const fn placeholders(&self) -> usize {
        self.placeholders
    }

    /// Whether the same numbers render to the same key, whatever the parameters are called.
    #[inline]
    pub(crate) fn renders_like(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || (self.digest == other.digest && skeleton(self.text).eq(skeleton(other.text)))
    }

    /// The numbers in the places, if all are numbers and there is a template.
    #[inline]
    pub(crate) fn numbers<const N: usize>(&self, given: [Option<u64>; N]) -> Option<Numbers> {
        if self.placeholders != N || self.text.is_empty() {
            return None;
        }
        let mut given = given.into_iter();
        let mut next = || given.next().unwrap_or(Some(0));
        let numbers = [next()?, next()?];
        // More have no room.
        given.len().eq(&0).then_some(numbers)
    }

    /// The numbers from which this template renders exactly this key, which begins with `head`.
    pub(crate) fn read(&self, head: &str, key: &str) -> Option<Numbers> {
        let text = key.strip_prefix(head)?;
        // A longer key is shortened, and says nothing of its numbers.
        if self.text.is_empty() || key.len() > LONGEST {
            return None;
        }
        let mut numbers = Numbers::default();
        let mut places = numbers.iter_mut();
        let mut rest = text;
        for piece in pieces(self.text) {
            rest = match piece {
                Piece::Text(text) => rest.strip_prefix(text)?,
                Piece::Placeholder => {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let (digits, behind) = rest.split_at_checked(digits)?;
                    *places.next()? = number(digits)?;
                    behind
                }
            };
        }
        rest.is_empty().then_some(numbers)
    }
}

/// The number that is written like this: there is one way to write it.
fn number(digits: &str) -> Option<u64> {
    let has_zeros = digits.len() > 1 && digits.starts_with('0');
    (!has_zeros).then(|| digits.parse().ok()).flatten()
}

/// As in `format!`: braces of the text are doubled.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        let (piece, length) = if rest.is_empty() {
            return None;
        } else if rest.starts_with("{{") {
            (Piece::Text("{"), 2)
        } else if rest.starts_with("}}") {
            (Piece::Text("}"), 2)
        } else if rest.starts_with('{') {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            (Piece::Placeholder, end)
        } else {
            let end = rest.find(['{', '}']).unwrap_or(rest.len()).max(1);
            (Piece::Text(rest.get(..end)?), end)
        };
        rest = rest.get(length..)?;
        Some(piece)
    })
}

/// All but the names in the placeholders.
fn skeleton(template: &str) -> impl Iterator<Item = Option<u8>> {
    pieces(template).flat_map(|piece| {
        let (text, placeholder) = match piece {
            Piece::Text(text) => (text, None),
            Piece::Placeholder => ("", Some(None)),
        };
        text.bytes().map(Some).chain(placeholder)
    })
}

/// FNV-1a of the skeleton, and the number of placeholders. Braces stay doubled.
const fn digest(template: &[u8]) -> (u64, usize) {
    let mut digest: u64 = 0xcbf2_9ce4_8422_2325;
    let (mut at, mut placeholders) = (0, 0);
    while at < template.len() {
        #[expect(clippy::indexing_slicing, reason = "a `const fn` has no `get`")]
        let byte = template[at];
        at += 1;
        digest = (digest ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
        if byte == b'{' {
            #[expect(clippy::indexing_slicing, reason = "behind the length")]
            if at < template.len() && template[at] == b'{' {
                at += 1;
                continue;
            }
            placeholders += 1;
            #[expect(clippy::indexing_slicing, reason = "behind the length")]
            while at < template.len() && template[at] != b'}' {
                at += 1;
            }
            at += 1;
        }
    }
    (digest, placeholders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyBuilder;
    use proptest::prelude::*;

    const fn template(text: &'static str) -> Template {
        Template::new(text)
    }

    #[test]
    fn a_key_gives_its_numbers_back() {
        let book = template("book:{shelf.id}:{number}");
        assert_eq!(book.read("ns:", "ns:book:7:0"), Some([7, 0]));
        assert_eq!(
            template("all {{books}}").read("ns:", "ns:all {books}"),
            Some([0, 0])
        );
        assert_eq!(template("{id}th").read("", "12th"), Some([12, 0]));
        let not_rendered = [
            "ns:book:7",
            "ns:book:7:",
            "ns:book:07:1",
            "ns:book:-7:1",
            "ns:book:7:1 ",
            "ns:books:7:1",
            "ns:book:+7:1",
            "book:7:1",
            "ns:book:7:18446744073709551616",
            "ns:book:٣:1",
        ];
        for key in not_rendered {
            assert_eq!(book.read("ns:", key), None, "{key}");
        }
        assert_eq!(template("").read("ns:", "ns:"), None, "a default key");
        assert_eq!(
            template("{a}:{b}:{c}").read("", "1:2:3"),
            None,
            "more than have room"
        );
    }

    #[test]
    fn a_shortened_key_has_no_numbers() {
        static LONG: [u8; 520] = [b'x'; 520];
        let long = std::str::from_utf8(&LONG).expect("ASCII");
        let key = KeyBuilder::new("ns")
            .text(long)
            .finish()
            .expect("a literal");
        // A template that is spelled like the shortened key of another.
        let spelled: &'static str = key.as_str()[3..].to_owned().leak();
        assert_eq!(template(spelled).read("ns:", key.as_str()), None);
    }

    #[test]
    fn numbers_are_those_of_all_placeholders() {
        let book = template("book:{shelf}:{number:?}");
        assert_eq!(book.numbers([Some(7), Some(1)]), Some([7, 1]));
        assert_eq!(book.numbers([Some(7), None]), None);
        assert_eq!(book.numbers([Some(7)]), None);
        assert_eq!(template("all").numbers([]), Some([0, 0]));
        assert_eq!(template("").numbers([]), None, "a default key");
        let three = template("{a}:{b}:{c}");
        assert_eq!(
            three.numbers([Some(1), Some(2), Some(3)]),
            None,
            "more than have room"
        );
    }

    #[test]
    fn templates_render_alike_whatever_their_parameters_are_called() {
        let like = |one, other| {
            let (one, other) = (template(one), template(other));
            let alike = one.renders_like(&other);
            assert!(!alike || one.digest() == other.digest());
            alike
        };
        assert!(like("user:{id}", "user:{user.id}"));
        assert!(like("{{{id}}}", "{{{other}}}"));
        assert!(!like("user:{id}", "user:{{id}}"));
        assert!(!like("user:{id}", "user:"));
        assert!(!like("a:{id}", "b:{id}"));
        assert!(!like("{id}:", ":{id}"));
    }

    proptest! {
        /// Whatever a template reads, it renders again to the very same key.
        #[test]
        fn what_is_read_renders_to_what_was_read(
            a in prop_oneof![Just("0".to_owned()), "[0-9]{1,21}", "-?[0-9a:]{0,3}"],
            b in prop_oneof![Just("01".to_owned()), "[0-9]{1,20}", "[0-9:]{0,3}"],
        ) {
            let key = format!("ns:x{a}:{b}.");
            let read = template("x{a}:{b}.").read("ns:", &key);
            if let Some([a, b]) = read {
                prop_assert_eq!(format!("ns:x{a}:{b}."), key);
            }
        }

        #[test]
        fn what_is_rendered_is_read(a in any::<u64>(), b in any::<u64>()) {
            let key = KeyBuilder::new("ns").text("x").field(format_args!("{a}")).text(":")
                .field(format_args!("{b}")).finish().expect("numbers");
            prop_assert_eq!(template("x{a}:{b}").read("ns:", key.as_str()), Some([a, b]));
        }
    }
}
