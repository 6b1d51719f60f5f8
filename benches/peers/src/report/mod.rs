//! What is printed and written: sections of tables and charts.

mod machine;
mod number;
mod table;

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

pub use number::{count, median, nanoseconds, quantile, spread};
pub use table::Table;

use crate::chart::{Chart, Theme};

/// A part of the report.
pub struct Section {
    pub title: String,
    /// What to know before reading on.
    pub text: String,
    pub charts: Vec<Chart>,
    pub tables: Vec<Table>,
}

const INTRODUCTION: &str = "\
# Benchmarks

Made by `cargo xtask bench`, which measures this project and what else there is side by side: see \
[how](#how-it-was-measured). Absolute numbers are those of one machine and one day; ratios within \
a run are what carries over.
";

const METHOD: &str = "\
## How it was measured

A ratio is that of the medians of all rounds. Contenders take turns in an order that is drawn each time.

* **Hits**: all contenders take turns in one process, on a runtime of two threads. Each has \
0.25 s in a round, in turns of 50 ms, and on Redis, unless all share one processor, in turns of 0.5 ms for each \
caller up to that, since how fast few callers are changes several times a second. Each caller asks for one of 1,000 pages at random; all of them are \
cached before, checked to be right, and none is loaded while it is measured. Latencies are those of \
all calls in all rounds, but for each caller's first in a turn of several; in the process every 64th call is timed, and reading the clock is part of \
it (see the first line). Commands are Redis's own count, allocations are counted by the allocator, \
both in turns of their own. `deadpool-redis`, `cached`, `hitbox` and the others are as they are by \
default. *On a processor each* a Redis of its own is kept on one and the program on another, *on one \
processor* both together; `cached` is left out there, whose one connection leads to the Redis of the \
first comparison. *RESP by hand* writes \
and parses the protocol on one connection without errors, timeouts or reconnecting: what is \
possible, not what is usable.
* **When it matters**: every scenario runs in processes of its own with a Redis of its own, and is \
watched, not asserted. Calls have 30 s.
* **Copies in the process**: the cost of tracking is measured with a server and processes of its own \
for each number of them in each round. CPU time is what the server says of \
itself. In the race the reader's and the writer's connections are in one process. In the scan the \
keys are written by another cache in the same process, 10,000 at a time, before they are read.
* **Many ids at once**: the readers take turns in one process; *all at \
once* is a task for each id, all of them awaited. What is to be loaded has ids that nobody asked for \
before, and an origin that answers at once. A tag is invalidated five times; its entries are \
current at the first.
* **Compiling**: programs with one and with many functions are generated and built with their \
dependencies built before; a cell is the difference divided by the number of functions.

The program is [`benches/peers`](../../benches/peers/src/main.rs).
";

/// Prints the report, and writes it and its charts to a folder.
pub fn publish(sections: &[Section], is_quick: bool, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut report = format!("{INTRODUCTION}\n{}\n", machine::describe());
    if is_quick {
        report += "**A quick run, with too few rounds for numbers to rely on.**\n\n";
    }
    for section in sections {
        let tables: String = section.tables.iter().map(Table::to_string).collect();
        println!("{}\n\n{tables}", section.title);
        // Writing to a string cannot fail.
        let _ = write!(report, "## {}\n\n{}", section.title, section.text);
        for chart in &section.charts {
            for theme in [Theme::LIGHT, Theme::DARK] {
                fs::write(folder.join(file(chart, &theme)), chart.svg(&theme))?;
            }
            report += &picture(chart);
        }
        report += &tables;
    }
    report += METHOD;
    let file = folder.join("report.md");
    fs::write(&file, report)?;
    println!(
        "Written to {}",
        file.canonicalize().unwrap_or(file).display()
    );
    Ok(())
}

fn file(chart: &Chart, theme: &Theme) -> String {
    format!("{}-{}.svg", chart.name, theme.name)
}

/// The chart that suits the reader's page.
fn picture(chart: &Chart) -> String {
    format!(
        "<picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"{}\">\n  \
         <img alt=\"{}\" src=\"{}\" width=\"900\">\n</picture>\n\n",
        file(chart, &Theme::DARK),
        chart.title,
        file(chart, &Theme::LIGHT)
    )
}
