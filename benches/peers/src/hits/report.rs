//! What the report says of hits.

use super::chart;
use super::{CALLERS, COUNTED, Hits, Place, Row};
use crate::report::{Section, Table, nanoseconds, spread};

const APART: &str = "\
The callers are kept on one processor and the server on another, as if each had a machine of its \
own. Where neither is, the system moves them about, and how fast a turn is depends on where they are.";

const ON_ONE: &str = "\
With few callers, the callers and the server mostly wait for each other, and on two processors each \
of them then goes to sleep and has to be woken: in a virtual machine that can take longer than the \
call. Here nobody wakes a processor, so what is compared is the work.";

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
        Place::Redis | Place::InProcess => "",
    };
    Section {
        title,
        text: text.to_owned(),
        charts: chart::charts(hits),
        tables: vec![ratios(hits), rates(hits), latencies(hits), counts(hits)],
    }
}

fn ratios(hits: &Hits) -> Table {
    let mut table = Table::new("Calls per second as a ratio to the baseline");
    table.head(callers());
    for row in &hits.rows {
        let cells = ratios_of(hits, row).into_iter().map(ratio);
        table.row(row.name, cells);
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
