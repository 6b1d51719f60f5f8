//! Counters per annotated function.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use super::{Event, Miss, NotStored, Outcome};
use crate::envelope::Rejected;
use crate::error::StoreErrorKind;
use crate::site::Site;

/// A snapshot of a cache's counters; see [`Cache::stats`](crate::Cache::stats).
///
/// Its `Display` is a table, one line per function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// One row per annotated function that was called through this cache.
    pub functions: Vec<FunctionStats>,
    /// Deletions that wait to be confirmed by the store; see the failure contract.
    pub unconfirmed: usize,
    /// Copies in this process, of functions with `near`.
    pub copies: usize,
    /// What they weigh together, in bytes, about.
    pub copied_bytes: u64,
}

impl Stats {
    /// The row of `function`, by its path or the end of it (`"shop::get_user"`, `"get_user"`).
    #[must_use]
    pub fn function(&self, function: &str) -> Option<&FunctionStats> {
        self.functions.iter().find(|row| {
            row.function
                .strip_suffix(function)
                .is_some_and(|head| head.is_empty() || head.ends_with("::"))
        })
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one annotated function since the process started.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct FunctionStats {
            /// Its path. A generic function is one function, named after its first call's types.
            pub function: String,
            $($(#[$doc])* pub $name: u64,)*
        }

        /// What some of the threads count, on cache lines of their own.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        struct Counters {
            $($name: AtomicU64,)*
        }

        impl Counters {
            fn add_to(&self, stats: &mut FunctionStats) {
                $(stats.$name += self.$name.load(Relaxed);)*
            }
        }
    };
}

counters! {
    /// Calls that ended.
    calls,
    /// Calls served from the store.
    hits,
    /// Calls served from copies in this process.
    near,
    /// Calls served an old value, while a load replaces it or because the load failed.
    stale,
    /// Loads in the background.
    refreshes,
    /// Calls served by another caller's load.
    joined,
    /// Runs of the origin, bypassed calls included.
    loads,
    /// Values stored.
    stored,
    /// Calls that did not ask the cache.
    bypassed,
    /// Look-ups that found no entry, or one without a value.
    absent,
    /// Look-ups that found a value too old to be served.
    expired,
    /// Look-ups that found a value one of whose tags was invalidated.
    tag_invalidated,
    /// Look-ups that found an entry of another type, or of this type under another layout.
    other_type,
    /// Look-ups that found something that is not an intact entry of this key: garbage, truncated,
    /// foreign, of a future format.
    rejected,
    /// Look-ups that the store did not answer, or whose answer an unconfirmed invalidation hides.
    unanswered,
    /// Loads that failed.
    failed,
    /// Loaded values that were not cacheable: `None`, `cache_if`, no time to live.
    declined,
    /// Loaded values over the size limit.
    too_large,
    /// Loaded values that would not read back.
    refused,
    /// Loaded values dropped because the entry was invalidated meanwhile.
    fenced,
    /// Loaded values that were not stored because another caller had the lease.
    outpaced,
    /// Loaded values that the store did not take.
    unfilled,
    /// Store operations that ran out of the call's budget.
    timeouts,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<40} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
            "function",
            "calls",
            "hits",
            "near",
            "stale",
            "joined",
            "loads",
            "failed",
            "stored",
            "unanswered"
        )?;
        for row in &self.functions {
            writeln!(
                f,
                "{:<40} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
                row.function,
                row.calls,
                row.hits,
                row.near,
                row.stale,
                row.joined,
                row.loads,
                row.failed,
                row.stored,
                row.unanswered
            )?;
        }
        Ok(())
    }
}

/// The counters of all functions called through one cache, by the numbers of their sites.
///
/// A call reads it without a lock, and without counting references: both would be written by all
/// threads at once.
#[derive(Debug)]
pub(crate) struct StatsTable {
    // Each twice as long as the one before, and made when the first of its sites is called.
    segments: [OnceLock<Box<[OnceLock<SiteStats>]>>; SEGMENTS],
}

/// The sites of the first segment.
const FIRST: usize = 32;
/// Enough for hundreds of millions; any more would share the last place.
const SEGMENTS: usize = 24;

impl Default for StatsTable {
    fn default() -> Self {
        Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
        }
    }
}

impl StatsTable {
    /// The counters of `site`; `scope` names it if it is new here.
    #[inline]
    pub(crate) fn of(&self, site: &Site, scope: &str) -> &SiteStats {
        let (segment, at) = place(site.id());
        let segment = self.segments.get(segment).and_then(OnceLock::get);
        let known = segment.and_then(|segment| segment.get(at)?.get());
        known.unwrap_or_else(|| self.add(site, scope))
    }

    #[cold]
    fn add(&self, site: &Site, scope: &str) -> &SiteStats {
        let place = self.place(site.id());
        let new = SiteStats::new(site, scope);
        self.rows().for_each(|other| new.compare(other));
        place.get_or_init(|| new)
    }

    /// The counters of the site of this number, which was asked for with [`of`](Self::of) before.
    pub(crate) fn at(&self, site: usize) -> &SiteStats {
        self.place(site).get_or_init(SiteStats::unknown)
    }

    pub(crate) fn read(&self) -> Vec<FunctionStats> {
        let rows = self.rows();
        rows.map(SiteStats::read).collect()
    }

    fn rows(&self) -> impl Iterator<Item = &SiteStats> {
        let segments = self.segments.iter().filter_map(OnceLock::get);
        segments.flatten().filter_map(OnceLock::get)
    }

    fn place(&self, site: usize) -> &OnceLock<SiteStats> {
        let (segment, at) = place(site);
        let empty = || (0..FIRST << segment).map(|_| OnceLock::new()).collect();
        #[expect(
            clippy::indexing_slicing,
            reason = "a segment begins where those before it end, and the last one ends with `most`"
        )]
        &self.segments[segment].get_or_init(empty)[at]
    }
}

/// The segment that the site of this number is in, and where it is in there.
#[inline]
fn place(site: usize) -> (usize, usize) {
    let most = FIRST * ((1 << SEGMENTS) - 1) - 1;
    let site = site.min(most);
    let segment = (site / FIRST + 1).ilog2() as usize;
    (segment, site - FIRST * ((1 << segment) - 1))
}

/// Every call is counted, and processors that count at the same place wait for each other.
const STRIPES: usize = 8;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Threads that run at the same time mostly count at different places.
    static STRIPE: usize = THREADS.fetch_add(1, Relaxed);
}

/// The counters of one annotated function in one cache, and what it has been warned of.
#[derive(Debug)]
pub(crate) struct SiteStats {
    name: String,
    place: &'static Location<'static>,
    template: &'static str,
    counters: Box<[Counters; STRIPES]>,
    warned: Mutex<HashSet<Advice>>,
}

/// What is said once per function, with what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Advice {
    TooLarge,
    Refused,
    Unsupported,
    OtherType,
    Store(StoreErrorKind),
    Failing,
    Template,
}

impl SiteStats {
    /// Of a site that nobody has named.
    fn unknown() -> Self {
        Self {
            name: String::new(),
            place: Location::caller(),
            template: "",
            counters: Box::default(),
            warned: Mutex::default(),
        }
    }

    fn new(site: &Site, scope: &str) -> Self {
        Self {
            name: site.path(scope),
            place: site.place(),
            template: site.template().text(),
            counters: Box::default(),
            warned: Mutex::default(),
        }
    }

    /// Warns of another function whose keys look the same although its arguments mean something
    /// else. The same template twice is meant: such functions share their entries.
    fn compare(&self, other: &Self) {
        let alike = !self.template.is_empty()
            && self.template != other.template
            && unnamed(self.template) == unnamed(other.template);
        if alike {
            self.advise(Advice::Template, || {
                format!(
                    "the key template `{}` of {} ({}) renders the same keys: the two functions \
                     read each other's entries; give one of them another template",
                    other.template, other.name, other.place
                )
            });
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Those of this thread.
    #[inline]
    fn counters(&self) -> &Counters {
        #[expect(clippy::indexing_slicing, reason = "a stripe is one of them")]
        &self.counters[STRIPE.with(|stripe| *stripe) % STRIPES]
    }

    fn read(&self) -> FunctionStats {
        let mut stats = FunctionStats {
            function: self.name.clone(),
            ..FunctionStats::default()
        };
        let counters = self.counters.iter();
        counters.for_each(|counters| counters.add_to(&mut stats));
        // A hit is counted once.
        stats.calls += stats.hits + stats.near;
        stats
    }

    /// A call ended with a copy.
    #[inline]
    pub(crate) fn served_nearby(&self) {
        add(&self.counters().near);
    }

    pub(crate) fn count(&self, event: Event) {
        let c = self.counters();
        match event {
            Event::Load => add(&c.loads),
            Event::Filled => add(&c.stored),
            Event::Detached => add(&c.refreshes),
            Event::Failed => add(&c.failed),
            Event::Leased | Event::Waited | Event::GaveUp => {}
            Event::Missed(miss) => match miss {
                Miss::Absent | Miss::Rejected(Rejected::NoValue) => add(&c.absent),
                Miss::Expired => add(&c.expired),
                Miss::TagInvalidated => add(&c.tag_invalidated),
                Miss::Undecodable | Miss::Rejected(Rejected::OtherType) => add(&c.other_type),
                Miss::Rejected(_) => add(&c.rejected),
                Miss::Unconfirmed => add(&c.unanswered),
                Miss::Store(kind) => {
                    add(&c.unanswered);
                    self.count_timeout(kind);
                }
            },
            Event::Ended(outcome) => {
                match outcome {
                    Outcome::Hit => return add(&c.hits),
                    Outcome::Near => return self.served_nearby(),
                    _ => add(&c.calls),
                }
                match outcome {
                    Outcome::Hit | Outcome::Near => {}
                    Outcome::Stale | Outcome::StaleIfError => add(&c.stale),
                    Outcome::Joined => add(&c.joined),
                    Outcome::Loaded | Outcome::NotCalled => {}
                    Outcome::Bypassed(_) => add(&c.bypassed),
                    Outcome::NotStored(reason) => match reason {
                        NotStored::Failed => add(&c.failed),
                        NotStored::None | NotStored::Declined | NotStored::NoTtl => {
                            add(&c.declined);
                        }
                        NotStored::TooLarge => add(&c.too_large),
                        NotStored::Refused => add(&c.refused),
                        NotStored::Fenced => add(&c.fenced),
                        NotStored::Leased => add(&c.outpaced),
                        NotStored::Unconfirmed => add(&c.unfilled),
                        NotStored::Store(kind) => {
                            add(&c.unfilled);
                            self.count_timeout(kind);
                        }
                    },
                }
            }
        }
    }

    fn count_timeout(&self, kind: StoreErrorKind) {
        if kind == StoreErrorKind::Timeout {
            add(&self.counters().timeouts);
        }
    }

    /// Says `text` once per function and kind of advice.
    pub(crate) fn advise(&self, advice: Advice, text: impl FnOnce() -> String) {
        if self.warned.lock().insert(advice) {
            tracing::warn!(
                target: "cache",
                function = self.name,
                at = %self.place,
                key = self.template,
                "{}", text()
            );
        }
    }
}

/// The template without what its placeholders are called.
fn unnamed(template: &str) -> String {
    let mut depth = 0_u32;
    let mut unnamed = String::with_capacity(template.len());
    for character in template.chars() {
        depth += u32::from(character == '{');
        if depth == 0 || "{}".contains(character) {
            unnamed.push(character);
        }
        depth = depth.saturating_sub(u32::from(character == '}'));
    }
    unnamed
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_whole_segments_of_its_path() {
        let row = |function: &str| FunctionStats {
            function: function.into(),
            ..FunctionStats::default()
        };
        let stats = Stats {
            functions: vec![row("shop::forget_user"), row("shop::get_user")],
            ..Stats::default()
        };
        let found = stats.function("get_user").map(|row| row.function.as_str());
        assert_eq!(found, Some("shop::get_user"));
        assert_eq!(stats.function("user"), None);
    }

    #[test]
    fn every_event_lands_in_its_counter() {
        let table = StatsTable::default();
        let site = Site::new("count", "");
        let stats = table.of(&site, "m::count::{{closure}}");
        for event in [
            Event::Missed(Miss::Absent),
            Event::Missed(Miss::Rejected(Rejected::OtherType)),
            Event::Missed(Miss::Rejected(Rejected::Corrupt)),
            Event::Missed(Miss::Store(StoreErrorKind::Timeout)),
            Event::Load,
            Event::Filled,
            Event::Ended(Outcome::Hit),
            Event::Ended(Outcome::NotStored(NotStored::TooLarge)),
        ] {
            stats.count(event);
        }
        let rows = table.read();
        let row = rows.first().expect("one row");
        assert_eq!((row.calls, row.hits, row.loads, row.stored), (2, 1, 1, 1));
        assert_eq!((row.absent, row.other_type, row.rejected), (1, 1, 1));
        assert_eq!((row.unanswered, row.timeouts, row.too_large), (1, 1, 1));
    }

    #[test]
    fn what_threads_count_apart_adds_up() {
        let table = StatsTable::default();
        let site = Site::new("count", "");
        let stats = table.of(&site, "m::count::{{closure}}");
        let counters = || std::ptr::from_ref(stats.counters()).addr();
        let places = std::thread::scope(|scope| {
            let threads = [(); 2 * STRIPES].map(|()| {
                scope.spawn(|| {
                    stats.count(Event::Ended(Outcome::Hit));
                    stats.served_nearby();
                    counters()
                })
            });
            threads.map(|thread| thread.join().expect("counted"))
        });
        let places: HashSet<_> = places.into_iter().collect();
        assert!(places.len() > 1, "they count apart");
        let rows = table.read();
        let row = rows.first().expect("one row");
        let each = 2 * STRIPES as u64;
        assert_eq!((row.calls, row.hits, row.near), (2 * each, each, each));
    }

    #[test]
    fn every_site_has_a_place_of_its_own() {
        let table = StatsTable::default();
        let address = |site| std::ptr::from_ref(table.place(site)).addr();
        let places: HashSet<usize> = (0..5_000).map(address).collect();
        assert_eq!(places.len(), 5_000);
        assert_eq!(address(77), address(77));
    }
}
