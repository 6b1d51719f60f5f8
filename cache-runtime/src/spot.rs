//! [`Spot`]: the place of an entry, whether or not anything can be stored there.

use crate::codec::{CodecError, TypeIdentity};
use crate::error::CacheError;
use crate::key::{Key, KeyError};
use crate::place::{Place, Tags};

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
        tags: Result<Tags, KeyError>,
    ) -> Self {
        let mut unfit = None;
        let tags = tags.unwrap_or_else(|error| {
            unfit = Some(error.into());
            Tags::default()
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

    /// What to delete: for that its key is enough.
    ///
    /// # Errors
    /// If the key cannot be rendered.
    pub(crate) fn outdated(&self) -> Result<&Place, CacheError> {
        self.place.as_ref().map_err(Clone::clone)
    }
}
