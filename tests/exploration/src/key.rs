//! The one key of the models.

/// Stands for the runtime's, which is rendered from arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(&'static str);

impl Key {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0
    }
}
