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

";

const PROGRAM: &str = "\nThe program is [`benches/peers`](../../benches/peers/src/main.rs).\n";

/// Prints the report, and writes it and its charts to a folder. Each method is how something in it was
/// measured, as an item of a list.
pub fn publish(
    sections: &[Section],
    methods: &[String],
    is_quick: bool,
    folder: &Path,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut report = format!("{INTRODUCTION}\n{}\n", machine::describe());
    if is_quick {
        report += "**A quick run, with too few rounds for numbers to rely on.**\n\n";
    }
    for section in sections {
        let tables: String = section.tables.iter().map(Table::to_string).collect();
        println!("{}\n\n{tables}", section.title);
        // Writing to a string cannot fail.
        let _ = write!(report, "## {}\n\n", section.title);
        if !section.text.is_empty() {
            let _ = write!(report, "{}\n\n", section.text);
        }
        for chart in &section.charts {
            for theme in [Theme::LIGHT, Theme::DARK] {
                fs::write(folder.join(file(chart, &theme)), chart.svg(&theme))?;
            }
            report += &picture(chart);
        }
        report += &tables;
    }
    report += METHOD;
    for method in methods {
        report += method;
        report += "\n";
    }
    report += PROGRAM;
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
