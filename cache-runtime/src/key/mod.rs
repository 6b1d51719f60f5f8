//! From the arguments of a call to the key of an entry: `<namespace>:<rendered key>`.
//!
//! Everything here is a pure function of its input, and the whole of guarantee G1's first
//! half rests on it: two different argument lists never render to the same text.
//!
//! * [`escape`] keeps a filled-in value from reaching across its placeholder;
//! * [`argument`] renders the arguments of a default key through serde;
//! * [`field`] is what fills a placeholder;
//! * [`builder`] puts a key together from literals, placeholders and arguments;
//! * [`digest`] shortens long keys and hides secrets;
//! * [`secret`] is the wrapper that keeps an argument out of the key's text;
//! * [`template`] reads the numbers in a key back.
//!
//! # Why templates are injective
//!
//! Take `"order:{customer}:{number}"`. A filled text never contains `:`, because escaping turns
//! every `:` of the value into `%3A`, and escaping itself is reversible (`%` becomes `%25`).
//! So the rendered key splits at the literal parts in one way only, and each part gives back the
//! text it was filled with. This asks one thing of a template: between two placeholders stands
//! at least one character that escaping removes from values, **other than `%`** (which escaping
//! also produces): `:`, a space, `{{` or `}}`. The macro checks it.
//!
//! What remains is the value's own `Display` (or `Debug`): values that print alike share an entry.

mod argument;
mod builder;
mod digest;
mod escape;
mod field;
mod secret;
mod template;

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

pub(crate) use builder::Draft;
pub use builder::KeyBuilder;
pub use field::{Field, Integer};
pub use secret::Secret;
pub(crate) use template::{Numbers, Template};

/// The key of an entry, as Redis knows it. Cheap to clone.
///
/// # Examples
///
/// ```
/// # use cache_runtime::Key;
/// let key = Key::raw("shop", "user:42");
/// assert_eq!(key.as_str(), "shop:user:42");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The key `<namespace>:<text>`, for texts known only at run time.
    ///
    /// The text is taken as it is, nothing is escaped: keeping different things apart is up to
    /// the caller. A key longer than 512 bytes is shortened to a readable head and a digest.
    #[must_use]
    pub fn raw(namespace: &str, text: &str) -> Self {
        let mut full = String::with_capacity(namespace.len() + 1 + text.len());
        full.push_str(namespace);
        full.push(':');
        full.push_str(text);
        Self::shortened(&mut full)
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as the bytes sent to Redis.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn shortened(text: &mut String) -> Self {
        digest::shorten(text);
        Self(Arc::from(&**text))
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why arguments could not be made into a key.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The `Serialize` implementation of an argument of a default key gave up.
    #[error("an argument cannot be part of the key: {0}; skip it or write a key template")]
    Serialize(String),
    /// The `Display` or `Debug` implementation of a value in a placeholder gave up.
    #[error("a placeholder of the key template cannot be filled: formatting its value failed")]
    Format,
}

impl serde::ser::Error for KeyError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Serialize(message.to_string())
    }
}
