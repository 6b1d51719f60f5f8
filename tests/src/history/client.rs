//! One client: one random operation after another, each checked when it ends.

use std::time::{Duration, Instant};

use cache_runtime::test_util::{events, events_by_key};
use cache_runtime::{Cache, Outcome, refresh};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::NEAR_LAG;
use super::database::{Down, Row, Write};
use super::functions;
use super::log::{Answer, Caller, Op, What};
use super::run::Run;
use crate::random::Random;
use crate::wait::{briefly, within};

pub(super) struct Client<'a> {
    run: &'a Run,
    cache: &'a Cache,
    process: usize,
    number: usize,
    random: Random,
}

/// How long a client stays with an operation.
#[derive(Debug, Clone, Copy)]
enum Patience {
    ToTheEnd,
    /// Drops it after so many polls.
    Polls(u32),
    /// Drops it after this time.
    For(Duration),
}

impl<'a> Client<'a> {
    pub(super) fn new(run: &'a Run, cache: &'a Cache, process: usize, number: usize) -> Self {
        let user = process * run.config.clients + number;
        Self {
            run,
            cache,
            process,
            number,
            random: Random::new(run.config.seed, user as u64 + 1),
        }
    }

    /// Runs until the operations of all clients are used up, or a violation is found.
    pub(super) async fn work(mut self) {
        while let Some(call) = self.run.next() {
            let keys = &self.run.keys;
            let key = self.random.below(keys.len() as u64) as usize;
            let key = *keys.get(key).expect("a key");
            let by = Caller {
                process: self.process,
                client: self.number,
                call,
                key,
            };
            self.operate(by).await;
            match self.random.below(4) {
                0 | 1 => yield_now().await,
                _ => sleep(Duration::from_millis(self.random.below(4))).await,
            }
        }
    }

    async fn operate(&mut self, by: Caller) {
        let (op, patience) = (self.op(), self.patience());
        if op == Op::Read && functions::is_many(by.key) && self.random.below(2) == 0 {
            return self.read_all(by, patience).await;
        }
        let run = self.run;
        run.floors.settle(self.process, self.cache, &run.log);
        let start = Instant::now();
        let (floor, own) = run.floors.of(by);
        let of_copies = match functions::is_near(by.key) {
            true => run.floors.of_fleet_before(by.key, start, NEAR_LAG),
            false => floor,
        };
        let before = run.database.version(by.key);
        run.log.add(by, What::Calls { op, floor, own });
        match op {
            Op::Read | Op::Refresh | Op::Peek => {
                let call = async {
                    match op {
                        Op::Refresh => events(refresh(self.read(by))).await,
                        Op::Peek => (self.peek(by).await, Vec::new()),
                        _ => events(self.read(by)).await,
                    }
                };
                let Some((result, events)) = ends(patience, call).await else {
                    run.log.add(by, What::Dropped);
                    return;
                };
                let row = result.ok().flatten();
                let mut answer = Answer {
                    version: row.map(|row| row.version),
                    failed: result.is_err(),
                    outdated: Duration::ZERO,
                    events,
                };
                let is_copy = answer.outcome() == Some(Outcome::Near);
                if is_copy && let Some(row) = row {
                    answer.outdated = run.floors.above_since(by.key, start, row.version);
                }
                run.log.add(by, What::Returns(answer));
                if let Some(row) = row {
                    let floor = if is_copy { of_copies } else { floor };
                    self.check(by, op, row, floor.max(own), before, is_copy);
                }
            }
            Op::Invalidate => {
                let invalidated = ends(patience, functions::invalidate(by.key)).await;
                self.ended(by, invalidated.as_ref().map(Result::is_err));
                match invalidated {
                    Some(Ok(())) => run.floors.acknowledged(by, before, &run.log),
                    Some(Err(_)) | None => run.floors.ended(by, before, &run.log),
                }
            }
            Op::ClearShelf => {
                let keys = (0..run.config.keys).filter(|key| functions::is_on_shelf(*key));
                let before: Vec<_> = keys.map(|key| (key, run.database.version(key))).collect();
                let cleared = ends(patience, functions::clear_shelf()).await;
                self.ended(by, cleared.as_ref().map(Result::is_err));
                for (key, version) in before {
                    let of_key = Caller { key, ..by };
                    match cleared {
                        Some(Ok(())) => run.floors.acknowledged(of_key, version, &run.log),
                        Some(Err(_)) | None => run.floors.ended(of_key, version, &run.log),
                    }
                }
            }
            Op::Expire => {
                let expired = ends(patience, functions::expire(by.key)).await;
                self.ended(by, expired.as_ref().map(Result::is_err));
            }
            Op::Update | Op::Remove => {
                let fails = self.random.permille(run.config.mix.failing);
                let write = Write::new(by, fails);
                let call = async {
                    if op == Op::Update {
                        let updated = functions::update(&run.database, &write, by.key).await;
                        updated.map(|_| ())
                    } else {
                        functions::remove(&run.database, &write, by.key).await
                    }
                };
                let written = ends(patience, call).await;
                self.ended(by, written.as_ref().map(Result::is_err));
                if let Some(version) = write.outdated() {
                    run.floors.ended(by, version, &run.log);
                    run.floors.settle(self.process, self.cache, &run.log);
                }
            }
        }
    }

    /// Reads several keys at once: an operation for each of them.
    async fn read_all(&mut self, by: Caller, patience: Patience) {
        let run = self.run;
        run.floors.settle(self.process, self.cache, &run.log);
        let mut callers = vec![by];
        for key in run
            .keys
            .iter()
            .copied()
            .filter(|key| functions::is_many(*key))
        {
            if key != by.key
                && self.random.below(3) > 0
                && let Some(call) = run.next()
            {
                callers.push(Caller { key, call, ..by });
            }
        }
        let begun = |by: &Caller| {
            let (floor, own) = run.floors.of(*by);
            let op = Op::Read;
            run.log.add(*by, What::Calls { op, floor, own });
            (floor.max(own), run.database.version(by.key))
        };
        let begun: Vec<_> = callers.iter().map(begun).collect();
        let keys: Vec<_> = callers.iter().map(|by| by.key).collect();
        let call = events_by_key(functions::read_all(&run.database, &callers, &keys));
        let Some((result, events)) = ends(patience, call).await else {
            callers
                .iter()
                .for_each(|by| run.log.add(*by, What::Dropped));
            return;
        };
        for (by, (floor, before)) in callers.into_iter().zip(begun) {
            let row = result.as_ref().ok().and_then(|rows| *rows.get(&by.key)?);
            let key = functions::key_of_many(by.key);
            let events = events.iter().filter(|(of, _)| of.as_str() == key);
            let answer = Answer {
                version: row.map(|row| row.version),
                failed: result.is_err(),
                outdated: Duration::ZERO,
                events: events.map(|(_, event)| *event).collect(),
            };
            run.log.add(by, What::Returns(answer));
            if let Some(row) = row {
                self.check(by, Op::Read, row, floor, before, false);
            }
        }
    }

    fn op(&mut self) -> Op {
        let mix = &self.run.config.mix;
        let mut dice = self.random.below(1000);
        for (op, share) in [
            (Op::Refresh, mix.refreshes),
            (Op::Peek, mix.peeks),
            (Op::Invalidate, mix.invalidations),
            (Op::ClearShelf, mix.clearings),
            (Op::Expire, mix.expiries),
            (Op::Update, mix.updates),
            (Op::Remove, mix.removals),
        ] {
            match dice.checked_sub(u64::from(share)) {
                Some(rest) => dice = rest,
                None => return op,
            }
        }
        Op::Read
    }

    fn patience(&mut self) -> Patience {
        if !self.random.permille(self.run.config.mix.dropped) {
            return Patience::ToTheEnd;
        }
        match self.random.below(2) {
            0 => Patience::Polls(self.random.below(12) as u32),
            _ => Patience::For(Duration::from_millis(self.random.below(20))),
        }
    }

    async fn read(&self, by: Caller) -> Result<Option<Row>, Down> {
        functions::read(&self.run.database, by, by.key).await
    }

    async fn peek(&self, by: Caller) -> Result<Option<Row>, Down> {
        functions::peek(by.key).await.map_err(|_| Down)
    }

    fn ended(&self, by: Caller, failed: Option<bool>) {
        let what = match failed {
            None => What::Dropped,
            Some(failed) => What::Returns(Answer {
                version: None,
                failed,
                outdated: Duration::ZERO,
                events: Vec::new(),
            }),
        };
        self.run.log.add(by, what);
    }

    fn check(&self, by: Caller, op: Op, row: Row, floor: u64, before: u64, is_copy: bool) {
        let what = if is_copy { "a copy of" } else { "returned" };
        let Row { key, version, .. } = row;
        let broken = if key != by.key {
            format!("G1: returned the row of key {key}")
        } else if version < floor {
            format!("G3: {what} version {version} below the floor {floor}")
        } else if op == Op::Refresh && version < before {
            format!("a refresh returned version {version}, older than its call ({before})")
        } else if version > self.run.database.version(by.key) {
            format!("returned version {version}, which nobody has written")
        } else {
            return;
        };
        self.run.violated(by, version, broken);
    }
}

/// What `call` returns, unless it is dropped before.
async fn ends<F: Future>(patience: Patience, call: F) -> Option<F::Output> {
    match patience {
        Patience::ToTheEnd => Some(within("an operation of the history", call).await),
        Patience::Polls(polls) => briefly(polls, call).await,
        Patience::For(time) => timeout(time, call).await.ok(),
    }
}
