//! Arguments that decide the value but must not be readable in its key.

use super::argument;
use super::digest::Hasher;
use serde::{Serialize, Serializer, ser::Error as _};
use std::fmt::{self, Write as _};

/// The name under which [`Secret`] serializes, by which default keys recognise it.
pub(super) const NAME: &str = "cache_runtime::Secret";

/// An argument that decides the value but must not be readable in the key: a token, an
/// e-mail address.
///
/// Wherever a plain value would be written, a 128-bit digest of it appears instead: in default keys
/// (through `Serialize`), in templates (`{token}` through `Display`, `{token:?}` through `Debug`)
/// and in logs. Different secrets have different digests, so they never share an entry.
///
/// A digest hides what cannot be guessed. Who can read the keys can try all PINs or telephone
/// numbers: such things do not belong into a key at all.
///
/// # Examples
///
/// ```
/// # use cache_runtime::Secret;
/// let token = Secret::new("hunter2");
/// assert_eq!(token.expose(), &"hunter2");
/// assert!(!format!("{token} {token:?}").contains("hunter2"));
/// assert_ne!(token.to_string(), Secret::new("hunter3").to_string());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value in the clear.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value in the clear, by value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

/// Writes the digest of what `T` would have written; flags such as a width have no effect.
impl<T: fmt::Display> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digest_of(format_args!("{}", self.0))?)
    }
}

/// Writes `Secret(<digest>)`: not a fixed text, because a template may print arguments with `{:?}`
/// and different ones must stay different.
impl<T: fmt::Debug> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", digest_of(format_args!("{:?}", self.0))?)
    }
}

/// Writes the digest, whatever the format: a secret never leaves through serde.
impl<T: Serialize> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        argument::render(&self.0, &mut text).map_err(S::Error::custom)?;
        let digest = digest_of(format_args!("{text}")).map_err(S::Error::custom)?;
        serializer.serialize_newtype_struct(NAME, &digest)
    }
}

fn digest_of(text: fmt::Arguments<'_>) -> Result<String, fmt::Error> {
    let mut hasher = Hasher::new("secret");
    hasher.write_fmt(text)?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyBuilder;

    fn key<T: Serialize>(value: T) -> String {
        KeyBuilder::new("ns")
            .text("f")
            .argument(&value)
            .finish()
            .unwrap()
            .to_string()
    }

    #[test]
    fn no_way_of_writing_it_shows_the_value() {
        let secret = Secret::new("hunter2");
        for text in [
            secret.to_string(),
            format!("{secret:>40.2}"),
            format!("{secret:?}"),
            format!("{:#?}", Some(secret)),
            serde_json::to_string(&secret).unwrap(),
            key(secret),
            key(("me", vec![Some(secret)])),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn every_way_of_writing_it_tells_secrets_apart() {
        let (one, two) = (Secret::new("a"), Secret::new("b"));
        assert_ne!(one.to_string(), two.to_string());
        assert_ne!(format!("{one:?}"), format!("{two:?}"));
        assert_ne!(format!("{one:.1}"), format!("{two:.1}"));
        assert_ne!(key(one), key(two));
        assert_ne!(key(Secret::new(1)), key(Secret::new("1")));
    }

    #[test]
    fn equal_secrets_share_a_key() {
        assert_eq!(key(Secret::new("a")), key(Secret::new("a".to_owned())));
        assert_eq!(
            key(Secret::new("a")),
            "ns:f:secret(00ed777a1380d9a93bcc3d2884168582)"
        );
    }
}
