//! [`Place`]: where the value of a call is kept, and what makes it outdated.

use std::ops::Deref;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::codec::TypeIdentity;
use crate::envelope::Generation;
use crate::key::Key;
use crate::lease::Token;

/// Where the value of a call is kept. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: Key,
    pub(crate) identity: TypeIdentity,
    /// The keys of the generations of its tags. Two functions that share entries share them only if
    /// they name the same tags in the same order.
    pub(crate) tags: Tags,
}

/// Keys of the generations of tags. No tags are nobody's, while empty `Arc`s are all the same one,
/// whose count every processor would want at each call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags(Option<Arc<[Key]>>);

impl Deref for Tags {
    type Target = [Key];

    fn deref(&self) -> &[Key] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<Key> for Tags {
    fn from_iter<I: IntoIterator<Item = Key>>(tags: I) -> Self {
        let mut tags = tags.into_iter().peekable();
        Self(tags.peek().is_some().then(|| tags.collect()))
    }
}

/// Shows that nothing was invalidated since a load began: neither the entry, which would have
/// taken the token with it, nor one of its tags, which would have another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    token: Token,
    generations: u128,
}

impl Mark {
    pub(crate) fn new(token: Token, generations: &[Generation]) -> Self {
        Self {
            token,
            generations: digest(generations),
        }
    }

    /// From the [`digest`] of the generations.
    pub(crate) fn of_digest(token: Token, generations: u128) -> Self {
        Self { token, generations }
    }
}

/// Stands for generations where only their equality matters.
pub(crate) fn digest(generations: &[Generation]) -> u128 {
    match generations {
        [] => 0,
        generations => xxh3_128(generations.as_flattened()),
    }
}
