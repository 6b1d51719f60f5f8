//! Redis keys of entries.

use std::{fmt, sync::Arc};

/// Redis key of an entry: `<namespace>:<rendered key>`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The key `text` as given, in `namespace`.
    #[must_use]
    pub fn raw(namespace: &str, text: &str) -> Self {
        Self(format!("{namespace}:{text}").into())
    }

    /// The whole Redis key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes of the whole Redis key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A key that could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot be rendered")]
pub struct KeyError;
