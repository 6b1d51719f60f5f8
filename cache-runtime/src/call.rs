//! What concerns one call wraps the call: [`outcome`], [`outcomes`], [`refresh`], [`uncached`].
//!
//! A wrapper leaves a [`Control`] in reach of the thread while it polls what it wraps; the first
//! annotated call inside picks it up. So the wrappers need no generated code, and nest.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, ready};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use pin_project_lite::pin_project;

use crate::key::Key;
use crate::observe::{Event, Outcome, Outcomes};

/// The call's value together with how it was served.
///
/// Acts on the first annotated call inside `call`, in the same task: a call behind
/// `tokio::spawn` is not seen. If none runs, the outcome is [`Outcome::NotCalled`]; of a batch it is
/// that of the id that was served last.
/// Cancellation: as `call` itself.
///
/// ```
/// use cache_runtime::{Cache, Outcome, cached, outcome};
///
/// #[cached(ttl = 300, key = "square:{n}")]
/// async fn square(n: u64) -> u64 {
///     n * n
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # Cache::memory().scope(async {
/// assert_eq!(outcome(square(7)).await, (49, Outcome::Loaded));
/// assert_eq!(outcome(square(7)).await, (49, Outcome::Hit));
/// # }).await }
/// ```
pub fn outcome<F: Future>(call: F) -> impl Future<Output = (F::Output, Outcome)> {
    Wrapped::new(call, Mode::Cached, |output, control| {
        (output, control.outcome())
    })
}

/// The value of a batch together with how each id was served, by the key of its entry.
///
/// Acts on the first annotated call inside `call`, in the same task; of a function for one id the
/// outcomes are one. Ids that differ and share a key share an outcome. Ids have none that `bypass_if` sends
/// past the cache, and that were waiting for somebody else's load when the batch failed. Cancellation: as
/// `call` itself.
///
/// ```
/// use std::collections::HashMap;
/// use cache_runtime::{Cache, Outcome, cached, outcomes};
///
/// #[cached(ttl = 300, key = "square:{n}", each(n in numbers))]
/// async fn squares(numbers: &[u64]) -> HashMap<u64, u64> {
///     numbers.iter().map(|n| (*n, n * n)).collect()
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # Cache::memory().scope(async {
/// squares(&[7]).await;
/// let (values, how) = outcomes(squares(&[7, 8])).await;
/// assert_eq!((values[&7], values[&8]), (49, 64));
/// assert_eq!(how.of(squares_entry(7).key()), Some(Outcome::Hit));
/// assert_eq!(how.of(squares_entry(8).key()), Some(Outcome::Loaded));
/// assert_eq!(how.count(Outcome::Hit), 1);
/// # }).await }
/// ```
pub fn outcomes<F: Future>(call: F) -> impl Future<Output = (F::Output, Outcomes)> {
    Wrapped::new(call, Mode::Cached, |output, control| {
        (output, control.outcomes())
    })
}

/// How each id of a call was served, and the last of them.
pub(crate) fn how_it_went<F: Future>(call: F) -> impl Future<Output = (Outcomes, Outcome)> {
    Wrapped::new(call, Mode::Cached, |_, control| {
        (control.outcomes(), control.outcome())
    })
}

/// Loads now, whatever the store holds, and stores the value.
///
/// Never joins a load that is already under way, but others may join this one. Acts on the first
/// annotated call inside `call`, in the same task. Cancellation: as `call` itself.
///
/// ```
/// use cache_runtime::{Cache, Outcome, cached, outcome, refresh};
///
/// #[cached(ttl = 300, key = "square:{n}")]
/// async fn square(n: u64) -> u64 {
///     n * n
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # Cache::memory().scope(async {
/// square(7).await;
/// assert_eq!(outcome(refresh(square(7))).await, (49, Outcome::Loaded));
/// # }).await }
/// ```
pub fn refresh<F: Future>(call: F) -> impl Future<Output = F::Output> {
    Wrapped::new(call, Mode::Refresh, |output, _| output)
}

/// Goes to the origin: nothing is looked up, nothing is stored.
///
/// Acts on the first annotated call inside `call`, in the same task. Cancellation: as `call`
/// itself.
///
/// ```
/// use cache_runtime::{Bypass, Cache, Outcome, cached, outcome, uncached};
///
/// #[cached(ttl = 300, key = "square:{n}")]
/// async fn square(n: u64) -> u64 {
///     n * n
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # Cache::memory().scope(async {
/// square(7).await;
/// let (value, how) = outcome(uncached(square(7))).await;
/// assert_eq!((value, how), (49, Outcome::Bypassed(Bypass::Uncached)));
/// # }).await }
/// ```
pub fn uncached<F: Future>(call: F) -> impl Future<Output = F::Output> {
    Wrapped::new(call, Mode::Uncached, |output, _| output)
}

/// The call's value together with its events, in their order.
pub fn events<F: Future>(call: F) -> impl Future<Output = (F::Output, Vec<Event>)> {
    Wrapped::new(call, Mode::Cached, |output, control| {
        (output, control.events())
    })
}

/// The value of a batch together with the events of each id, by the key of its entry.
pub fn events_by_key<F: Future>(call: F) -> impl Future<Output = (F::Output, Vec<(Key, Event)>)> {
    Wrapped::new(call, Mode::Cached, |output, control| {
        let told = control.0.events.lock();
        let of_keys = told
            .iter()
            .filter_map(|told| Some((told.key.clone()?, told.event)));
        (output, of_keys.collect())
    })
}

pin_project! {
    /// A wrapped call. The control is made by the first poll, which sees the wrappers around it.
    struct Wrapped<F: Future, T> {
        #[pin]
        call: F,
        mode: Mode,
        control: Option<Control>,
        end: fn(F::Output, &Control) -> T,
    }
}

impl<F: Future, T> Wrapped<F, T> {
    fn new(call: F, mode: Mode, end: fn(F::Output, &Control) -> T) -> Self {
        Self {
            call,
            mode,
            control: None,
            end,
        }
    }
}

impl<F: Future, T> Future for Wrapped<F, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let wrapped = self.project();
        let mode = *wrapped.mode;
        let control = wrapped.control.get_or_insert_with(|| Control::new(mode));
        let restore = Restore::new(&CONTROL, Some(control.clone()));
        let output = ready!(wrapped.call.poll(context));
        drop(restore);
        Poll::Ready((wrapped.end)(output, control))
    }
}

/// What a wrapped call does; the later one is the stronger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Cached,
    Refresh,
    Uncached,
}

/// What the wrappers around one call want of it, and what they learn of it.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mode: Mode,
    taken: AtomicBool,
    events: Mutex<Vec<Told>>,
    // The wrapper around this wrapper.
    outer: Option<Control>,
}

/// An event of the call for a key, if the call has one.
#[derive(Debug, Clone)]
struct Told {
    key: Option<Key>,
    event: Event,
}

impl Control {
    fn new(mode: Mode) -> Self {
        let outer = CONTROL.with_borrow(|outer| outer.clone());
        let outer = outer.filter(|outer| !outer.0.taken.load(SeqCst));
        let mode = outer.as_ref().map_or(mode, |outer| mode.max(outer.0.mode));
        Self::inside(outer, mode)
    }

    /// One that passes on what it learns.
    fn inside(outer: Option<Self>, mode: Mode) -> Self {
        Self(Arc::new(Inner {
            mode,
            taken: AtomicBool::new(false),
            events: Mutex::default(),
            outer,
        }))
    }

    /// The control in reach, if no call has picked it up yet.
    pub(crate) fn take() -> Option<Self> {
        let control = CONTROL.with_borrow(|control| control.clone())?;
        if control.0.taken.swap(true, SeqCst) {
            return None;
        }
        let mut outer = control.0.outer.as_ref();
        while let Some(wrapper) = outer {
            wrapper.0.taken.store(true, SeqCst);
            outer = wrapper.0.outer.as_ref();
        }
        Some(control)
    }

    /// What the control in reach wants, if no call has picked it up yet.
    #[inline]
    pub(crate) fn mode_in_reach() -> Option<Mode> {
        CONTROL.with_borrow(|control| {
            let control = control.as_ref()?;
            (!control.0.taken.load(SeqCst)).then_some(control.0.mode)
        })
    }

    pub(crate) fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Makes one of several calls that are made together: each has a control of its own to pick up,
    /// which passes on what it learns.
    pub(crate) fn part<T>(whole: Option<&Self>, begin: impl FnOnce() -> T) -> T {
        let part = whole.map(|whole| Self::inside(Some(whole.clone()), whole.0.mode));
        let _restore = Restore::new(&CONTROL, part);
        begin()
    }

    pub(crate) fn record(&self, key: Option<&Key>, event: Event) {
        let told = Told {
            key: key.cloned(),
            event,
        };
        if let Some(outer) = &self.0.outer {
            outer.record(key, event);
        }
        self.0.events.lock().push(told);
    }

    fn events(&self) -> Vec<Event> {
        let told = self.0.events.lock();
        told.iter().map(|told| told.event).collect()
    }

    fn outcome(&self) -> Outcome {
        match self.0.events.lock().last().map(|told| told.event) {
            Some(Event::Ended(outcome)) => outcome,
            _ => Outcome::NotCalled,
        }
    }

    fn outcomes(&self) -> Outcomes {
        let told = self.0.events.lock();
        let ended = told
            .iter()
            .filter_map(|told| match (&told.key, told.event) {
                (Some(key), Event::Ended(outcome)) => Some((key.clone(), outcome)),
                _ => None,
            });
        Outcomes::new(ended.collect())
    }
}

/// The entries that the current task is loading, innermost first.
#[derive(Debug, Clone)]
pub(crate) struct Loading(Arc<Loaded>);

/// Tells caches apart: the same key may lie in two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CacheId(pub(crate) usize);

#[derive(Debug)]
struct Loaded {
    /// In order.
    entries: Vec<(CacheId, Key)>,
    outer: Option<Loading>,
}

impl Loading {
    /// The current task is about to load `key`.
    pub(crate) fn new(cache: CacheId, key: Key) -> Self {
        Self(Arc::new(Loaded {
            entries: vec![(cache, key)],
            outer: LOADING.with_borrow(|outer| outer.clone()),
        }))
    }

    /// Whether the current task is loading `key` of this cache already, further out.
    pub(crate) fn is_under_way(cache: CacheId, key: &Key) -> bool {
        LOADING.with_borrow(|innermost| {
            let mut at = innermost.as_ref();
            while let Some(Loading(loading)) = at {
                let sought = |(of, entry): &(CacheId, Key)| (of, entry).cmp(&(&cache, key));
                if loading.entries.binary_search_by(sought).is_ok() {
                    return true;
                }
                at = loading.outer.as_ref();
            }
            false
        })
    }

    /// A run of the origin, with what is to be done meanwhile.
    pub(crate) fn run(self, upkeep: Option<Upkeep>) -> Run {
        Run {
            loading: self,
            upkeep,
        }
    }
}

/// What is done beside the origin for as long as it runs: it renews the lease.
pub(crate) type Upkeep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A run of the origin that is about to begin.
pub(crate) struct Run {
    loading: Loading,
    upkeep: Option<Upkeep>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.loading).finish()
    }
}

impl Run {
    /// One run for several entries; none if there are none.
    pub(crate) fn together(runs: Vec<Self>) -> Option<Self> {
        let Loading(first) = &runs.first()?.loading;
        let outer = first.outer.clone();
        let mut entries = Vec::with_capacity(runs.len());
        let mut upkeep = FuturesUnordered::new();
        for run in runs {
            entries.extend(run.loading.0.entries.iter().cloned());
            upkeep.extend(run.upkeep);
        }
        entries.sort_unstable();
        let loading = Loading(Arc::new(Loaded { entries, outer }));
        let all: Upkeep = Box::pin(async move { while upkeep.next().await.is_some() {} });
        Some(loading.run(Some(all)))
    }

    /// Runs the origin to its end.
    pub(crate) async fn of<R>(
        mut self,
        mut origin: Pin<&mut (dyn Future<Output = R> + Send)>,
    ) -> R {
        poll_fn(|context| self.poll(origin.as_mut(), context)).await
    }

    /// Polls the origin so that calls inside it can tell, then what is done beside it.
    pub(crate) fn poll<R>(
        &mut self,
        origin: Pin<&mut (impl Future<Output = R> + ?Sized)>,
        context: &mut Context<'_>,
    ) -> Poll<R> {
        let restore = Restore::new(&LOADING, Some(self.loading.clone()));
        if let Poll::Ready(output) = origin.poll(context) {
            return Poll::Ready(output);
        }
        drop(restore);
        if let Some(upkeep) = &mut self.upkeep
            && upkeep.as_mut().poll(context).is_ready()
        {
            self.upkeep = None;
        }
        Poll::Pending
    }
}

thread_local! {
    static CONTROL: RefCell<Option<Control>> = const { RefCell::new(None) };
    static LOADING: RefCell<Option<Loading>> = const { RefCell::new(None) };
}

/// Puts a thread's former value back, also when the poll panics.
struct Restore<T: 'static> {
    cell: &'static std::thread::LocalKey<RefCell<Option<T>>>,
    former: Option<T>,
}

impl<T> Restore<T> {
    fn new(cell: &'static std::thread::LocalKey<RefCell<Option<T>>>, value: Option<T>) -> Self {
        let former = cell.replace(value);
        Self { cell, former }
    }
}

impl<T> Drop for Restore<T> {
    fn drop(&mut self) {
        self.cell.set(self.former.take());
    }
}
