//! [`Outcome`]: how one call was served.

use std::fmt;

use crate::error::StoreErrorKind;

/// How one call of an annotated function was served; see [`outcome`](crate::outcome()).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// From the store.
    Hit,
    /// From a copy in this process (`near`).
    Near,
    /// From the store, no longer fresh: a load in the background replaces it
    /// (`stale_while_revalidate`), or has taken too long for the caller (`soft_timeout`).
    Stale,
    /// From the store, no longer fresh, because the load failed (`stale_if_error`).
    StaleIfError,
    /// By the load of another caller, in this process or another.
    Joined,
    /// By the origin; the value is stored.
    Loaded,
    /// By the origin; nothing was stored, for this reason.
    NotStored(NotStored),
    /// By the origin; the cache was not asked, for this reason.
    Bypassed(Bypass),
    /// No annotated call ran inside the wrapper.
    NotCalled,
}

/// Why a loaded value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStored {
    /// The origin returned `Err`.
    Failed,
    /// The origin returned `None` and there is no `none_ttl`.
    None,
    /// `cache_if` said no.
    Declined,
    /// The time to live is zero.
    NoTtl,
    /// The encoded value is larger than the cache's limit.
    TooLarge,
    /// The value would not read back as it is, or the codec cannot carry its type.
    Refused,
    /// The entry was invalidated or replaced while the origin ran.
    Fenced,
    /// The call had no lease: another caller loads or writes, a load that was waited for came to
    /// nothing, or [`hold_off`](crate::Policy::hold_off) keeps everything from being stored.
    Leased,
    /// An invalidation of this key is not confirmed yet: until then this process does not use
    /// the entry.
    Unconfirmed,
    /// The store did not take it.
    Store(StoreErrorKind),
}

/// Why a call did not ask the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bypass {
    /// The call is wrapped in [`uncached`](crate::uncached()).
    Uncached,
    /// `bypass_if` said so.
    Asked,
    /// The call is made while its own caller loads the same key.
    Reentrant,
    /// The key cannot be rendered, or the codec cannot carry the type.
    Unsupported,
    /// There is no usable configuration (`CACHE_URL`).
    Misconfigured,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit => f.pad("hit"),
            Self::Near => f.pad("near hit"),
            Self::Stale => f.pad("stale"),
            Self::StaleIfError => f.pad("stale, the load failed"),
            Self::Joined => f.pad("joined"),
            Self::Loaded => f.pad("loaded"),
            Self::NotStored(reason) => f.pad(&format!("loaded, not stored: {reason}")),
            Self::Bypassed(reason) => f.pad(&format!("bypassed: {reason}")),
            Self::NotCalled => f.pad("not called"),
        }
    }
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("the function failed"),
            Self::None => f.write_str("None"),
            Self::Declined => f.write_str("cache_if"),
            Self::NoTtl => f.write_str("no time to live"),
            Self::TooLarge => f.write_str("too large"),
            Self::Refused => f.write_str("would not read back"),
            Self::Fenced => f.write_str("invalidated meanwhile"),
            Self::Leased => f.write_str("another caller stores it"),
            Self::Unconfirmed => f.write_str("an invalidation is not confirmed"),
            Self::Store(kind) => f.write_str(kind.as_str()),
        }
    }
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncached => "uncached",
            Self::Asked => "bypass_if",
            Self::Reentrant => "re-entrant",
            Self::Unsupported => "unsupported",
            Self::Misconfigured => "misconfigured",
        })
    }
}
