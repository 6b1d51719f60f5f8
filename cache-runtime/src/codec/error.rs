//! Why a value was not encoded or decoded.

use std::borrow::Cow;

/// What a codec could not do. Its text says what to write instead where there is something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", self.summary())]
pub struct CodecError {
    kind: CodecErrorKind,
    codec: &'static str,
    detail: Cow<'static, str>,
}

impl CodecError {
    /// An error of the codec called `codec`; `detail` ends the sentence its `Display` begins.
    #[must_use]
    pub fn new(
        kind: CodecErrorKind,
        codec: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            kind,
            codec,
            detail: detail.into(),
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> CodecErrorKind {
        self.kind
    }

    /// The [`NAME`](super::Codec::NAME) of the codec.
    #[must_use]
    pub fn codec(&self) -> &'static str {
        self.codec
    }

    fn summary(&self) -> String {
        let codec = self.codec;
        match self.kind {
            CodecErrorKind::Encode => format!("{codec} cannot encode the value"),
            CodecErrorKind::Decode => format!("{codec} cannot decode the bytes"),
            CodecErrorKind::Unfaithful => format!("the value would not read back from {codec}"),
            CodecErrorKind::Unsupported => format!("{codec} cannot store this type"),
        }
    }
}

/// The kinds of [`CodecError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecErrorKind {
    /// The value's `Serialize` or the format itself failed.
    Encode,
    /// The bytes are not exactly one encoded value of the type.
    Decode,
    /// The value can be written, but something else would be read back.
    Unfaithful,
    /// No value of the type can be stored by this codec, as its structure cannot be seen.
    Unsupported,
}
