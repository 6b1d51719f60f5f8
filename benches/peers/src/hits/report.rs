//! What the report says of hits.

use super::chart;
use super::entrants::{LONGEST_TURN, TURN_OF_ONE};
use super::{CALLERS, COUNTED, Hits, Place, Plan, Row};
use crate::contenders::pooled;
use crate::report::{Section, Table, nanoseconds, spread};

const SPREAD: &str = "\
The system chooses which processors callers and server run on, and changes its mind several times a \
second. With few callers a call is then mostly the time until a processor wakes, whoever makes it.";

const APART: &str = "\
The callers are kept on one processor and the server on another, as if each had a machine of its \
own. Where neither is, the system moves them about, and how fast a turn is depends on where they are.";

const ON_ONE: &str = "\
With few callers, the callers and the server mostly wait for each other, and on two processors each \
of them then goes to sleep and has to be woken: in a virtual machine that can take longer than the \
call. Here nobody wakes a processor, so what is compared is the work.";

const IN_PROCESS: &str = "\
The two with `near` are copies of what Redis holds, and follow its changes; the others are alone in \
their process. All values are shared (`Arc`), but where it says owned.";

/// How that is measured.
pub fn method(plan: Plan) -> String {
    let [length, longest, one] =
        [plan.length, LONGEST_TURN, TURN_OF_ONE].map(|time| nanoseconds(time.as_nanos() as f64));
    format!(
        "* **Hits**: all contenders take turns in one process, on a runtime of two threads, in {} rounds after \
         one to warm up. Each has {length} in a round, in turns of {longest}, and on Redis, unless all share \
         one processor, in turns of {one} for each caller up to that, since how fast few callers are \
         changes several times a second. Each caller asks for one of 1,000 pages at random; all of them are \
         cached before and checked to be right, and what is loaded all the same is said below the table. \
         Latencies are those of all calls in all rounds, but for each caller's first in a turn of several; in \
         the process one of {} calls in a row, drawn anew each time, is timed, and reading the clock is part \
         of it (see the first line). Commands are Redis's own count, allocations are counted by the allocator, \
         both in turns of their own. Where a contender runs at one of two speeds for whole rounds, the median \
         falls on either: the spread shows it. `deadpool-redis`, `cached`, `hitbox` and the others are as \
         they are by default; the first has {} connections here. Where processors can be chosen, *on a \
         processor each* a Redis of its own is kept on one and the program on another, *on one processor* \
         both together: what few callers get does not depend on the system's choice there. *RESP by hand* \
         writes and parses the protocol on one connection, a `GET` for each call, without timeouts or \
         reconnecting: it shows what those cost. `#[cached]` can be faster with several callers, since \
         calls that wait at the same moment share an `MGET`.",
        plan.rounds,
        Place::InProcess.stride(),
        pooled::connections(),
    )
}

/// One section for each comparison.
pub fn sections(all: &[Hits]) -> Vec<Section> {
    all.iter().map(section).collect()
}

fn section(hits: &Hits) -> Section {
    let title = match hits.place {
        Place::InProcess => "Hits in the process".to_owned(),
        place => format!("Hits on Redis, values of {}{}", hits.size, place.kept().0),
    };
    let text = match hits.place {
        Place::RedisApart => APART,
        Place::RedisOnOne => ON_ONE,
        Place::Redis => SPREAD,
        Place::InProcess => IN_PROCESS,
    };
    Section {
        title,
        text: text.to_owned(),
        charts: chart::charts(hits),
        tables: vec![ratios(hits), rates(hits), latencies(hits), counts(hits)],
    }
}

fn ratios(hits: &Hits) -> Table {
    let mut table = Table::new(format!(
        "Calls per second as a ratio to {}",
        hits.place.baseline()
    ));
    table.head(callers());
    for row in &hits.rows {
        let cells = ratios_of(hits, row).into_iter().map(ratio);
        table.row(row.name, cells);
    }
    for row in &hits.rows {
        let loads: u64 = row.cells.iter().map(|cell| cell.loads).sum();
        if loads > 0 {
            let name = row.name;
            table.note(format!(
                "{name}: {loads} of its calls were no hits, and ran the function."
            ));
        }
    }
    table
}

pub fn ratio(ratio: f64) -> String {
    match ratio {
        ..0.01 => format!("{ratio:.4}"),
        _ => format!("{ratio:.2}"),
    }
}

/// One for each number of callers.
pub fn ratios_of(hits: &Hits, row: &Row) -> Vec<f64> {
    let Some(baseline) = hits.rows.get(row.baseline) else {
        return Vec::new();
    };
    let cells = row.cells.iter().zip(&baseline.cells);
    cells
        .map(|(cell, baseline)| cell.middle() / baseline.middle())
        .collect()
}

fn rates(hits: &Hits) -> Table {
    let mut table = Table::new("Calls per second: median (lowest to highest round)");
    table.head(callers());
    for row in &hits.rows {
        table.row(row.name, row.cells.iter().map(|cell| spread(&cell.rates)));
    }
    table
}

fn latencies(hits: &Hits) -> Table {
    let mut table = Table::new("Latency: p50 / p99");
    table.head(callers());
    for row in &hits.rows {
        let cells = row.cells.iter().map(|cell| {
            let at = |part| nanoseconds(cell.latencies.value_at_quantile(part) as f64);
            format!("{} / {}", at(0.5), at(0.99))
        });
        table.row(row.name, cells);
    }
    table
}

fn counts(hits: &Hits) -> Table {
    let mut table = Table::new("What a hit needs");
    let of = |what| COUNTED.map(|callers| format!("{what}, {callers} at once"));
    let with_commands = hits.place != Place::InProcess;
    let commands = if with_commands {
        of("commands").to_vec()
    } else {
        Vec::new()
    };
    table.head(commands.into_iter().chain(of("allocations")));
    if with_commands {
        table.note("An `MGET` is one command, of however many keys.");
    }
    for row in &hits.rows {
        let commands = row.counts.iter().filter_map(|counts| counts.commands);
        let commands: Vec<_> = commands.map(|commands| format!("{commands:.2}")).collect();
        let allocations = row
            .counts
            .iter()
            .map(|counts| format!("{:.1}", counts.allocations));
        table.row(row.name, commands.into_iter().chain(allocations));
    }
    table
}

/// The heads of columns and panels.
pub fn callers() -> impl Iterator<Item = String> {
    CALLERS.into_iter().map(|callers| match callers {
        1 => "1 caller".to_owned(),
        callers => format!("{callers} callers"),
    })
}
