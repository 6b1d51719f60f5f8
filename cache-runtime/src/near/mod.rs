//! The near cache: values of Redis kept decoded in this process, for as long as nobody changes them.
//!
//! ```text
//!   hit ────────────────────────────────────────────► value, without a word to the server
//!   miss ─► begin (note the marks) ─► GET ─► decode ─► fill, if the marks are what they were
//!   change, own or told by the server ─► the mark moves on, the copy goes
//! ```
//!
//! Who changes an entry need not know who has a copy. The server tells every writer's changes
//! ([`tracking`](crate::store::Tracking)), and this process's own changes mark the entry before they
//! are sent and again when they are confirmed. A change that overtakes the reply to a `GET` has moved
//! the mark on, so the old reply is not kept.
//!
//! A copy may be served only within a bound of the last proof that everything was told: see
//! [`Near::confirmed`]. Without proof, as after a broken connection or in a process that was
//! stopped, nothing is served and nothing is kept.

mod copy;
mod heads;
mod name;
mod rule;
mod ticks;
mod upkeep;

use std::fmt;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::SeqCst};
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache as Kept;

use self::copy::{AnyValue, Copy, Evicted, Tagged, Weight};
use self::heads::Heads;
use self::name::Name;
pub(crate) use self::name::{Named, Numbered, Text};
pub(crate) use self::rule::NearRule;
pub use self::rule::NearValue;
use self::ticks::Ticks;
use self::upkeep::Upkeep;
use crate::broken::{Broken, Rule};
use crate::key::{Key, Template};
use crate::place::Place;
use crate::store::Told;

/// How many entries share a mark. A change of one of them keeps what is being read of the others
/// from being kept, once.
const STRIPES: usize = 1 << 12;

/// What a copy weighs beside its key and its encoded value, in bytes, about: with 200,000 copies of
/// 64-byte texts a process grew by 225 each, and by more where memory was in use before.
const OVERHEAD: u64 = 240;

/// Weight of a typical copy, to choose the size of tables by.
const TYPICAL: u64 = 512;

/// The values that this process has copies of.
pub(crate) struct Near {
    kept: Kept<Name, Copy, Weight, RandomState, Evicted>,
    hasher: RandomState,
    /// Those by whose numbers copies are kept; no two render alike.
    templates: RwLock<Vec<&'static Template>>,
    /// The marks of entries.
    marks: Box<[Mutex<u64>]>,
    /// The marks of tags, which copies are compared with.
    tag_marks: Box<[AtomicU64]>,
    /// Moves on when everything may have changed.
    epoch: AtomicU64,
    /// Until when everything is known to be told, in ticks; 0: not at all.
    proven: AtomicU64,
    /// When the server was last asked for a proof that came, in ticks.
    asked: AtomicU64,
    lag: Duration,
    /// What all keys begin with.
    head: String,
    /// What those of tags begin with.
    tag_head: String,
    heads: Heads,
    upkeep: Upkeep,
    pub(crate) broken: Broken,
}

/// The one that keeps the near cache going. Dropped, nothing is kept any more.
#[derive(Debug)]
pub(crate) struct NearHandle(pub(crate) Arc<Near>);

impl Deref for NearHandle {
    type Target = Arc<Near>;

    fn deref(&self) -> &Arc<Near> {
        &self.0
    }
}

impl Drop for NearHandle {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The marks of an entry and its tags from before it was read.
#[derive(Debug, Clone)]
pub(crate) struct Filling {
    /// What the function finds a copy by, if not by the text of its key.
    numbered: Option<Numbered>,
    epoch: u64,
    mark: u64,
    tagged: Option<Arc<Tagged>>,
    /// When it was asked for, in ticks.
    asked: u64,
    /// For how much longer it was fresh then.
    left: Duration,
}

impl Filling {
    /// The value is fresh for this much longer.
    pub(crate) fn is_fresh_for(&mut self, left: Duration) {
        self.left = left;
    }
}

impl Near {
    /// Copies of about so many bytes at most, each served for at most `lag` after it was changed
    /// elsewhere. All keys begin with `head`, and those of tags with `tag_head`.
    pub(crate) fn new(capacity: u64, lag: Duration, head: String, tag_head: String) -> Arc<Self> {
        let items = usize::try_from(capacity / TYPICAL).unwrap_or(usize::MAX);
        let hasher = RandomState::default();
        Arc::new(Self {
            kept: Kept::with(items.max(1), capacity, Weight, hasher.clone(), Evicted),
            hasher,
            templates: RwLock::default(),
            marks: (0..STRIPES).map(|_| Mutex::new(0)).collect(),
            tag_marks: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            epoch: AtomicU64::new(0),
            proven: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            lag,
            head,
            tag_head,
            heads: Heads::default(),
            upkeep: Upkeep::default(),
            broken: Broken::default(),
        })
    }

    /// The value of this name, if there is a copy that may be served, whose tags are the right ones.
    #[inline]
    pub(crate) fn get<V>(
        &self,
        name: &impl Named,
        right: impl FnOnce(&[Key]) -> bool,
        rule: &NearRule<V>,
    ) -> Option<V> {
        let ticks = Ticks::get()?;
        let now = ticks.now();
        // Before the look-up: a proof says nothing of a copy that was found before it, and may have
        // gone since.
        if !self.is_proven(now) {
            return None;
        }
        let copy = self.kept.get(name)?;
        let usable = now < copy.until
            // Functions that share entries may keep them for different times.
            && now.saturating_sub(copy.since) < ticks.within(rule.ttl)
            && copy.epoch == self.epoch.load(SeqCst)
            && right(copy.tags())
            && copy.tagged.as_ref().is_none_or(|tagged| self.is_current(tagged));
        usable.then(|| (rule.take)(copy.value)).flatten()
    }

    fn is_current(&self, tagged: &Tagged) -> bool {
        let mut marks = tagged.tags.iter().zip(&tagged.marks);
        marks.all(|(tag, mark)| self.tag_mark(tag).load(SeqCst) == *mark)
    }

    /// Notes the marks of an entry that is about to be read, for a function that finds its copies by
    /// this; none if it cannot be kept.
    pub(crate) fn begin(&self, place: &Place, numbered: Option<Numbered>) -> Option<Filling> {
        // First of all: after a loss, whoever sees this epoch sees that nothing is proven.
        let epoch = self.epoch.load(SeqCst);
        let asked = Ticks::get()?.now();
        let tracked = self.heads.are_tracked(&place.key, &place.tags);
        if !tracked || !self.is_proven(asked) {
            return None;
        }
        let marks = place.tags.iter().map(|tag| self.tag_mark(tag).load(SeqCst));
        let marks: Box<_> = marks.collect();
        Some(Filling {
            numbered,
            epoch,
            mark: *self.mark(place.key.as_str()).lock(),
            tagged: (!marks.is_empty()).then(|| {
                let tags = place.tags.clone();
                Arc::new(Tagged { tags, marks })
            }),
            asked,
            left: Duration::ZERO,
        })
    }

    /// Keeps a copy if the epoch and the mark are what they were before it was read.
    fn fill(&self, place: &Place, filling: Filling, value: AnyValue, bytes: usize) {
        let Some(ticks) = Ticks::get() else {
            return;
        };
        let copy = Copy {
            value,
            since: filling.asked,
            until: filling.asked.saturating_add(ticks.of(filling.left)),
            epoch: filling.epoch,
            weight: bytes as u64 + OVERHEAD,
            tagged: filling.tagged,
        };
        let name = self.name(&place.key, filling.numbered);
        // Until it is kept: a change must find it.
        let mark = self.mark(place.key.as_str()).lock();
        let unchanged = *mark == filling.mark && self.epoch.load(SeqCst) == copy.epoch;
        let evicted = unchanged.then(|| self.kept.insert_with_lifecycle(name, copy));
        // Not under a lock: a value's `Drop` may be anything.
        drop(mark);
        drop(evicted);
    }

    /// What a copy is kept under: this, if the key has nothing else in it.
    fn name(&self, key: &Key, numbered: Option<Numbered>) -> Name {
        let numbered = numbered.filter(|numbered| numbered.is_of(&self.head, key.as_str()));
        let Some(numbered) = numbered else {
            return Name::Text(key.clone());
        };
        let template = numbered.template();
        let known = |known: &&Template| known.renders_like(template);
        if !self.templates.read().iter().any(known) {
            let mut templates = self.templates.write();
            if !templates.iter().any(known) {
                templates.push(template);
            }
        }
        Name::Numbered(numbered)
    }

    /// Removes the copies of an entry, whatever they are kept under.
    fn remove(&self, key: &str) -> Vec<(Name, Copy)> {
        let templates = self.templates.read();
        let numbered = templates
            .iter()
            .filter_map(|template| Numbered::read(template, &self.head, key))
            .filter_map(|numbered| self.kept.remove(&numbered));
        numbered.chain(self.kept.remove(&Text(key))).collect()
    }

    /// An entry may have changed: what is being read of it is not kept, and its copy goes. Or a tag
    /// may have been invalidated: the copies with it are of no use any more.
    pub(crate) fn changed(&self, key: &str) {
        if self.broken.has(Rule::Near) {
            return;
        }
        if key.starts_with(&self.tag_head) {
            self.tag_mark_of(key).fetch_add(1, SeqCst);
            return;
        }
        let mut mark = self.mark(key).lock();
        *mark += 1;
        let removed = self.remove(key);
        drop(mark);
        drop(removed);
    }

    /// What the server tells.
    fn hear(&self, told: Told) {
        match told {
            // Keys are text: what is none is nobody's.
            Told::Changed(keys) => keys
                .iter()
                .filter_map(|key| std::str::from_utf8(key).ok())
                .for_each(|key| self.changed(key)),
            Told::Everything => self.all_changed(),
            Told::Lost => self.lost(),
        }
    }

    /// Anything may have changed.
    pub(crate) fn all_changed(&self) {
        self.epoch.fetch_add(1, SeqCst);
        // One by one, not under a lock: a value's `Drop` may be anything.
        self.kept.drain().for_each(drop);
    }

    /// Nothing is told any more.
    pub(crate) fn lost(&self) {
        if self.broken.has(Rule::Loss) {
            return;
        }
        self.proven.store(0, SeqCst);
        self.all_changed();
    }

    /// Everything that changed before this moment has been told.
    ///
    /// The server answers a `PING` on the connection on which it tells of changes, in order: who
    /// has worked through the answer has worked through the changes before it.
    pub(crate) fn confirmed(&self, at: u64) {
        let Some(ticks) = Ticks::get() else {
            return;
        };
        if self.asked.swap(at, SeqCst) > at {
            // The counter was set back: what is kept was to end at times that are far off now.
            self.all_changed();
        }
        let until = match self.broken.has(Rule::Proof) {
            true => u64::MAX,
            false => at.saturating_add(ticks.of(self.lag)),
        };
        self.proven.store(until, SeqCst);
    }

    /// How many copies there are.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What they weigh, in bytes, about.
    pub(crate) fn weight(&self) -> u64 {
        self.kept.weight()
    }

    /// Nothing is kept from now on, and nothing served.
    pub(crate) fn stop(&self) {
        self.upkeep.stop();
        self.lost();
    }

    #[inline]
    fn is_proven(&self, now: u64) -> bool {
        // Whoever sees the proof sees what was told before it.
        now < self.proven.load(Acquire)
    }

    fn mark(&self, key: &str) -> &Mutex<u64> {
        #[expect(
            clippy::indexing_slicing,
            reason = "a stripe is less than their number"
        )]
        &self.marks[self.stripe(key)]
    }

    fn tag_mark(&self, tag: &Key) -> &AtomicU64 {
        self.tag_mark_of(tag.as_str())
    }

    fn tag_mark_of(&self, tag: &str) -> &AtomicU64 {
        #[expect(
            clippy::indexing_slicing,
            reason = "a stripe is less than their number"
        )]
        &self.tag_marks[self.stripe(tag)]
    }

    fn stripe(&self, key: &str) -> usize {
        self.hasher.hash_one(key) as usize % STRIPES
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near")
            .field("copies", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Weak, mpsc};
    use std::thread;

    use super::*;
    use crate::codec::TypeIdentity;

    const LAG: Duration = Duration::from_secs(30);

    fn rule() -> NearRule<u64> {
        NearRule::cloned(Duration::MAX)
    }

    fn place(text: &str, tags: &[&str]) -> Place {
        Place {
            key: Key::raw("ns", text),
            identity: TypeIdentity::from_u64(1),
            tags: tags
                .iter()
                .map(|tag| Key::raw("ns", &format!("%tag:{tag}")))
                .collect(),
        }
    }

    /// A cache to which everything is told.
    fn near() -> Arc<Near> {
        let near = Near::new(1 << 20, LAG, "ns:".to_owned(), "ns:%tag:".to_owned());
        near.heads.add("ns:");
        near.heads.tracked(Some(1));
        near.confirmed(Ticks::start().now());
        near
    }

    /// The last proof serves no more.
    fn outlive_proof(near: &Near) {
        near.proven.store(Ticks::start().now(), SeqCst);
    }

    fn begin(near: &Near, place: &Place) -> Option<Filling> {
        let mut filling = near.begin(place, None)?;
        filling.is_fresh_for(LAG);
        Some(filling)
    }

    fn read(near: &Near, place: &Place) -> Option<u64> {
        near.get(
            &Text(place.key.as_str()),
            |tags| *tags == *place.tags,
            &rule(),
        )
    }

    fn keep(near: &Near, place: &Place, filling: Filling, value: u64) {
        rule().keep(near, place, filling, &value, 8);
    }

    #[test]
    fn what_was_read_is_kept_until_it_changes() {
        let (near, one, two) = (near(), place("1", &[]), place("2", &[]));
        for (place, value) in [(&one, 1), (&two, 2)] {
            keep(&near, place, begin(&near, place).expect("tracked"), value);
        }
        assert_eq!((read(&near, &one), read(&near, &two)), (Some(1), Some(2)));
        near.changed("ns:1");
        assert_eq!((read(&near, &one), read(&near, &two)), (None, Some(2)));
        near.all_changed();
        assert_eq!(read(&near, &two), None);
        assert_eq!(near.len(), 0);
    }

    /// A value that looks at the copies when it goes.
    struct Nosy(Weak<Near>);

    impl Drop for Nosy {
        fn drop(&mut self) {
            if let Some(near) = self.0.upgrade() {
                near.all_changed();
            }
        }
    }

    #[test]
    fn a_value_may_do_anything_when_it_goes() {
        let (done, ended) = mpsc::channel();
        thread::spawn(move || {
            let near = near();
            for text in ["1", "2", "3"] {
                let (place, nosy) = (place(text, &[]), Nosy(Arc::downgrade(&near)));
                let filling = begin(&near, &place).expect("tracked");
                near.fill(&place, filling, Arc::new(nosy), 8);
            }
            assert_eq!(near.len(), 3);
            near.lost();
            done.send(near.len()).expect("somebody waits");
        });
        let patience = Duration::from_secs(60);
        assert_eq!(ended.recv_timeout(patience), Ok(0));
    }

    #[test]
    fn a_change_finds_the_copies_of_an_entry_whatever_they_are_kept_under() {
        static BOOK: Template = Template::new("{shelf}:{book}");
        static SAME: Template = Template::new("{s}:{b}");
        let (near, place) = (near(), place("7:1", &[]));
        let book = Numbered::new(&BOOK, [7, 1]);
        let keep = |numbered| {
            let mut filling = near.begin(&place, numbered).expect("tracked");
            filling.is_fresh_for(LAG);
            rule().keep(&near, &place, filling, &1, 8);
        };
        keep(Some(book));
        keep(None);
        let copies = || {
            let named = |name| near.get(&name, |_| true, &rule());
            let numbers = [[7, 1], [1, 7]].map(|numbers| named(Numbered::new(&SAME, numbers)));
            (numbers, read(&near, &place))
        };
        assert_eq!(copies(), ([Some(1), None], Some(1)));
        near.changed("ns:1:7");
        assert_eq!(copies(), ([Some(1), None], Some(1)));
        near.changed("ns:7:1");
        assert_eq!(copies(), ([None, None], None));
        keep(Some(Numbered::new(&BOOK, [1, 7])));
        assert_eq!(copies(), ([None, None], Some(1)), "the key says otherwise");
        assert_eq!(near.templates.read().len(), 1);
    }

    #[test]
    fn a_change_that_overtakes_the_reply_wins() {
        let (near, place) = (near(), place("1", &["a"]));
        type Change = fn(&Near);
        let changes: [Change; 3] = [
            |near| near.changed("ns:1"),
            Near::all_changed,
            |near| near.changed("ns:%tag:a"),
        ];
        for change in changes {
            let filling = begin(&near, &place).expect("tracked");
            change(&near);
            keep(&near, &place, filling, 1);
            assert_eq!(read(&near, &place), None);
            keep(&near, &place, begin(&near, &place).expect("tracked"), 2);
            assert_eq!(read(&near, &place), Some(2));
        }
    }

    #[test]
    fn a_connection_that_comes_back_does_not_revive_what_was_read_before() {
        let (near, place) = (near(), place("1", &[]));
        keep(&near, &place, begin(&near, &place).expect("tracked"), 1);
        let filling = begin(&near, &place).expect("tracked");
        near.lost();
        assert_eq!(read(&near, &place), None);
        assert!(near.begin(&place, None).is_none());
        near.confirmed(Ticks::start().now());
        assert_eq!(read(&near, &place), None);
        keep(&near, &place, filling, 1);
        assert_eq!(read(&near, &place), None);
    }

    #[test]
    fn a_copy_serves_within_the_lag_of_the_last_proof() {
        let (near, place) = (near(), place("1", &[]));
        keep(&near, &place, begin(&near, &place).expect("tracked"), 1);
        outlive_proof(&near);
        assert_eq!(read(&near, &place), None);
        assert!(near.begin(&place, None).is_none());
        near.confirmed(Ticks::start().now());
        assert_eq!(read(&near, &place), Some(1), "nothing has changed");
    }

    #[test]
    fn a_counter_that_was_set_back_ends_all_copies() {
        let (near, place) = (near(), place("1", &[]));
        keep(&near, &place, begin(&near, &place).expect("tracked"), 1);
        near.asked.store(u64::MAX, SeqCst);
        near.confirmed(Ticks::start().now());
        assert_eq!(read(&near, &place), None);
        keep(&near, &place, begin(&near, &place).expect("tracked"), 2);
        near.confirmed(Ticks::start().now());
        assert_eq!(read(&near, &place), Some(2));
    }

    /// First there is a copy and no proof, then a proof and no copy: whoever reads across the two
    /// must not take one of each.
    #[test]
    fn a_proof_is_not_for_what_was_looked_up_before_it() {
        const ROUNDS: usize = 200;
        let place = place("1", &[]);
        for _ in 0..ROUNDS {
            let near = near();
            let filling = begin(&near, &place).expect("tracked");
            outlive_proof(&near);
            keep(&near, &place, filling, 1);
            let (reads, over) = (AtomicU64::new(0), AtomicU64::new(0));
            thread::scope(|scope| {
                scope.spawn(|| {
                    while over.load(SeqCst) == 0 {
                        assert_eq!(read(&near, &place), None);
                        reads.fetch_add(1, SeqCst);
                    }
                });
                while reads.load(SeqCst) < 10 {
                    thread::yield_now();
                }
                near.changed("ns:1");
                near.confirmed(Ticks::start().now());
                over.store(1, SeqCst);
            });
        }
    }

    #[test]
    fn a_copy_serves_for_its_time_under_its_tags_and_as_its_type() {
        let (near, one) = (near(), place("1", &["a", "b"]));
        let mut filling = near.begin(&one, None).expect("tracked");
        filling.is_fresh_for(Duration::ZERO);
        keep(&near, &one, filling, 1);
        assert_eq!(read(&near, &one), None);
        keep(&near, &one, begin(&near, &one).expect("tracked"), 1);
        let briefly = NearRule::<u64>::cloned(Duration::ZERO);
        assert_eq!(near.get(&Text("ns:1"), |_| true, &briefly), None);
        assert_eq!(read(&near, &place("1", &["a"])), None);
        assert_eq!(read(&near, &place("1", &["b", "a"])), None);
        let shared = NearRule::<Arc<u64>>::shared(Duration::MAX);
        assert_eq!(near.get(&Text("ns:1"), |_| true, &shared), None);
        let text = NearRule::<String>::cloned(Duration::MAX);
        assert_eq!(near.get(&Text("ns:1"), |_| true, &text), None);
        assert_eq!(read(&near, &one), Some(1));
    }

    #[test]
    fn what_nobody_tells_of_is_not_kept() {
        let near = near();
        let elsewhere = Place {
            key: Key::raw("other", "1"),
            ..place("1", &[])
        };
        assert!(near.begin(&elsewhere, None).is_none());
        near.heads.tracked(None);
        assert!(near.begin(&place("1", &[]), None).is_none());
    }

    #[test]
    fn copies_stay_within_their_room_and_those_in_use_stay() {
        let near = near();
        let hot: Vec<_> = (0..100).map(|n| place(&format!("hot:{n}"), &[])).collect();
        for round in 0..3 {
            for place in &hot {
                if read(&near, place).is_none() {
                    assert_eq!(round, 0);
                    keep(&near, place, begin(&near, place).expect("tracked"), 1);
                }
            }
        }
        let mut missed = 0;
        for n in 0..100_000 {
            let scanned = place(&format!("scan:{n}"), &[]);
            keep(&near, &scanned, begin(&near, &scanned).expect("tracked"), 1);
            if n % 50 == 0 {
                for place in &hot {
                    missed += u32::from(read(&near, place).is_none());
                }
            }
            assert!(near.weight() <= 1 << 20);
        }
        assert!(
            missed <= 10_000,
            "{missed} of 200,000 reads of the hot set missed"
        );
    }
}
