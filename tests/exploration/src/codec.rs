//! What the envelope needs of codecs.

/// Stands for the runtime's, which is computed from types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TypeIdentity(u64);

impl TypeIdentity {
    pub(crate) const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn to_u64(self) -> u64 {
        self.0
    }
}
