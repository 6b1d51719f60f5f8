//! What is printed and written: sections of tables and charts.

mod number;
mod table;

use std::fmt;
use std::path::Path;
use std::{fs, io};

pub use number::{count, median, nanoseconds};
pub use table::Table;

/// A part of the report.
pub struct Section {
    pub title: String,
    pub tables: Vec<Table>,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n", self.title)?;
        self.tables
            .iter()
            .try_for_each(|table| writeln!(f, "{table}"))
    }
}

/// Prints the report and writes it to a folder.
pub fn publish(sections: &[Section], folder: &Path) -> io::Result<()> {
    let report: String = sections.iter().map(Section::to_string).collect();
    println!("{report}");
    fs::create_dir_all(folder)?;
    let file = folder.join("report.md");
    fs::write(&file, report)?;
    println!("Written to {}", file.display());
    Ok(())
}
