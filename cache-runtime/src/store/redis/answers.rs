//! [`Answers`]: replies that have come, on their way to the callers.
//!
//! The receiver hands them out, and each caller that has got its own hands out some of the rest
//! before it goes on. For whoever wakes a task wakes a worker of the runtime that sleeps, too. Where
//! the two share a processor, that one runs at once in the receiver's place, finds the one caller
//! that was woken, and sleeps again: once for each reply. A caller that helps finds its own worker
//! awake, and gives it enough to stay so. In calls per second as a multiple of a raw `GET` with
//! decoding, with 64 callers kept on one processor and the server on the other: 1.64 instead of 1.06,
//! and p99 0.62 instead of 1.51 of the raw one's; with 256 on one processor with the server: 1.86
//! instead of 1.42.

use std::{
    array,
    collections::VecDeque,
    mem,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::reads::Reply;

/// How many are handed out at a time, and so by each caller. Two of each woken one make all of them
/// awake soon; with eight it was the same.
const SOME: usize = 2;

/// A reply, and who waits for it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) caller: oneshot::Sender<Reply>,
    pub(super) reply: Reply,
}

/// Replies to be handed out; on cache lines of their own, as [`Reads`](super::reads::Reads).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Answers {
    /// How many there are, so that nobody takes the lock for nothing.
    left: AtomicUsize,
    queue: Mutex<VecDeque<Answer>>,
}

impl Answers {
    /// Hands out these, together with the callers that get them. None is left.
    pub(super) fn hand_out(&self, come: &mut VecDeque<Answer>) {
        if come.len() > 1 {
            self.put(come);
            while self.hand_out_some() {}
        }
        // The only one.
        come.drain(..).for_each(Answer::deliver);
    }

    /// Hands out some, if there are any.
    pub(super) fn help(&self) {
        if self.left.load(Relaxed) > 0 {
            self.hand_out_some();
        }
    }

    fn put(&self, come: &mut VecDeque<Answer>) {
        let mut queue = self.queue.lock();
        if queue.is_empty() {
            mem::swap(&mut *queue, come);
        } else {
            queue.append(come);
        }
        self.left.store(queue.len(), Relaxed);
    }

    /// Whether there were any.
    fn hand_out_some(&self) -> bool {
        let some: [_; SOME] = {
            let mut queue = self.queue.lock();
            let some = array::from_fn(|_| queue.pop_front());
            self.left.store(queue.len(), Relaxed);
            some
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
    use std::{iter, thread};

    use tokio::sync::oneshot;

    use super::{super::super::Found, *};

    /// Answers that tell one from another, and those who get them.
    fn answers(many: usize) -> (VecDeque<Answer>, Vec<oneshot::Receiver<Reply>>) {
        (0..many)
            .map(|number| {
                let (reply, caller) = oneshot::channel();
                let found = Found::new(Some(number.to_string().into()), []);
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
    fn a_caller_hands_out_some_of_those_that_are_left() {
        let shared = Answers::default();
        let (mut come, mut callers) = answers(5);
        shared.put(&mut come);
        shared.help();
        assert_eq!(answered(&mut callers), [0, 1]);
        shared.help();
        shared.help();
        shared.help();
        assert_eq!(answered(&mut callers), [2, 3, 4]);
    }

    #[test]
    fn nobody_has_to_help() {
        for many in [0, 1, 2, 5] {
            let (mut come, mut callers) = answers(many);
            Answers::default().hand_out(&mut come);
            let all: Vec<_> = (0..many).collect();
            assert_eq!(answered(&mut callers), all);
        }
    }

    #[test]
    fn whoever_hands_out_each_gets_its_own() {
        const ROUNDS: usize = 200;
        let shared = Answers::default();
        let (mut come, mut callers): (Vec<_>, Vec<_>) =
            iter::repeat_with(|| answers(50)).take(ROUNDS).unzip();
        thread::scope(|scope| {
            // Two receivers, as when a connection follows another, and two who help.
            let half = come.split_off(ROUNDS / 2);
            for mut rounds in [come, half] {
                let shared = &shared;
                scope.spawn(move || rounds.iter_mut().for_each(|come| shared.hand_out(come)));
                scope.spawn(move || (0..ROUNDS * 25).for_each(|_| shared.help()));
            }
        });
        for callers in &mut callers {
            assert_eq!(answered(callers).len(), 50);
        }
    }
}
