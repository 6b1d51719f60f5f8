//! [`Name`]: what a copy is found by.

use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;

use crate::key::{Key, Numbers, Template};

/// What a copy is found by: the numbers in its key where there is nothing else in it that differs,
/// which are there before a text is, and else its key's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Numbered(Numbered),
    Text(Key),
}

/// Finds what is kept under a name, without being one.
pub(crate) trait Named: Hash + Equivalent<Name> {}

impl<N: Hash + Equivalent<Name>> Named for N {}

/// A template, and what is in its places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbered {
    template: &'static Template,
    numbers: Numbers,
}

impl Numbered {
    #[inline]
    pub(crate) fn new(template: &'static Template, numbers: Numbers) -> Self {
        Self { template, numbers }
    }

    pub(super) fn template(&self) -> &'static Template {
        self.template
    }

    /// Whether this is what a key with this head says.
    pub(super) fn is_of(&self, head: &str, key: &str) -> bool {
        self.template.read(head, key) == Some(self.numbers)
    }

    /// The numbers of a key with this head, if the template renders it.
    pub(super) fn read(template: &'static Template, head: &str, key: &str) -> Option<Self> {
        Some(Self::new(template, template.read(head, key)?))
    }
}

impl PartialEq for Numbered {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers && self.template.renders_like(other.template)
    }
}

impl Eq for Numbered {}

impl Hash for Numbered {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, others @ ..] = self.numbers;
        state.write_u64(self.template.digest() ^ first);
        for number in others
            .iter()
            .take(self.template.placeholders().saturating_sub(1))
        {
            state.write_u64(*number);
        }
    }
}

impl Name {
    pub(super) fn text(&self) -> Option<&Key> {
        match self {
            Self::Numbered(_) => None,
            Self::Text(key) => Some(key),
        }
    }
}

impl Equivalent<Name> for Numbered {
    #[inline]
    fn equivalent(&self, name: &Name) -> bool {
        matches!(name, Name::Numbered(numbered) if numbered == self)
    }
}

/// The text of a key that is not one yet.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Equivalent<Name> for Text<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        matches!(name, Name::Text(key) if key.as_str() == self.0)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Numbered(numbered) => numbered.hash(state),
            Self::Text(key) => Text(key.as_str()).hash(state),
        }
    }
}
