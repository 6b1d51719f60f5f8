//! Charts of hits.

use super::report::{callers, ratio, ratios_of};
use super::{CALLERS, Hits, Place};
use crate::chart::{Bar, Chart, Panel, Row, Scale};
use crate::page::Size;
use crate::report::nanoseconds;

/// Numbers of callers whose latencies are drawn.
const SHOWN: [usize; 2] = [1, 64];

pub fn charts(hits: &Hits) -> Vec<Chart> {
    let (what, name) = match (hits.place, hits.size) {
        (Place::InProcess, _) => ("Hits in the process".to_owned(), "memory".to_owned()),
        (place, size) => {
            let bytes = match size {
                Size::Small => 256,
                Size::Large => 4096,
            };
            let (words, suffix) = place.kept();
            (
                format!("Hits on Redis, {size}{words}"),
                format!("{bytes}{suffix}"),
            )
        }
    };
    vec![
        Chart {
            name: format!("hits-{name}"),
            title: format!(
                "{what}: calls per second as a ratio to {}",
                hits.place.baseline()
            ),
            rows: rows(hits),
            panels: ratios(hits),
        },
        Chart {
            name: format!("latency-{name}"),
            title: format!("{what}: latency from p50 to p99, on a logarithmic scale"),
            rows: rows(hits),
            panels: latencies(hits),
        },
    ]
}

fn rows(hits: &Hits) -> Vec<Row> {
    hits.rows.iter().map(|row| Row::new(row.name)).collect()
}

fn ratios(hits: &Hits) -> Vec<Panel> {
    let all: Vec<_> = hits.rows.iter().map(|row| ratios_of(hits, row)).collect();
    let panels = callers().enumerate().map(|(number, title)| {
        let bars = all.iter().map(|ratios| {
            let to = ratios.get(number).copied().unwrap_or_default();
            Bar {
                from: 0.0,
                to,
                label: ratio(to),
            }
        });
        Panel {
            title,
            bars: bars.collect(),
            scale: Scale::Linear,
            reference: Some(1.0),
        }
    });
    panels.collect()
}

fn latencies(hits: &Hits) -> Vec<Panel> {
    let panels = callers().enumerate().map(|(number, title)| {
        let bars = hits.rows.iter().filter_map(|row| {
            let latencies = &row.cells.get(number)?.latencies;
            let [from, to] = [0.5, 0.99].map(|part| latencies.value_at_quantile(part) as f64);
            let label = format!("{} to {}", nanoseconds(from), nanoseconds(to));
            Some(Bar { from, to, label })
        });
        Panel {
            title,
            bars: bars.collect(),
            scale: Scale::Logarithmic,
            reference: None,
        }
    });
    let shown = CALLERS.into_iter().zip(panels);
    let shown = shown.filter(|(callers, _)| SHOWN.contains(callers));
    shown.map(|(_, panel)| panel).collect()
}
