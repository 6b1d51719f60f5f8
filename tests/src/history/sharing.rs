//! G2: a key is loaded once. Judged when the run is over.
//!
//! Two loads of one key, A and B, *overlap* if B starts while A runs. With [`Scope::Process`] only
//! loads of one process are compared. The overlap has to be excused by something that happened
//! between the start of the earlier of the two calls and the start of load B; that is when the two
//! callers looked at the entry and asked for its lease. What excuses it:
//!
//! - [`Refreshed`](Excuse::Refreshed): a `refresh` of the key was under way. It takes the lease by
//!   force.
//! - [`Outdated`](Excuse::Outdated): an invalidation, expiry or write of the key was under way, or
//!   ended and not confirmed. It ends the lease, or lets nobody take one.
//! - [`Dropped`](Excuse::Dropped): a read of the key was dropped on its way. Its lease is given up,
//!   and who waited for it does not wait a second time.
//! - [`Troubled`](Excuse::Troubled): a call of the key was not answered by the store in time, or an
//!   invalidation that was not confirmed hid the answer.
//! - [`Fruitless`](Excuse::Fruitless): a load of the key failed, or its value was not cacheable,
//!   between the start of the call of A and load A, or the same of B. Whoever waited for it loads by
//!   itself, all at once and without a lease. In a process this lasts until all its calls that were
//!   under way then have heard of it: until each has ended or started a load of its own. Whoever
//!   comes meanwhile may have joined one of them, and hears of it with them.
//! - [`Lapsed`](Excuse::Lapsed): load A began longer ago than a lease stands. The embedded store's
//!   leases are not renewed, those in Redis may be renewed too late. With [`Link::delay`] the time
//!   counts from the start of the call, since the lease is granted before the load begins.
//! - [`Impatient`](Excuse::Impatient): the call of B had waited at least as long as any caller waits.
//!
//! Calls that were dropped or not answered by the store, and fruitless loads, count as under way a
//! little longer than they were, since what they sent may still be on its way ([`Link::delay`]). An
//! overlap is counted under the first excuse of this list that holds.
//!
//! [`Scope::Process`]: super::Scope::Process
//! [`Link::delay`]: super::Link::delay

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cache_runtime::test_util::{Event, Miss};
use cache_runtime::{NotStored, Outcome};

use super::config::{Config, Scope};
use super::functions::{self, LEASE};
use super::log::{Ending, Op, Step, What};
use super::run::{Since, Violation};

/// Callers wait for another process at least this long, however short the load was last time.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);

/// Why a key was loaded while it was being loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// A `refresh` was under way.
    Refreshed,
    /// An invalidation, expiry or write was under way or not confirmed.
    Outdated,
    /// A read was dropped.
    Dropped,
    /// The store did not answer in time.
    Troubled,
    /// A load failed or gave nothing to store.
    Fruitless,
    /// The lease may have been lost.
    Lapsed,
    /// The caller had waited long enough.
    Impatient,
}

/// How the loads of a run were shared.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    pub(super) loads: usize,
    /// Pairs of loads that overlap.
    pub(super) overlapping: usize,
    pub(super) excused: BTreeMap<Excuse, usize>,
    pub(super) violations: Vec<Violation>,
}

#[derive(Debug)]
struct Call {
    op: Op,
    process: usize,
    key: usize,
    start: usize,
    /// Past the last step if it never ended.
    end: usize,
    dropped: bool,
    troubled: bool,
    /// It awaited the answers to all that it sent.
    answered: bool,
    /// An invalidation that ended, and when it was confirmed.
    queued: bool,
    acknowledged: Option<usize>,
}

#[derive(Debug)]
struct Load {
    process: usize,
    key: usize,
    call: usize,
    start: usize,
    end: usize,
    ending: Option<Ending>,
    /// When its caller has told what came of it: those who wait for an id of a batch hear of it when
    /// all have been loaded, and a batch that fails makes it fail.
    over: usize,
}

/// Stretches of the log, of which one asks whether any of them meets another.
#[derive(Debug, Default)]
struct Stretches {
    all: Vec<(usize, usize)>,
}

/// The excuses there are for one key.
#[derive(Debug, Default)]
struct Excuses {
    anybody: BTreeMap<Excuse, Stretches>,
    /// By process.
    fruitless: Vec<Stretches>,
}

pub(super) fn judge(steps: &[Step], config: &Config) -> Sharing {
    let (calls, loads) = read(steps);
    let mut sharing = Sharing {
        loads: loads.len(),
        ..Sharing::default()
    };
    for key in 0..config.keys {
        let excuses = Excuses::of(key, &calls, &loads, steps, config);
        let loads: Vec<&Load> = loads.iter().filter(|load| load.key == key).collect();
        let mut running: Vec<&Load> = Vec::new();
        for second in loads {
            running.retain(|first| first.end > second.start);
            for first in &running {
                if config.scope == Scope::Process && first.process != second.process {
                    continue;
                }
                sharing.overlapping += 1;
                let began =
                    |load: &Load| calls.get(&load.call).map_or(load.start, |call| call.start);
                let first_began = began(first);
                let window = (first_began.min(began(second)), second.start);
                let elapsed = |from: usize| at(steps, second.start).saturating_sub(at(steps, from));
                let held = match config.link.delay {
                    Duration::ZERO => first.start,
                    _ => first_began,
                };
                let excuse = excuses.meet(window).or_else(|| {
                    let victim =
                        |load: &Load| excuses.is_fruitless(load.process, (began(load), load.start));
                    if victim(first) || victim(second) {
                        Some(Excuse::Fruitless)
                    } else if elapsed(held) >= LEASE {
                        Some(Excuse::Lapsed)
                    } else if elapsed(began(second)) >= SHORTEST_WAIT {
                        Some(Excuse::Impatient)
                    } else {
                        None
                    }
                });
                match excuse {
                    Some(excuse) => *sharing.excused.entry(excuse).or_default() += 1,
                    None => sharing.violations.push(Violation {
                        broken: format!(
                            "G2: loaded by call #{} while call #{} loads it, and nothing excuses it",
                            second.call, first.call
                        ),
                        key,
                        step: second.start,
                        since: Since::Step(window.0),
                    }),
                }
            }
            running.push(second);
        }
    }
    sharing
}

impl Excuses {
    fn of(
        key: usize,
        calls: &HashMap<usize, Call>,
        loads: &[Load],
        steps: &[Step],
        config: &Config,
    ) -> Self {
        let mut excuses = Self::default();
        excuses
            .fruitless
            .resize_with(config.processes, Stretches::default);
        // Where nothing is ever on its way, the end is the end.
        let late = |step: usize| match config.link.delay {
            Duration::ZERO => step,
            delay => {
                let until = at(steps, step) + delay;
                step.max(steps.partition_point(|step| step.at <= until))
            }
        };
        let concerns = |call: &&Call| {
            call.key == key || call.op == Op::ClearShelf && functions::is_on_shelf(key)
        };
        for call in calls.values().filter(concerns) {
            let end = if call.answered {
                call.end
            } else {
                late(call.end)
            };
            if call.op == Op::Refresh {
                excuses.add(Excuse::Refreshed, call.start, end);
            }
            if call.op.outdates() {
                let confirmed = match call.acknowledged {
                    Some(step) => step,
                    None if call.queued => steps.len(),
                    None => end,
                };
                excuses.add(Excuse::Outdated, call.start, call.end.max(confirmed));
            }
            if call.dropped && matches!(call.op, Op::Read | Op::Refresh) {
                excuses.add(Excuse::Dropped, call.end, end);
            }
            if call.troubled {
                excuses.add(Excuse::Troubled, call.start, end);
            }
        }
        let calls: Vec<(&usize, &Call)> =
            calls.iter().filter(|(_, call)| call.key == key).collect();
        let loads: Vec<&Load> = loads.iter().filter(|load| load.key == key).collect();
        let starts: HashMap<usize, usize> =
            loads.iter().map(|load| (load.call, load.start)).collect();
        for load in &loads {
            if !matches!(load.ending, Some(Ending::Failed | Ending::NotCacheable)) {
                continue;
            }
            for (process, stretches) in excuses.fruitless.iter_mut().enumerate() {
                let hears = calls.iter().filter_map(|(number, call)| {
                    let under_way = call.start <= load.over && load.end < call.end;
                    let start = starts.get(number).filter(|start| **start > load.end);
                    (under_way && call.process == process)
                        .then(|| start.map_or(call.end, |start| call.end.min(*start)))
                });
                let heard = hears.max().unwrap_or(load.over);
                stretches.all.push((load.end, late(load.over).max(heard)));
            }
        }
        let stretches = excuses.anybody.values_mut().chain(&mut excuses.fruitless);
        stretches.for_each(Stretches::prepare);
        excuses
    }

    fn add(&mut self, excuse: Excuse, start: usize, end: usize) {
        let stretches = self.anybody.entry(excuse).or_default();
        stretches.all.push((start, end));
    }

    fn is_fruitless(&self, process: usize, window: (usize, usize)) -> bool {
        let stretches = self.fruitless.get(process);
        stretches.is_some_and(|stretches| stretches.meet(window))
    }

    fn meet(&self, window: (usize, usize)) -> Option<Excuse> {
        let mut kinds = self.anybody.iter();
        kinds.find_map(|(excuse, stretches)| stretches.meet(window).then_some(*excuse))
    }
}

impl Stretches {
    /// Sorts by start, and keeps with each the latest end so far.
    fn prepare(&mut self) {
        self.all.sort_unstable();
        let mut latest = 0;
        for (_, end) in &mut self.all {
            latest = latest.max(*end);
            *end = latest;
        }
    }

    fn meet(&self, (from, to): (usize, usize)) -> bool {
        let started = self.all.partition_point(|(start, _)| *start <= to);
        let latest = started.checked_sub(1).and_then(|last| self.all.get(last));
        latest.is_some_and(|(_, end)| *end >= from)
    }
}

fn at(steps: &[Step], step: usize) -> Duration {
    let step = steps.get(step).or_else(|| steps.last());
    step.map_or(Duration::ZERO, |step| step.at)
}

fn read(steps: &[Step]) -> (HashMap<usize, Call>, Vec<Load>) {
    let mut calls = HashMap::new();
    let mut loads = Vec::new();
    let mut running: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        let by = step.by;
        match &step.what {
            What::Calls { op, .. } => {
                calls.insert(
                    by.call,
                    Call {
                        op: *op,
                        process: by.process,
                        key: by.key,
                        start: at,
                        end: steps.len(),
                        dropped: false,
                        troubled: false,
                        answered: false,
                        queued: false,
                        acknowledged: None,
                    },
                );
            }
            What::Load => {
                running.entry(by.call).or_default().push(loads.len());
                loads.push(Load {
                    process: by.process,
                    key: by.key,
                    call: by.call,
                    start: at,
                    end: steps.len(),
                    ending: None,
                    over: steps.len(),
                });
            }
            What::Loaded(ending) => {
                let load = running.get_mut(&by.call).and_then(Vec::pop);
                if let Some(load) = load.and_then(|load| loads.get_mut(load)) {
                    (load.end, load.over) = (at, at);
                    load.ending = Some(*ending);
                }
            }
            What::Read(_) | What::Wrote(_) => {}
            ended => {
                let Some(call) = calls.get_mut(&by.call) else {
                    continue;
                };
                match ended {
                    What::Returns(answer) => {
                        call.end = at;
                        call.troubled = answer.events.iter().any(is_trouble);
                        call.answered = !call.troubled && (!answer.failed || !call.op.outdates());
                        let of_call = |load: &&mut Load| load.call == by.call;
                        if let Some(ending) = answer.events.iter().find_map(fruitless)
                            && let Some(load) = loads.iter_mut().rev().find(of_call)
                        {
                            (load.ending, load.over) = (Some(ending), at);
                        }
                    }
                    What::Dropped => {
                        call.end = at;
                        call.dropped = true;
                    }
                    What::Queued(_) => call.queued = true,
                    What::Acknowledged(_) => call.acknowledged = Some(at),
                    _ => {}
                }
            }
        }
    }
    (calls, loads)
}

/// How the load of a call ended of which nobody else has anything.
fn fruitless(event: &Event) -> Option<Ending> {
    match event {
        Event::Ended(Outcome::NotStored(NotStored::Failed)) => Some(Ending::Failed),
        Event::Ended(Outcome::NotStored(NotStored::None | NotStored::Declined)) => {
            Some(Ending::NotCacheable)
        }
        _ => None,
    }
}

/// Whether the store was of no use to a call.
fn is_trouble(event: &Event) -> bool {
    matches!(
        event,
        Event::Missed(Miss::Store(_) | Miss::Unconfirmed)
            | Event::Ended(Outcome::NotStored(
                NotStored::Store(_) | NotStored::Unconfirmed
            ))
    )
}

#[cfg(test)]
mod tests {
    use super::super::config::Link;
    use super::super::log::{Answer, Caller};
    use super::*;

    /// A log in which a step takes a millisecond.
    #[derive(Default)]
    struct Told(Vec<Step>);

    impl Told {
        fn add(&mut self, process: usize, call: usize, what: What) -> &mut Self {
            self.0.push(Step {
                at: Duration::from_millis(self.0.len() as u64),
                by: Caller {
                    process,
                    client: 0,
                    call,
                    key: 0,
                },
                what,
            });
            self
        }

        fn calls(&mut self, call: usize, op: Op) -> &mut Self {
            let (floor, own) = (0, 0);
            self.add(call, call, What::Calls { op, floor, own })
        }

        fn loads(&mut self, call: usize) -> &mut Self {
            self.add(call, call, What::Load)
        }

        fn loaded(&mut self, call: usize, ending: Ending) -> &mut Self {
            self.add(call, call, What::Loaded(ending))
        }

        fn returns(&mut self, call: usize) -> &mut Self {
            let answer = Answer {
                version: None,
                failed: false,
                outdated: Duration::ZERO,
                events: Vec::new(),
            };
            self.add(call, call, What::Returns(answer))
        }

        fn judged(&self, scope: Scope) -> Sharing {
            let config = Config {
                scope,
                ..Config::everything(0, 0, Link::NONE)
            };
            judge(&self.0, &config)
        }
    }

    fn excuses(told: &Told) -> Vec<Excuse> {
        let sharing = told.judged(Scope::Fleet);
        assert_eq!(sharing.overlapping, 1);
        let excused: Vec<_> = sharing.excused.into_keys().collect();
        assert_eq!(sharing.violations.len(), 1 - excused.len());
        excused
    }

    #[test]
    fn a_second_load_beside_the_first_needs_an_excuse() {
        let mut told = Told::default();
        told.calls(0, Op::Read).loads(0);
        told.calls(1, Op::Read).loads(1);
        assert_eq!(excuses(&told), []);
        assert_eq!(
            told.judged(Scope::Process).overlapping,
            0,
            "in another process"
        );
    }

    #[test]
    fn a_load_after_the_first_needs_none() {
        let mut told = Told::default();
        told.calls(0, Op::Read).loads(0).loaded(0, Ending::Value);
        told.calls(1, Op::Read).loads(1);
        assert_eq!(told.judged(Scope::Fleet).overlapping, 0);
    }

    #[test]
    fn an_invalidation_excuses_what_starts_after_it_only() {
        let mut told = Told::default();
        told.calls(9, Op::Invalidate).returns(9);
        told.calls(0, Op::Read).loads(0);
        told.calls(1, Op::Read).loads(1);
        told.calls(8, Op::Invalidate).returns(8);
        assert_eq!(excuses(&told), []);

        let mut told = Told::default();
        told.calls(0, Op::Read).loads(0);
        told.calls(9, Op::Invalidate);
        told.calls(1, Op::Read).loads(1);
        assert_eq!(excuses(&told), [Excuse::Outdated]);
    }

    #[test]
    fn an_invalidation_excuses_until_it_is_confirmed() {
        let mut told = Told::default();
        told.calls(9, Op::Invalidate)
            .add(9, 9, What::Dropped)
            .add(9, 9, What::Queued(1));
        told.calls(0, Op::Read).loads(0);
        told.add(9, 9, What::Acknowledged(1));
        told.calls(1, Op::Read).loads(1);
        assert_eq!(excuses(&told), [Excuse::Outdated]);
    }

    #[test]
    fn those_who_waited_for_a_fruitless_load_load_at_once() {
        let mut told = Told::default();
        told.calls(0, Op::Read).loads(0);
        told.calls(1, Op::Read).calls(2, Op::Read);
        told.loaded(0, Ending::Failed).loads(1).loads(2);
        assert_eq!(excuses(&told), [Excuse::Fruitless]);
    }

    #[test]
    fn refreshes_and_dropped_readers_excuse() {
        let mut told = Told::default();
        told.calls(0, Op::Read).loads(0);
        told.calls(1, Op::Refresh).loads(1);
        assert_eq!(excuses(&told), [Excuse::Refreshed]);

        let mut told = Told::default();
        told.calls(0, Op::Read)
            .calls(1, Op::Read)
            .calls(2, Op::Read);
        told.add(0, 0, What::Dropped).loads(1).loads(2);
        assert_eq!(excuses(&told), [Excuse::Dropped]);
    }
}
