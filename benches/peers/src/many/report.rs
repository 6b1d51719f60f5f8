//! What the report says of many ids at once.

use super::batches::{Batches, IDS, Reader};
use super::tag::Tagged;
use super::{Plan, Seen};
use crate::report::{Section, Table, count, median, nanoseconds};

/// How that is measured.
pub fn method(plan: Plan) -> String {
    format!(
        "* **Many ids at once**: the readers take turns in one process, {} of {} each; *all at once* is a task \
         for each id, all of them awaited. By hand and by one call a map is made of what is found. What is to be \
         loaded has ids that nobody asked for before, and an origin that answers at once.",
        plan.rounds,
        nanoseconds(plan.length.as_nanos() as f64),
    )
}

pub fn section(seen: &Seen) -> Section {
    Section {
        title: "Many ids at once".to_owned(),
        text: String::new(),
        charts: Vec::new(),
        tables: vec![batches(&seen.batches), tags(&seen.tags)],
    }
}

fn batches(batches: &Batches) -> Table {
    let mut table = Table::new(format!(
        "{IDS} ids, 256 B each, MessagePack: ids per second, median of the rounds"
    ));
    table.head([
        "all of them cached",
        "of a call in turn",
        "none of them cached",
        "of a call in turn",
    ]);
    let last = |rounds: &[Vec<f64>]| rounds.last().cloned().unwrap_or_default();
    let (hits, loads) = (last(&batches.hits), last(&batches.loads));
    let rows = batches.hits.iter().zip(&batches.loads);
    for (reader, (hit, load)) in Reader::ALL.into_iter().zip(rows) {
        let name = match reader {
            Reader::ByHand => "redis-rs `MGET`, decoded by hand",
            Reader::Batch => "one call of `#[cached(…, each(id in ids))]`",
            Reader::AtOnce => "a call for each id, all at once",
            Reader::InTurn => "a call for each id, one after another",
        };
        let [hit_rate, hit_ratio] = against(hit, &hits);
        let [load_rate, load_ratio] = against(load, &loads);
        table.row(name, [hit_rate, hit_ratio, load_rate, load_ratio]);
    }
    table.note(
        "By hand nothing is checked, and nothing is known of leases, invalidations and tags.",
    );
    table
}

/// The rate, and how many times that of the other it is.
fn against(rates: &[f64], others: &[f64]) -> [String; 2] {
    if rates.is_empty() {
        return ["".to_owned(), "".to_owned()];
    }
    let [rate, other] = [rates, others].map(|rates| median(rates.iter().copied()));
    [count(rate), format!("{:.1}", rate / other)]
}

fn tags(tags: &[Tagged]) -> Table {
    let mut table = Table::new("Invalidating a tag");
    table.head([
        "until it is acknowledged",
        "again, with at most 100 of them current: median of 4 (longest)",
        "commands",
        "of a sample of its entries served afterwards",
    ]);
    for tag in tags {
        let name = match tag.entries {
            1 => "that one entry has".to_owned(),
            entries => format!("that {entries} entries have"),
        };
        let Some((first, others)) = tag.took.split_first() else {
            continue;
        };
        let longest = others.iter().copied().fold(0.0, f64::max);
        let took = nanoseconds(median(others.iter().copied()));
        let (served, sample) = tag.served;
        let cells = [
            nanoseconds(*first),
            format!("{took} ({})", nanoseconds(longest)),
            format!("{:.0}", tag.commands),
            format!("{served} of {sample}"),
        ];
        table.row(&name, cells);
    }
    table
}
