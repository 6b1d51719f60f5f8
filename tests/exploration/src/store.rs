//! The store of the models: one entry, on which the runtime's own functions decide.

use std::time::Duration;

use bytes::Bytes;

use crate::codec::TypeIdentity;
use crate::envelope::{self, Meta, Spans};
use crate::key::Key;
use crate::lease::{self, Acquire, Acquired, Effect, Release, Token};
use crate::place::{Place, Tags};
use crate::sync::Mutex;

pub(crate) const KEY: Key = Key::new("exploration:entry");
pub(crate) const IDENTITY: TypeIdentity = TypeIdentity::from_u64(1);

/// The store's clock, ms. It stands still: what is fresh stays fresh.
const NOW: u64 = 1_000;
const CONNECTION: u64 = 1;
const TTL: Duration = Duration::from_secs(3600);

/// Where the values of all calls are.
pub(crate) fn place() -> Place {
    Place {
        key: KEY,
        identity: IDENTITY,
        tags: Tags::default(),
    }
}

/// Each operation is atomic.
#[derive(Debug)]
pub(crate) struct Store(Mutex<Option<Bytes>>);

impl Store {
    /// A store with a value of this version, or with nothing.
    pub(crate) fn new(version: Option<u64>) -> Self {
        Self(Mutex::new(version.map(sealed)))
    }

    pub(crate) fn get(&self) -> Option<Bytes> {
        self.0.lock().clone()
    }

    /// Whatever the entry holds.
    pub(crate) fn put(&self, version: u64) {
        *self.0.lock() = Some(sealed(version));
    }

    pub(crate) fn delete(&self) {
        *self.0.lock() = None;
    }

    pub(crate) fn acquire(&self, request: &Acquire) -> Acquired {
        self.alter(|entry| lease::acquire(entry, NOW, request, CONNECTION))
    }

    pub(crate) fn fill(&self, token: &Token, version: u64) -> bool {
        self.alter(|entry| lease::fill(entry, NOW, token, &sealed(version), TTL))
    }

    pub(crate) fn release(&self, token: &Token, how: Release) {
        self.alter(|entry| (lease::release(entry, NOW, token, how), ()));
    }

    pub(crate) fn intend(&self, request: &Acquire) {
        self.alter(|entry| (lease::intend(entry, NOW, request), ()));
    }

    pub(crate) fn commit(&self, token: &Token, version: u64) -> bool {
        self.alter(|entry| lease::commit(entry, NOW, token, &sealed(version), TTL))
    }

    fn alter<T>(&self, decide: impl FnOnce(Option<&Bytes>) -> (Effect, T)) -> T {
        let mut entry = self.0.lock();
        let (effect, answer) = decide(entry.as_ref());
        match effect {
            Effect::Nothing => {}
            Effect::Patch(header, _) => {
                let content = entry.iter().flat_map(|all| all.iter().skip(header.len()));
                *entry = Some(header.iter().chain(content).copied().collect());
            }
            Effect::Put(bytes, _) => *entry = Some(bytes),
            Effect::Delete => *entry = None,
        }
        answer
    }
}

/// A payload that says which version it is.
pub(crate) fn payload(version: u64) -> Bytes {
    Bytes::copy_from_slice(&version.to_le_bytes())
}

/// What [`payload`] was made of.
pub(crate) fn version(payload: &Bytes) -> u64 {
    payload
        .first_chunk()
        .map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

fn sealed(version: u64) -> Bytes {
    let mut buffer = envelope::start();
    buffer.extend_from_slice(&payload(version));
    let meta = Meta {
        created_ms: NOW,
        spans: Spans {
            fresh: TTL,
            stale: Duration::ZERO,
        },
        load_cost: Duration::ZERO,
        codec_id: 0,
    };
    envelope::seal(buffer, KEY.as_str(), IDENTITY, &meta)
}
