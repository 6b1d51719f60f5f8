//! [`Answers`]: replies that have come, on their way to the callers.
//!
//! ```text
//!   driver ──all that has come──► queue ──► driver ──► callers
//!                                    └────► helper ──► callers
//! ```
//!
//! The driver hands them out, and a task that does nothing else helps. For whoever wakes a task wakes
//! a worker of the runtime that sleeps, too. Where the two share a processor, that one runs at once in
//! the driver's place, finds the one caller that was woken, and sleeps again: once for each reply.
//! The helper is woken first, so that is what it finds, if the driver's worker had nothing else to do,
//! and with it all that are left. A helper that ends, by a waker that panics, is not replaced before the
//! connection is: the driver alone hands out as much, if not as fast.

use std::{
    array,
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::batch::Reply;

/// How many are taken out of the queue at a time.
const SOME: usize = 2;

/// From so many replies on the helper is woken.
const MANY: usize = 3;

/// A reply, and who waits for it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) caller: oneshot::Sender<Reply>,
    pub(super) reply: Reply,
}

/// Replies of one connection to be handed out.
#[derive(Debug, Default)]
pub(super) struct Answers {
    queue: Mutex<VecDeque<Answer>>,
    helper: AtomicWaker,
}

impl Answers {
    /// Hands out these, together with the helper, which may still have the last of them in its hands
    /// then.
    pub(super) fn hand_out(&self, come: &mut VecDeque<Answer>) {
        let many = come.len() >= MANY;
        {
            let mut queue = self.queue.lock();
            if queue.is_empty() {
                mem::swap(&mut *queue, come);
            } else {
                queue.append(come);
            }
        }
        if many {
            self.helper.wake();
        }
        while self.hand_out_some() {}
    }

    /// Drops what is left, after a panic: its callers have to ask again.
    pub(super) fn clear(&self) {
        // Dropped outside the lock.
        let _left = mem::take(&mut *self.queue.lock());
    }

    /// Hands out what is left whenever it is woken, until it is aborted.
    pub(super) async fn help(self: Arc<Self>) -> Infallible {
        poll_fn(|context| self.poll_help(context)).await
    }

    /// It does no work of its own in between: the caller that was woken last is run by this worker next,
    /// and by no other.
    fn poll_help(&self, context: &Context<'_>) -> Poll<Infallible> {
        self.helper.register(context.waker());
        while self.hand_out_some() {}
        Poll::Pending
    }

    /// Whether there were any.
    fn hand_out_some(&self) -> bool {
        let some: [_; SOME] = {
            let mut queue = self.queue.lock();
            array::from_fn(|_| queue.pop_front())
        };
        let answers = some.into_iter().flatten();
        answers.map(Answer::deliver).count() > 0
    }
}

impl Answer {
    /// To the caller, if that is still there.
    pub(super) fn deliver(self) {
        let _ = self.caller.send(self.reply);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        iter,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::Pin,
        sync::atomic::Ordering::Relaxed,
        task::{Wake, Waker},
        thread,
    };

    use tokio::sync::oneshot::{self, error::TryRecvError};

    use super::{
        super::{super::Found, woken::Woken},
        *,
    };

    /// Answers that tell one from another, and those who get them.
    fn answers(many: usize) -> (VecDeque<Answer>, Vec<oneshot::Receiver<Reply>>) {
        (0..many)
            .map(|number| {
                let (reply, caller) = oneshot::channel();
                let found = Found::new(Some(number.to_string().into()), [], None);
                let answer = Answer {
                    caller: reply,
                    reply: Ok(found),
                };
                (answer, caller)
            })
            .unzip()
    }

    /// The numbers of those who have got theirs.
    fn answered(callers: &mut [oneshot::Receiver<Reply>]) -> Vec<usize> {
        let got = callers
            .iter_mut()
            .enumerate()
            .filter_map(|(number, caller)| {
                let found = caller.try_recv().ok()?.expect("no failure");
                assert_eq!(found.envelope, Some(number.to_string().into()));
                Some(number)
            });
        got.collect()
    }

    #[test]
    fn the_helper_is_woken_with_many_and_hands_out_what_is_left() {
        for (many, helps) in [(0, false), (1, false), (2, false), (MANY, true), (20, true)] {
            let shared = Answers::default();
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(woken.clone());
            let context = Context::from_waker(&waker);
            assert!(shared.poll_help(&context).is_pending());
            let (mut come, mut callers) = answers(many);
            shared.hand_out(&mut come);
            assert_eq!(woken.0.load(Relaxed) > 0, helps, "{many}");
            assert_eq!(answered(&mut callers).len(), many);
            // As when the driver is interrupted.
            let (come, mut callers) = answers(many);
            *shared.queue.lock() = come;
            assert!(shared.poll_help(&context).is_pending());
            assert_eq!(answered(&mut callers).len(), many);
        }
    }

    #[test]
    fn after_a_panic_nobody_waits_for_ever() {
        struct Bomb;
        impl Wake for Bomb {
            fn wake(self: Arc<Self>) {
                panic!("a waker that panics");
            }
        }
        let shared = Answers::default();
        let (mut come, mut callers) = answers(5);
        let bomb = Waker::from(Arc::new(Bomb));
        let waits = Pin::new(&mut callers[1]).poll(&mut Context::from_waker(&bomb));
        assert!(waits.is_pending());
        let handed_out = catch_unwind(AssertUnwindSafe(|| shared.hand_out(&mut come)));
        assert!(handed_out.is_err());
        shared.clear();
        let left = callers.split_off(2);
        for mut caller in left {
            assert!(
                caller
                    .try_recv()
                    .is_err_and(|error| error == TryRecvError::Closed)
            );
        }
    }

    #[test]
    fn whoever_hands_out_each_gets_its_own() {
        const ROUNDS: usize = 200;
        let shared = Answers::default();
        let (mut come, mut callers): (Vec<_>, Vec<_>) =
            iter::repeat_with(|| answers(50)).take(ROUNDS).unzip();
        thread::scope(|scope| {
            // More of both than there are.
            let half = come.split_off(ROUNDS / 2);
            for mut rounds in [come, half] {
                let shared = &shared;
                scope.spawn(move || rounds.iter_mut().for_each(|come| shared.hand_out(come)));
                scope.spawn(move || {
                    let context = Context::from_waker(Waker::noop());
                    for _ in 0..ROUNDS * 25 {
                        assert!(shared.poll_help(&context).is_pending());
                    }
                });
            }
        });
        for callers in &mut callers {
            assert_eq!(answered(callers).len(), 50);
        }
    }
}
