//! What can go wrong, as values.
//!
//! Annotated functions never return these: a call falls back to the origin and the failure is
//! counted. They surface from the operations of an entry, from those of the cache handle, and
//! while a configuration is read.

use std::{fmt, sync::Arc};

use crate::{codec::CodecError, key::KeyError};

/// Why an operation of an entry or of the cache failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The store failed, refused or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// The codec refused the value, or bytes it should have understood.
    #[error(transparent)]
    Codec(#[from] CodecError),

    /// The key could not be rendered.
    #[error(transparent)]
    Key(#[from] KeyError),

    /// The encoded value is larger than the limit of the cache; nothing was stored.
    #[error("the value takes {size} bytes, more than the limit of {limit} bytes")]
    ValueTooLarge {
        /// Size of the encoded value in bytes.
        size: usize,
        /// The limit it exceeds, in bytes.
        limit: usize,
    },
}

/// A failure of the store. Names neither user nor password.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", kind.summary())]
pub struct StoreError {
    kind: StoreErrorKind,
    detail: Arc<str>,
}

impl StoreError {
    /// A failure of `kind`; `detail` must be free of credentials.
    pub(crate) fn new(kind: StoreErrorKind, detail: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// Of a call that was given up.
    pub(crate) fn no_reply() -> Self {
        Self::new(StoreErrorKind::Timeout, "no reply in time")
    }

    /// Of a call outside a tokio runtime: there is no timer that could end a wait.
    pub(crate) fn no_runtime() -> Self {
        Self::new(
            StoreErrorKind::Unavailable,
            "not called from a tokio runtime",
        )
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What the store or the operating system said about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({}: {})", self.kind.as_str(), self.detail)
    }
}

/// The sorts of store failure, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No connection, a lost one, or the breaker is open.
    Unavailable,
    /// No answer in time; whether the operation happened is unknown.
    Timeout,
    /// The store is full and its policy refuses to evict (`OOM`).
    OutOfMemory,
    /// A replica was asked to write (`READONLY`).
    ReadOnly,
    /// The server is still loading its data (`LOADING`).
    Loading,
    /// The server stopped writes because it cannot persist (`MISCONF`).
    MisConf,
    /// Too few replicas for the server to accept writes (`NOREPLICAS`).
    NoReplicas,
    /// A script blocks the server (`BUSY`).
    Busy,
    /// The key lives on another node of a cluster (`MOVED`, `ASK`).
    Moved,
    /// The server does not know the script (`NOSCRIPT`).
    NoScript,
    /// Credentials missing, wrong or without the right (`NOAUTH`, `WRONGPASS`, `NOPERM`).
    Auth,
    /// The key holds something that is not a string (`WRONGTYPE`).
    WrongType,
    /// The peer does not speak the protocol, or answered with the wrong shape.
    Protocol,
    /// Anything else; the detail says what.
    Other,
}

impl StoreErrorKind {
    /// A stable name, for counters and log fields.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::ReadOnly => "read_only",
            Self::Loading => "loading",
            Self::MisConf => "misconf",
            Self::NoReplicas => "no_replicas",
            Self::Busy => "busy",
            Self::Moved => "moved",
            Self::NoScript => "no_script",
            Self::Auth => "auth",
            Self::WrongType => "wrong_type",
            Self::Protocol => "protocol",
            Self::Other => "other",
        }
    }

    fn summary(self) -> &'static str {
        match self {
            Self::Unavailable => "the cache store is unavailable",
            Self::Timeout => "the cache store did not answer in time",
            Self::OutOfMemory => "the cache store is out of memory",
            Self::ReadOnly => "the cache store is read-only",
            Self::Loading => "the cache store is loading its data",
            Self::MisConf => "the cache store refuses writes because it cannot persist",
            Self::NoReplicas => "the cache store refuses writes for want of replicas",
            Self::Busy => "the cache store is busy with a script",
            Self::Moved => "the key lives on another node",
            Self::NoScript => "the cache store does not know the script",
            Self::Auth => "the cache store refuses the credentials",
            Self::WrongType => "the key holds another type",
            Self::Protocol => "the cache store broke the protocol",
            Self::Other => "the cache store failed",
        }
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A configuration that cannot work. Repeats neither user nor password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is no URL at all. It is not repeated, since it may hold a password.
    #[error(
        "the cache URL does not parse; expected `redis://host:6379`, `unix:///path` or `memory://`"
    )]
    UrlSyntax,

    /// The URL is of a known scheme, and something in it is wrong.
    #[error("the cache URL cannot be used: {reason}")]
    Url {
        /// What is wrong with it.
        reason: String,
    },

    /// No store is known under this scheme.
    #[error(
        "unknown scheme `{scheme}://` in the cache URL; known are `memory://`, `redis://`, `rediss://` and `unix://`"
    )]
    UnknownScheme {
        /// The scheme as written.
        scheme: String,
    },

    /// The scheme is planned, and this version cannot serve it yet.
    #[error("`{scheme}://` is not supported yet in this version; name one server with `redis://`")]
    NotYetSupported {
        /// The scheme as written.
        scheme: String,
    },

    /// `rediss://` without the feature that brings TLS.
    #[error("`rediss://` needs the feature `tls` of cache-runtime")]
    TlsDisabled,

    /// The namespace is empty or has characters that would break keys or patterns.
    #[error(
        "the namespace `{namespace}` cannot be used; it takes 1 to 128 of A-Z, a-z, 0-9, `_`, `.` and `-`"
    )]
    Namespace {
        /// The namespace as given.
        namespace: String,
    },

    /// A setting that must be at least one is zero.
    #[error("`{setting}` must be at least 1")]
    Zero {
        /// Name of the setting.
        setting: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_error_says_what_happened_and_what_the_store_said() {
        let error = StoreError::new(StoreErrorKind::OutOfMemory, "OOM command not allowed");
        assert_eq!(
            error.to_string(),
            "the cache store is out of memory: OOM command not allowed"
        );
        assert_eq!(
            format!("{error:?}"),
            "StoreError(out_of_memory: OOM command not allowed)"
        );
    }
}
