//! What the report says of behaviour.

use super::calls::End;
use super::outage::Outage;
use super::{Seen, Subject};
use crate::report::{Section, Table, nanoseconds};

/// How that is watched.
pub const METHOD: &str = "\
* **When it matters**: every scenario runs in processes of its own with a Redis of its own, and is \
watched, not asserted. Calls have 30 s. *By hand* an error of Redis is one of the call, and the \
multiplexed connection does not come back, but where it says otherwise.";

pub fn section(seen: &Seen) -> Section {
    let outage = nanoseconds(seen.plan.outage.as_nanos() as f64);
    Section {
        title: "When it matters".to_owned(),
        text: String::new(),
        charts: Vec::new(),
        tables: vec![
            stampedes(seen),
            races(seen),
            deploys(seen),
            outages(
                &format!("Redis is killed, and comes back empty after {outage}. {CALLS}"),
                &seen.kills,
            ),
            outages(
                &format!("Redis is paused for {outage}, its connections stay open. {CALLS}"),
                &seen.pauses,
            ),
            absences(seen),
        ],
    }
}

const CALLS: &str = "8 callers whose load takes 5 ms: calls that began meanwhile, and how long \
                     after its end all callers had hits again";

fn stampedes(seen: &Seen) -> Table {
    let title = "100 callers in each process ask at once for a page that takes 50 ms to load: loads \
                 (and the slowest caller's wait)";
    let mut table = Table::new(title);
    table.head(["1 process", "8 processes"]);
    for (subject, stampedes) in &seen.stampedes {
        let cells = stampedes.iter().map(|stampede| match stampede {
            None => "-".to_owned(),
            Some(seen) => {
                let wait = nanoseconds(seen.milliseconds * 1e6);
                let failed = match seen.failed {
                    0 => String::new(),
                    failed => format!(", {failed} failed"),
                };
                format!("{} ({wait}{failed})", seen.loads)
            }
        });
        table.row(&subject.to_string(), cells);
    }
    table.note("`-`: it lives in its process and shares nothing with others.");
    table
}

fn races(seen: &Seen) -> Table {
    let title = "A load has read the database; the database changes, and the page is removed from \
                 the cache; the load ends: what the next call gets";
    let mut table = Table::new(title);
    table.head(["the next call"]);
    for (subject, race) in &seen.races {
        table.row(&subject.to_string(), [race.as_str()]);
    }
    table
}

fn deploys(seen: &Seen) -> Table {
    let title = "The type of the value changes between deploys: what the new version reads of what \
                 the old one cached";
    let mut table = Table::new(title);
    table.head([
        "fields swapped (640 × 480)",
        "fields retyped (7, 3)",
        "a field renamed (net 100, tax 19, to gross)",
    ]);
    for (name, cells) in &seen.deploys {
        table.row(name, cells.iter().map(String::as_str));
    }
    table
}

fn outages(title: &str, seen: &[(Subject, Outage)]) -> Table {
    let mut table = Table::new(title);
    table.head(["calls", "median", "longest", "hits again after"]);
    for (subject, outage) in seen {
        let ends = outage
            .ends
            .iter()
            .map(|(end, calls)| format!("{calls} {}", name(*end)));
        let recovered = outage.recovered.map_or_else(
            || "not seen".to_owned(),
            |time| nanoseconds(time as f64 * 1e3),
        );
        let cells = [
            ends.collect::<Vec<_>>().join(", "),
            nanoseconds(outage.median * 1e3),
            nanoseconds(outage.longest * 1e3),
            recovered,
        ];
        table.row(&subject.to_string(), cells);
    }
    for (subject, outage) in seen {
        if let Some(message) = &outage.message {
            table.note(format!("The first error of {subject}: `{message}`"));
        }
    }
    table
}

fn absences(seen: &Seen) -> Table {
    let mut table = Table::new("There is no Redis when the process starts: its first call");
    table.head(["the first call", "took"]);
    for (subject, absence) in &seen.absences {
        let took = nanoseconds(absence.microseconds as f64 * 1e3);
        table.row(&subject.to_string(), [name(absence.end).to_owned(), took]);
    }
    for (subject, absence) in &seen.absences {
        if !absence.message.is_empty() {
            table.note(format!("The error of {subject}: `{}`", absence.message));
        }
    }
    table
}

fn name(end: End) -> &'static str {
    match end {
        End::Hit => "hits",
        End::Loaded => "the function's result",
        End::Failed => "**errors**",
        End::Panicked => "**panics**",
        End::Unanswered => "**without an answer**",
    }
}
