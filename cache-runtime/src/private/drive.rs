//! [`Drive`]: the future of one call, of which only the origin differs from function to function.
//!
//! ```text
//!   decide ──value──────────────────────────► done
//!     │  ▲ └──load──► run the origin ─► finish ─► done
//!     │  └──────────── detach a load
//!     └──bypass────► run the origin ──────────► done
//! ```
//!
//! What decides and finishes is compiled once for each type of value. The origin is reached through
//! `dyn` within a poll and is kept as what it is, so the future is `Send` if the origin is.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::call::Run;
use crate::flow::Flow;
use crate::observe::Bypass;

/// A load in the background.
pub(super) type Detached<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// What is left to do after a decision, and `T` to do it with.
pub(super) enum Decision<T, R> {
    /// Return this.
    Done(R),
    /// Run the origin, then finish.
    Load(T, Box<Flow>, Run),
    /// Let this flow load in the background, and decide again.
    Detach(T, Box<Flow>, Box<Flow>),
    /// Run the origin, in which the cache has no part.
    Bypass(Box<Flow>, Bypass),
}

/// An annotated function's body.
pub(super) trait Origin: Future {
    /// The same once more, to be run in the background; none if that cannot be.
    fn detached(&self) -> Option<Detached<Self::Output>>;
}

pin_project! {
    /// An origin that is run by its caller alone.
    pub(super) struct Here<F> {
        #[pin]
        pub(super) body: F,
    }
}

impl<F: Future> Future for Here<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.project().body.poll(context)
    }
}

impl<F: Future> Origin for Here<F> {
    fn detached(&self) -> Option<Detached<F::Output>> {
        None
    }
}

pin_project! {
    /// An origin that owns its arguments, made when it is run.
    pub(super) struct Anywhere<L, F> {
        pub(super) load: L,
        #[pin]
        pub(super) body: Option<F>,
    }
}

impl<L: Fn() -> F, F: Future> Future for Anywhere<L, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if this.body.is_none() {
            this.body.set(Some((this.load)()));
        }
        match this.body.as_pin_mut() {
            Some(body) => body.poll(context),
            // It was put there just now.
            None => Poll::Pending,
        }
    }
}

impl<L, F> Origin for Anywhere<L, F>
where
    L: Fn() -> F,
    F: Future + Send + 'static,
{
    fn detached(&self) -> Option<Detached<F::Output>> {
        Some(Box::pin((self.load)()))
    }
}

pin_project! {
    /// A future whose code is called and not copied into that of whoever awaits it.
    pub(super) struct Outlined<F> {
        #[pin]
        future: F,
    }
}

impl<F> Outlined<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future }
    }
}

impl<F: Future> Future for Outlined<F> {
    type Output = F::Output;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(context)
    }
}

/// The steps that know the types, `T` being what they need for it.
pub(super) struct Steps<T, R, D, E> {
    pub(super) decide: fn(T, Box<Flow>) -> D,
    pub(super) finish: fn(T, Box<Flow>, R) -> E,
    pub(super) detach: fn(T, Box<Flow>, Detached<R>),
}

pin_project! {
    /// A call on its way.
    pub(super) struct Drive<T, R, D, E, O> {
        // Dropped before the flow, which then gives up what it has for it.
        #[pin]
        origin: O,
        #[pin]
        stage: Stage<T, D, E>,
        steps: Steps<T, R, D, E>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<T, D, E> {
        Decide { #[pin] decision: D },
        Load { typed: T, flow: Option<Box<Flow>>, run: Run },
        Bypass { flow: Box<Flow>, reason: Bypass },
        // Boxed: a hit does not need it.
        Finish { end: Pin<Box<E>> },
    }
}

impl<T, R, D, E, O> Drive<T, R, D, E, O> {
    #[inline]
    pub(super) fn new(typed: T, flow: Box<Flow>, steps: Steps<T, R, D, E>, origin: O) -> Self {
        let decision = (steps.decide)(typed, flow);
        Self {
            origin,
            stage: Stage::Decide { decision },
            steps,
        }
    }
}

impl<T, R, D, E, O> Future for Drive<T, R, D, E, O>
where
    T: Copy,
    D: Future<Output = Decision<T, R>>,
    E: Future<Output = R>,
    O: Origin<Output = R>,
{
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        advance(this.stage, this.steps, this.origin, context)
    }
}

/// Goes on as far as it goes, whatever the origin is.
#[inline(never)]
fn advance<T, R, D, E>(
    mut stage: Pin<&mut Stage<T, D, E>>,
    steps: &Steps<T, R, D, E>,
    mut origin: Pin<&mut dyn Origin<Output = R>>,
    context: &mut Context<'_>,
) -> Poll<R>
where
    T: Copy,
    D: Future<Output = Decision<T, R>>,
    E: Future<Output = R>,
{
    loop {
        let next = match stage.as_mut().project() {
            StageProjection::Decide { decision } => match ready!(decision.poll(context)) {
                Decision::Done(out) => return Poll::Ready(out),
                Decision::Load(typed, flow, run) => Stage::Load {
                    typed,
                    flow: Some(flow),
                    run,
                },
                Decision::Bypass(flow, reason) => Stage::Bypass { flow, reason },
                Decision::Detach(typed, flow, detached) => {
                    if let Some(origin) = origin.detached() {
                        (steps.detach)(typed, detached, origin);
                    }
                    let decision = (steps.decide)(typed, flow);
                    Stage::Decide { decision }
                }
            },
            StageProjection::Load { typed, flow, run } => {
                let out = ready!(run.poll(origin.as_mut(), context));
                match flow.take() {
                    Some(flow) => Stage::Finish {
                        end: Box::pin((steps.finish)(*typed, flow, out)),
                    },
                    // It was there when the load began, and this is left at once.
                    None => return Poll::Ready(out),
                }
            }
            StageProjection::Bypass { flow, reason } => {
                let out = ready!(origin.as_mut().poll(context));
                flow.bypassed(*reason);
                return Poll::Ready(out);
            }
            StageProjection::Finish { end } => return end.as_mut().poll(context),
        };
        stage.set(next);
    }
}
