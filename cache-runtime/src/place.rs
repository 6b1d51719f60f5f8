//! [`Place`]: where the value of a call is kept, and what makes it outdated.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::codec::{CodecError, TypeIdentity};
use crate::envelope::Generation;
use crate::error::CacheError;
use crate::key::{Key, KeyError};
use crate::lease::Token;

/// Where the value of a call is kept. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: Key,
    pub(crate) identity: TypeIdentity,
    /// The keys of the generations of its tags. Two functions that share entries share them only if
    /// they name the same tags in the same order.
    pub(crate) tags: Arc<[Key]>,
}

/// The place of an entry, whether or not anything can be stored there: others may have stored
/// something under its key, so that it is deleted in any case.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    /// Without tags if they cannot be rendered; of nobody's type if the codec cannot carry its own.
    place: Result<Place, CacheError>,
    /// Why nothing is read or stored there.
    unfit: Option<CacheError>,
}

impl Spot {
    pub(crate) fn new(
        key: Result<Key, KeyError>,
        identity: Result<TypeIdentity, CodecError>,
        tags: Result<Arc<[Key]>, KeyError>,
    ) -> Self {
        let mut unfit = None;
        let tags = tags.unwrap_or_else(|error| {
            unfit = Some(error.into());
            Arc::default()
        });
        let identity = identity.unwrap_or_else(|error| {
            unfit = Some(error.into());
            TypeIdentity::from_u64(0)
        });
        let place = key.map_err(CacheError::from).map(|key| Place {
            key,
            identity,
            tags,
        });
        Self { place, unfit }
    }

    /// Where to read and store.
    ///
    /// # Errors
    /// If the key or a tag cannot be rendered, or the codec cannot carry the type.
    pub(crate) fn usable(&self) -> Result<&Place, CacheError> {
        match &self.unfit {
            None => self.outdated(),
            Some(error) => Err(error.clone()),
        }
    }

    /// The same by value.
    pub(crate) fn into_usable(self) -> Result<Place, CacheError> {
        match self.unfit {
            None => self.place,
            Some(error) => Err(error),
        }
    }

    /// What to delete: for that its key is enough.
    ///
    /// # Errors
    /// If the key cannot be rendered.
    pub(crate) fn outdated(&self) -> Result<&Place, CacheError> {
        self.place.as_ref().map_err(Clone::clone)
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
