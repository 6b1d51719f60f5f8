//! [`Batch`]: one call for many ids, each of which is a call of its own to the cache.
//!
//! ```text
//!   each id ─► decide ─value──────────────────────────────────────► value
//!                │ └──waits for somebody else's load─► decide ─► …
//!                └──load──┐
//!   those to load ────────┴─► run the origin once ─► finish each ─► value
//! ```
//!
//! All ids are looked up with one command. Those whose load falls to this call are loaded as soon as
//! all others are served or can do nothing but wait: nobody who waits keeps leases from others. If a
//! load waited for comes to nothing, the origin is run once more for the ids that it leaves.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::mem;
use std::pin::pin;
use std::task::Poll;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::task::coop::unconstrained;

use super::Returns;
use super::batched::{Batched, ById, Id, Kept, ToId};
use super::drive::Decision;
use super::plan::{Plan, Typed};
use crate::call::{Control, Run};
use crate::codec::Codec;
use crate::flow::{Company, Flow};
use crate::observe::{Bypass, NotStored};
use crate::rules::Verdict;

/// The ids of a call, before it is said what each of them means.
#[must_use]
pub struct Batch<B: Batched, K> {
    ids: Vec<Id<B>>,
    kept: PhantomData<fn() -> K>,
}

/// What one id comes to at first.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart where it is made"
)]
#[derive(Debug)]
#[must_use]
pub enum Each<S: Returns, C> {
    /// There is a copy of its value.
    Near(S::Out),
    /// The cache is asked.
    Ask(Plan<S, C>),
}

impl<B: Batched, K: Kept<B>> Batch<B, K> {
    /// The ids that values are wanted of.
    pub fn of<I>(ids: I) -> Self
    where
        I: IntoIterator<Item: ToId<Id<B>>>,
    {
        let ids = ids.into_iter().map(ToId::to_id).collect();
        Self {
            ids: B::Values::distinct(ids),
            kept: PhantomData,
        }
    }

    /// What each of them means.
    pub fn each<S, C>(self, plan: impl Fn(&Id<B>) -> Each<S, C>) -> Asked<B, K, S, C>
    where
        S: Returns<Out = B::Each<K::Kept>, Value = K::Kept>,
        C: Codec,
    {
        let control = Control::take();
        let company = Company::new();
        let mut open = Vec::new();
        let mut values = Vec::with_capacity(self.ids.len());
        for (at, id) in self.ids.iter().enumerate() {
            let near = Control::part(control.as_ref(), || match plan(id) {
                Each::Near(out) => Some(out),
                Each::Ask(plan) => {
                    let (typed, call) = plan.into_call();
                    let flow = Flow::in_company(call, &company);
                    open.push(Member::new(at, flow, typed));
                    None
                }
            });
            // A copy is always of a value.
            values.push(near.and_then(|out| B::split_each(out).ok()));
        }
        Asked {
            ids: self.ids,
            values,
            open,
            company,
        }
    }
}

/// The ids of a call, of which some have their values already.
#[must_use]
pub struct Asked<B: Batched, K: Kept<B>, S: Returns, C> {
    ids: Vec<Id<B>>,
    /// In the order of the ids; none if the id has no value, or has none yet.
    values: Vec<Option<K::Kept>>,
    open: Vec<Member<S, C>>,
    company: Company,
}

/// An id that the cache is asked for.
struct Member<S: Returns, C> {
    /// Its place among the ids.
    at: usize,
    flow: Box<Flow>,
    typed: Typed<S, C>,
    /// Why it is loaded past the cache, if it is.
    bypass: Option<Bypass>,
}

impl<B, K, S, C> Asked<B, K, S, C>
where
    B: Batched,
    K: Kept<B>,
    S: Returns<Out = B::Each<K::Kept>, Value = K::Kept>,
    C: Codec,
{
    /// The values: from the store, from other callers' loads, or from the origin.
    ///
    /// Cancel safe, as the call of each id is.
    pub async fn get_or_load<F>(self, origin: impl Fn(Vec<Id<B>>) -> F) -> B
    where
        F: Future<Output = B>,
    {
        let Self {
            ids,
            mut values,
            open,
            company,
        } = self;
        let engine = open.first().map(|first| first.flow.engine().clone());
        let mut first = true;
        let mut deciding: FuturesUnordered<_> = open.into_iter().map(Member::decide).collect();
        let mut loading = FuturesUnordered::new();
        let (mut missing, mut runs) = (Vec::new(), Vec::new());
        let mut failed = None;
        poll_fn(|context| {
            // The reads of all ids join by the end of their first turns.
            let store = engine.as_ref().filter(|_| mem::take(&mut first));
            let mut joining = store.map(|engine| engine.store.company());
            loop {
                while let Poll::Ready(Some(decided)) = deciding.poll_next_unpin(context) {
                    match decided {
                        Decided::Done(at, out) => match B::split_each(out) {
                            Ok(value) => put(&mut values, at, Some(value)),
                            Err(error) => failed = Some(error),
                        },
                        Decided::Missing(member, run) => {
                            runs.extend(run);
                            missing.push(member);
                        }
                        Decided::Again(member) => deciding.push(member.decide()),
                    }
                }
                drop(joining.take());
                if failed.is_some() {
                    // Others may wait for what is being loaded; nothing else is of any use.
                    deciding.clear();
                    missing.clear();
                    runs.clear();
                }
                if !missing.is_empty() && company.waiting() == deciding.len() {
                    let missing = mem::take(&mut missing);
                    let wanted = missing.iter().filter_map(|missing| ids.get(missing.at));
                    let wanted: Vec<_> = wanted.cloned().collect();
                    let out = run(mem::take(&mut runs), origin(wanted.clone()));
                    loading.push(load::<B, K, S, C>(missing, wanted, out));
                }
                match loading.poll_next_unpin(context) {
                    Poll::Ready(Some(Ok(loaded))) => {
                        for (at, value) in loaded {
                            put(&mut values, at, value);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => failed = Some(error),
                    Poll::Ready(None) if deciding.is_empty() => return Poll::Ready(()),
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
        if let Some(error) = failed {
            return B::join(Err(error));
        }
        let values = ids.into_iter().zip(values);
        let values = values.filter_map(|(id, kept)| Some((id, K::value(kept?)?)));
        B::join(Ok(values.collect()))
    }
}

fn put<T>(values: &mut [Option<T>], at: usize, value: Option<T>) {
    if let Some(place) = values.get_mut(at) {
        *place = value;
    }
}

/// What an id comes to.
enum Decided<S: Returns, C> {
    /// This, for the id at this place.
    Done(usize, S::Out),
    /// A load, which falls to this call.
    Missing(Member<S, C>, Option<Run>),
    /// Nothing yet.
    Again(Member<S, C>),
}

impl<S: Returns, C: Codec> Member<S, C> {
    fn new(at: usize, flow: Box<Flow>, typed: Typed<S, C>) -> Self {
        Self {
            at,
            flow,
            typed,
            bypass: None,
        }
    }

    /// Goes on until the origin is needed.
    fn decide(self) -> impl Future<Output = Decided<S, C>> {
        let Self {
            at, flow, typed, ..
        } = self;
        let member = move |flow, bypass| Self {
            at,
            flow,
            typed,
            bypass,
        };
        // All ids of a batch take their turns, however many there are.
        unconstrained(async move {
            match typed.decide(flow).await {
                Decision::Done(out) => Decided::Done(at, out),
                Decision::Load(_, flow, run) => Decided::Missing(member(flow, None), Some(run)),
                Decision::Bypass(flow, reason) => {
                    Decided::Missing(member(flow, Some(reason)), None)
                }
                Decision::Detach(_, flow, _) => Decided::Again(member(flow, None)),
            }
        })
    }

    /// Stores and shares what was loaded, and gives it back.
    async fn loaded(mut self, value: Option<S::Value>) -> Option<S::Value> {
        match (self.bypass, value) {
            (Some(reason), value) => {
                self.flow.bypassed(reason);
                value
            }
            (None, Some(value)) => Some(self.typed.keep(self.flow, value).await),
            (None, None) => {
                let nothing = Verdict::Leave(NotStored::None);
                self.flow.loaded(nothing).await;
                None
            }
        }
    }

    /// Shares the failure of the load; an old value, if there is one that may be served instead.
    async fn failed(mut self, out: &S::Out) -> Option<S::Value> {
        match self.bypass {
            Some(reason) => {
                self.flow.bypassed(reason);
                None
            }
            None => {
                let error = self.typed.share(out);
                self.typed.salvage(self.flow, error).await
            }
        }
    }
}

/// Runs the origin, on which all these loads depend.
async fn run<F: Future>(runs: Vec<Run>, origin: F) -> F::Output {
    let mut origin = pin!(origin);
    let mut run = Run::together(runs);
    poll_fn(|context| match &mut run {
        Some(run) => run.poll(origin.as_mut(), context),
        None => origin.as_mut().poll(context),
    })
    .await
}

/// Runs the origin and ends the calls of all the ids that it is run for: with the value of each, by
/// its place, or with the error if not every one of them has an old value.
async fn load<B, K, S, C>(
    mut missing: Vec<Member<S, C>>,
    ids: Vec<Id<B>>,
    origin: impl Future<Output = B>,
) -> Result<Vec<(usize, Option<K::Kept>)>, B::Error>
where
    B: Batched,
    K: Kept<B>,
    S: Returns<Out = B::Each<K::Kept>, Value = K::Kept>,
    C: Codec,
{
    let turns = missing.iter_mut();
    let _turns: Vec<_> = turns.map(|member| member.flow.yield_turn()).collect();
    match B::split(origin.await) {
        Ok(values) => {
            let mut found = values.into_iter().collect();
            let ended = missing.into_iter().zip(&ids).map(|(member, id)| {
                let value = K::keep(B::Values::take(&mut found, id));
                async move { (member.at, member.loaded(value).await) }
            });
            Ok(join_all(ended).await)
        }
        Err(error) => {
            let out = B::join_each(Err(error));
            let ended = missing.into_iter().map(async |member| {
                let at = member.at;
                (at, member.failed(&out).await)
            });
            let old = join_all(ended).await;
            match B::split_each(out) {
                Err(error) if old.iter().any(|(_, value)| value.is_none()) => Err(error),
                Ok(_) | Err(_) => Ok(old),
            }
        }
    }
}

impl<S: Returns, C> fmt::Debug for Member<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<B: Batched, K> fmt::Debug for Batch<B, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("ids", &self.ids.len())
            .finish_non_exhaustive()
    }
}

impl<B: Batched, K: Kept<B>, S: Returns, C> fmt::Debug for Asked<B, K, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("ids", &self.ids.len())
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}
