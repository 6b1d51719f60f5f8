//! G3 in every interleaving: flights, leases, intents and deletions together.

use std::time::Duration;

use loom::thread;

use crate::broken::Rule;
use crate::explore::explore;
use crate::process::{Answer, Process, World};
use crate::store::Store;
use crate::sync::{Arc, Mutex};

/// What somebody does, and in which process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Calls the annotated function in process 0 or 1.
    Read(usize),
    /// Calls it for a refresh.
    Refresh(usize),
    /// Calls it and is cancelled while it loads.
    Cancel(usize),
    /// Changes the origin, then invalidates the entry.
    Invalidate(usize),
    /// Changes the origin and writes its value through.
    Update(usize),
}

/// What the parts meet.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Whether the entry holds the current value at first.
    pub warm: bool,
    /// How long a lease stands by the store's clock, which stands still.
    pub lease: Duration,
    /// Whether callers trust their process alone (`SingleFlight::Process`). The floor is the
    /// process's own then: all parts are to be of one process.
    pub alone: bool,
    /// A rule that is switched off.
    pub off: Option<Rule>,
    /// How often, at most, somebody is interrupted.
    pub interruptions: usize,
}

impl Setting {
    /// An empty entry, leases that outlive the model, all rules, three interruptions.
    pub const COLD: Self = Self {
        warm: false,
        lease: Duration::from_secs(1),
        alone: false,
        off: None,
        interruptions: 3,
    };
}

/// Runs these parts at once in every order, and afterwards one call in each process. Returns the
/// number of executions.
///
/// # Panics
///
/// If a call returns a version below the floor that stood when it began.
pub fn play(setting: Setting, parts: &'static [Part]) -> usize {
    explore(setting.interruptions, move || {
        let world = Arc::new(World {
            store: Store::new(setting.warm.then_some(0)),
            origin: Mutex::new(0),
            floor: Mutex::new(0),
            lease: setting.lease,
            alone: setting.alone,
            off: setting.off,
        });
        let processes = Arc::new([(); 2].map(|()| Process::new(&world)));
        let threads: Vec<_> = parts
            .iter()
            .map(|part| {
                let processes = processes.clone();
                thread::spawn(move || part.act(&processes))
            })
            .collect();
        let answers = threads.into_iter().filter_map(|one| one.join().ok()?);
        let mut answers: Vec<_> = answers.collect();
        answers.extend(processes.iter().map(Process::call));
        for Answer { version, floor } in answers {
            assert!(version >= floor, "G3: {version} is below the floor {floor}");
        }
    })
}

impl Part {
    fn act(self, processes: &[Process; 2]) -> Option<Answer> {
        let process = |number: usize| processes.get(number);
        match self {
            Self::Read(number) => process(number).map(Process::call),
            Self::Refresh(number) => process(number).map(Process::refresh),
            Self::Cancel(number) => {
                process(number)?.cancelled_call();
                None
            }
            Self::Invalidate(number) => {
                process(number)?.invalidate();
                None
            }
            Self::Update(number) => {
                process(number)?.update();
                None
            }
        }
    }
}
