//! What the report says of the cost of compiling.

use super::{Cost, Costs};
use crate::chart::{Bar, Chart, Panel, Row, Scale};
use crate::report::{Section, Table};

/// How that is measured.
pub const METHOD: &str = "\
* **Compiling**: programs with one and with many functions are generated and built with their \
dependencies built before; a cell is the difference divided by the number of functions.";

pub fn sections(costs: &Costs) -> Vec<Section> {
    let functions = format!(
        "What one function adds, of {} that share a value type",
        costs.plan.functions
    );
    let types = format!(
        "What one function with a value type of its own adds, of {}, by codec of `#[cached]`",
        costs.plan.types
    );
    vec![Section {
        title: "What compiling costs".to_owned(),
        text: String::new(),
        charts: vec![chart(costs)],
        tables: vec![
            table(&functions, &costs.functions),
            table(&types, &costs.types),
        ],
    }]
}

fn table(title: &str, costs: &[Cost]) -> Table {
    let mut table = Table::new(title);
    table.head([
        "expanded lines",
        "check",
        "debug build",
        "release build",
        "machine code",
    ]);
    for cost in costs {
        let cells = [
            format!("{:.0}", cost.lines),
            milliseconds(cost.check),
            milliseconds(cost.debug),
            milliseconds(cost.release),
            format!("{:.1} KiB", cost.code),
        ];
        table.row(cost.name, cells);
    }
    table
}

fn milliseconds(time: f64) -> String {
    let decimals = usize::from(time.abs() < 10.0);
    format!("{time:.decimals$} ms")
}

fn chart(costs: &Costs) -> Chart {
    let panel = |title: &str, of: fn(&Cost) -> (f64, String)| {
        let bars = costs.functions.iter().map(|cost| {
            let (to, label) = of(cost);
            Bar {
                from: 0.0,
                to,
                label,
            }
        });
        Panel {
            title: title.to_owned(),
            bars: bars.collect(),
            scale: Scale::Linear,
            reference: None,
        }
    };
    Chart {
        name: "compiling".to_owned(),
        title: "What one more function costs where it is compiled".to_owned(),
        rows: costs
            .functions
            .iter()
            .map(|cost| Row::new(cost.name))
            .collect(),
        panels: vec![
            panel("expanded lines", |cost| {
                (cost.lines, format!("{:.0}", cost.lines))
            }),
            panel("check", |cost| (cost.check, milliseconds(cost.check))),
            panel("release build", |cost| {
                (cost.release, milliseconds(cost.release))
            }),
            panel("machine code", |cost| {
                (cost.code, format!("{:.1} KiB", cost.code))
            }),
        ],
    }
}
