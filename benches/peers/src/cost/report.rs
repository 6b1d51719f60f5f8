//! What the report says of the cost of compiling.

use super::{Cost, Costs};
use crate::report::{Section, Table};

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
