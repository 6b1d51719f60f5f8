//! One shard: a map with a byte budget and second-chance eviction.
//!
//! Entries stand in a ring of slots. A read marks its slot; when room is needed a hand walks the
//! ring, takes expired and unmarked entries and clears the marks it passes. That is close to
//! least-recently-used, costs a flag on the read path, and sweeps expired entries on the way.

use std::{collections::HashMap, mem, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::super::{
    bounded,
    watch::{Change, Watchers},
};
use crate::{
    envelope::{Generation, HEADER},
    key::Key,
    lease::{Effect, Lifetime},
};

/// What an entry costs beside the bytes of its key and value: by the resident size of a million
/// entries on 64-bit Linux, 170 (slot, map bucket, headers of two allocations, room to grow).
const OVERHEAD: usize = 170;

/// Slots that every put looks at for expired entries, so that they go even without pressure.
const SWEEP: usize = 2;

pub(super) struct Shard {
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    index: HashMap<Key, usize>,
    hand: usize,
    used: usize,
    room: usize,
    watchers: Arc<Watchers>,
}

struct Entry {
    key: Key,
    value: Bytes,
    expires_at: Instant,
    /// Read since the hand last passed.
    marked: bool,
}

impl Entry {
    fn size(&self) -> usize {
        size(&self.key, &self.value)
    }

    fn is_live(&self, now: Instant) -> bool {
        now < self.expires_at
    }

    /// Copies the value only if a reader still holds it.
    fn patch(&mut self, header: &[u8; HEADER]) {
        let value = mem::take(&mut self.value).try_into_mut();
        let mut value = value.unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        if let Some(place) = value.first_chunk_mut() {
            *place = *header;
        }
        self.value = value.freeze();
    }
}

fn size(key: &Key, value: &Bytes) -> usize {
    key.as_bytes().len() + value.len() + OVERHEAD
}

impl Shard {
    pub(super) fn new(room: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            hand: 0,
            used: 0,
            room,
            watchers: Arc::default(),
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn get(&mut self, key: &Key, now: Instant) -> Option<Bytes> {
        self.entry(key, now).map(|entry| entry.value.clone())
    }

    /// Reads, and hears of every change from then on.
    pub(super) fn get_watched(&mut self, key: &Key, now: Instant) -> (Option<Bytes>, Change) {
        let (value, end) = self
            .entry(key, now)
            .map(|entry| (entry.value.clone(), entry.expires_at))
            .unzip();
        (value, self.watchers.watch(key.as_bytes()).by(end))
    }

    pub(super) fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// The live entry of a key, marked as read.
    fn entry(&mut self, key: &Key, now: Instant) -> Option<&mut Entry> {
        let slot = *self.index.get(key)?;
        if !self.slots.get(slot)?.as_ref()?.is_live(now) {
            self.vacate(slot);
            return None;
        }
        let entry = self.slots.get_mut(slot)?.as_mut()?;
        entry.marked = true;
        Some(entry)
    }

    /// Does what was decided on the entry; false if what is to be put can never fit, as in
    /// [`put`](Self::put).
    pub(super) fn apply(&mut self, key: &Key, effect: Effect, now: Instant) -> bool {
        match effect {
            Effect::Nothing => {}
            Effect::Patch(header, lifetime) => {
                if let Some(entry) = self.entry(key, now) {
                    entry.patch(&header);
                    entry.expires_at = match lifetime {
                        Lifetime::Unchanged => entry.expires_at,
                        Lifetime::AtLeast(time) => entry.expires_at.max(now + bounded(time)),
                        Lifetime::AtMost(time) => entry.expires_at.min(now + bounded(time)),
                        Lifetime::Exactly(time) => now + bounded(time),
                    };
                }
                self.watchers.wake(key.as_bytes());
            }
            Effect::Put(value, ttl) => return self.put(key, value, now + bounded(ttl), now),
            Effect::Delete => drop(self.remove(key, now)),
        }
        true
    }

    /// False if the entry can never fit; what was under the key is gone in any case.
    pub(super) fn put(
        &mut self,
        key: &Key,
        value: Bytes,
        expires_at: Instant,
        now: Instant,
    ) -> bool {
        self.remove(key, now);
        let size = size(key, &value);
        if size > self.room {
            return false;
        }
        for _ in 0..SWEEP {
            self.advance(|entry| !entry.is_live(now));
        }
        while self.used + size > self.room {
            self.advance(|entry| !entry.is_live(now) || !mem::take(&mut entry.marked));
        }
        self.used += size;
        let entry = Some(Entry {
            key: key.clone(),
            // A slice of a larger buffer would keep all of it alive, uncounted.
            value: Bytes::copy_from_slice(&value),
            expires_at,
            marked: false,
        });
        let slot = self.occupy(entry);
        self.index.insert(key.clone(), slot);
        self.watchers.wake(key.as_bytes());
        true
    }

    /// The generation under a tag, `fresh` if there is none, kept until `expires_at` at least; none
    /// if it can never fit.
    pub(super) fn generation(
        &mut self,
        tag: &Key,
        fresh: Generation,
        expires_at: Instant,
        now: Instant,
    ) -> Option<Generation> {
        if let Some(entry) = self.entry(tag, now)
            && let Ok(generation) = Generation::try_from(&entry.value[..])
        {
            entry.expires_at = entry.expires_at.max(expires_at);
            return Some(generation);
        }
        let value = Bytes::copy_from_slice(&fresh);
        self.put(tag, value, expires_at, now).then_some(fresh)
    }

    /// Whether there was a live entry.
    pub(super) fn remove(&mut self, key: &Key, now: Instant) -> bool {
        let Some(slot) = self.index.get(key).copied() else {
            return false;
        };
        self.vacate(slot).is_some_and(|entry| entry.is_live(now))
    }

    /// Removes the entries whose key is wanted; how many of them were live.
    pub(super) fn remove_if(&mut self, now: Instant, wanted: impl Fn(&Key) -> bool) -> usize {
        let slots: Vec<usize> = self
            .index
            .iter()
            .filter(|(key, _)| wanted(key))
            .map(|(_, slot)| *slot)
            .collect();
        slots
            .into_iter()
            .filter_map(|slot| self.vacate(slot))
            .filter(|entry| entry.is_live(now))
            .count()
    }

    /// Moves the hand by one slot and empties that slot if `goes` says so.
    fn advance(&mut self, goes: impl FnOnce(&mut Entry) -> bool) {
        let slot = if self.hand < self.slots.len() {
            self.hand
        } else {
            0
        };
        self.hand = slot + 1;
        if self
            .slots
            .get_mut(slot)
            .and_then(Option::as_mut)
            .is_some_and(goes)
        {
            self.vacate(slot);
        }
    }

    fn occupy(&mut self, entry: Option<Entry>) -> usize {
        while let Some(slot) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(slot) {
                *place = entry;
                return slot;
            }
        }
        self.slots.push(entry);
        self.slots.len() - 1
    }

    fn vacate(&mut self, slot: usize) -> Option<Entry> {
        let entry = self.slots.get_mut(slot)?.take()?;
        self.index.remove(&entry.key);
        self.watchers.wake(entry.key.as_bytes());
        self.used -= entry.size();
        self.free.push(slot);
        if self.index.is_empty() {
            // After a `clear` the ring starts small again.
            self.slots = Vec::new();
            self.free = Vec::new();
        }
        Some(entry)
    }
}
