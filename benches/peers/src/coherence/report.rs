//! What the report says of copies in the process.

use super::delay::{self, Change, Delay, Delays};
use super::load::{KEYS, LENGTH, ONE_IN, Shape};
use super::race::{self, Race};
use super::scan::{self, Scan};
use super::toll::{PROCESSES, Row, Toll};
use super::{Plan, Seen};
use crate::report::{Section, Table, count, median, nanoseconds, quantile, spread};

/// How that is measured.
pub fn method(plan: Plan) -> String {
    format!(
        "* **Copies in the process**: the cost of tracking is measured in {} rounds of {}, with a server and \
         processes of its own for each number of them in each round. CPU time is what the server says of \
         itself. In the race the reader's and the writer's connections are in one process. In the scan the \
         keys are written by another cache in the same process, 10,000 at a time, before they are read.",
        plan.rounds,
        nanoseconds(plan.length.as_nanos() as f64),
    )
}

pub fn section(seen: &Seen) -> Section {
    let mut tables: Vec<_> = seen.tolls.iter().map(tolls).collect();
    tables.push(delays(&seen.delays));
    tables.push(races(&seen.plan, &seen.races));
    tables.push(scans(&seen.plan, &seen.scan));
    Section {
        title: "Copies in the process".to_owned(),
        text: String::new(),
        charts: Vec::new(),
        tables,
    }
}

fn tolls(toll: &Toll) -> Table {
    let mut table = Table::new(format!(
        "What it costs the server to tell processes of changes: `SET`s of {LENGTH} B over {}, of {} \
         keys, one in {ONE_IN} of which begins as those of a function with `near`",
        shape(toll.shape),
        KEYS.end - KEYS.start,
    ));
    table.head([
        "per second: median (lowest to highest round)",
        "ratio",
        "the server's CPU time for one",
        "ratio",
    ]);
    let Some(none) = toll.rows.first() else {
        return table;
    };
    for (processes, row) in PROCESSES.into_iter().zip(&toll.rows) {
        let name = match processes {
            0 => "nobody is told".to_owned(),
            processes => format!("{processes} processes"),
        };
        let cells = [
            spread(&row.rates),
            ratio(row, none, |row| &row.rates),
            nanoseconds(median(row.computed.iter().copied())),
            ratio(row, none, |row| &row.computed),
        ];
        table.row(&name, cells);
    }
    table.note(
        "The processes have copies and do nothing but hear of changes; they, the server and who \
         writes share the machine's cores. Over loopback the server's time includes what the other \
         side of the connection costs the system.",
    );
    table
}

fn shape(shape: Shape) -> String {
    let connections = shape.connections;
    match shape.together {
        1 => format!("{connections} connections, each of which waits for every reply"),
        together => format!("{connections} connections, {together} at a time on each"),
    }
}

fn ratio(row: &Row, other: &Row, of: impl Fn(&Row) -> &[f64]) -> String {
    let middle = |row| median(of(row).iter().copied());
    format!("{:.2}", middle(row) / middle(other))
}

fn delays(delays: &Delays) -> Table {
    let mut table = Table::new(
        "From a change in one process until a copy in another serves no more: p50 / p99",
    );
    table.head([
        "from its start, idle",
        "from its start, loaded",
        "from its acknowledgement, idle",
        "from its acknowledgement, loaded",
    ]);
    let sides = delays.idle.iter().zip(&delays.loaded);
    for (change, (idle, loaded)) in Change::ALL.into_iter().zip(sides) {
        let name = match change {
            Change::Invalidate => "`entry.invalidate()`",
            Change::Del => "`DEL` by any client",
            Change::Set => "`SET` by any client",
        };
        let cells = [
            both(&idle.from_start),
            both(&loaded.from_start),
            both(&idle.from_acknowledgement),
            both(&loaded.from_acknowledgement),
        ];
        table.row(name, cells);
    }
    let all = |of: fn(&Delay) -> &[f64]| {
        let seen = |delays: &[Delay]| -> Vec<f64> {
            delays
                .iter()
                .flat_map(|delay| of(delay).iter().copied())
                .collect()
        };
        (seen(&delays.idle), seen(&delays.loaded))
    };
    let (idle, loaded) = all(|delay| &delay.between_looks);
    table.note(format!(
        "The other process is another cache on another thread, so that both have one clock. It looks \
         all the time; between its last two looks there were {} (p50 / p99), loaded {}. 0: it was \
         gone by then.",
        both(&idle),
        both(&loaded)
    ));
    table.note(format!(
        "{} changes of each kind. Loaded: another process writes over {}, one key in {ONE_IN} of \
         those that the server tells of, and {} callers read: the server carries out {} `SET`s and \
         {} reads a second.",
        delays
            .idle
            .first()
            .map_or(0, |delay| delay.from_start.len() + delay.early),
        shape(delay::SHAPE),
        delay::READERS,
        count(delays.load.sets),
        count(delays.load.reads)
    ));
    let early: usize = delays
        .idle
        .iter()
        .chain(&delays.loaded)
        .map(|delay| delay.early)
        .sum();
    if early > 0 {
        table.note(format!(
            "Copies that served no more before they were changed, which are not counted: {early}."
        ));
    }
    table
}

fn both(times: &[f64]) -> String {
    let at = |part| match quantile(times.iter().copied(), part) {
        0.0 => "0".to_owned(),
        time => nanoseconds(time),
    };
    format!("{} / {}", at(0.5), at(0.99))
}

fn races(plan: &Plan, races: &[Race]) -> Table {
    let mut table = Table::new(format!(
        "{} readers in one process copy what another client overwrites meanwhile, {} keys in turn, \
         {} times each: what copies serve when all has been quiet for {}",
        race::READERS,
        race::KEYS,
        plan.writes,
        nanoseconds(race::QUIET.as_nanos() as f64)
    ));
    table.head(["reads", "served by copies", "copies in the end", "stale"]);
    for race in races {
        let cells = [
            count(race.reads as f64),
            part(race.served as f64 / race.reads as f64),
            race.copies.to_string(),
            match race.stale {
                0 => "0".to_owned(),
                stale => format!("**{stale}**"),
            },
        ];
        table.row(race.name, cells);
    }
    table.note(
        "All are overwritten from another connection: by `entry.put(&value)` of another cache, by `SET` of \
         redis-rs, and by `cached`, which sends a `GET` along.",
    );
    table
}

fn scans(plan: &Plan, scan: &Scan) -> Table {
    let mut table = Table::new(format!(
        "A scan of {} keys, each found in Redis once, in a process whose copies may weigh {}",
        count(scan.keys as f64),
        mebibytes(plan.capacity as f64)
    ));
    table.head(["before", "during it"]);
    let memory = |bytes: Option<u64>| bytes.map_or("-".to_owned(), |bytes| mebibytes(bytes as f64));
    table.row(
        "what the copies weigh at most",
        ["-".to_owned(), bounded(scan.copied_bytes, plan.capacity)],
    );
    table.row(
        "resident memory of the process, at most",
        [memory(scan.before), memory(scan.peak)],
    );
    for (pace, hot) in scan::PACES.into_iter().zip(&scan.hot) {
        let name = format!(
            "hits of copies, of {} keys of which one is read after {pace} scanned",
            scan::HOT
        );
        let cells = [hot.before, hot.during].map(|served| part(served.ratio()));
        table.row(&name, cells);
    }
    table.note(format!(
        "{} callers, values of {} B; {} keys a second are written, read and in the end deleted; {} were found; {} copies in the end, weighed \
         {} times. What was scanned {} keys before is deleted.",
        scan::CALLERS,
        scan::LENGTH,
        count(scan.keys as f64 / scan.seconds),
        scan.found,
        scan.copies,
        scan.looks,
        count(scan::KEPT as f64),
    ));
    table
}

fn bounded(bytes: u64, bound: usize) -> String {
    let text = format!("{bytes} of {bound} B");
    match bytes <= bound as u64 {
        true => text,
        false => format!("**{text}**"),
    }
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

fn part(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}
