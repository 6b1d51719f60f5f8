//! A table in Markdown that is also aligned for the terminal.

use std::fmt;

pub struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            head: vec![String::new()],
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Names the columns after the first.
    pub fn head(&mut self, columns: impl IntoIterator<Item = impl Into<String>>) {
        self.head.extend(
            columns
                .into_iter()
                .map(|column| column.into().trim_end().to_owned()),
        );
    }

    pub fn row(&mut self, name: &str, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells = cells.into_iter().map(Into::into);
        self.rows
            .push([name.to_owned()].into_iter().chain(cells).collect());
    }

    /// Says something below the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn width(&self, column: usize) -> usize {
        let rows = self.rows.iter().chain([&self.head]);
        let cells = rows.filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<_> = (0..self.head.len())
            .map(|column| self.width(column))
            .collect();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String]| {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "| {cell:<width$} |")?,
                    _ => write!(f, " {cell:>width$} |")?,
                }
            }
            writeln!(f)
        };
        writeln!(f, "**{}**\n", self.title)?;
        line(f, &self.head)?;
        for (column, &width) in widths.iter().enumerate() {
            let dashes = "-".repeat(width);
            match column {
                0 => write!(f, "| {dashes} |")?,
                _ => write!(f, " {}: |", &dashes.get(1..).unwrap_or_default())?,
            }
        }
        writeln!(f)?;
        self.rows.iter().try_for_each(|row| line(f, row))?;
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes
            .iter()
            .try_for_each(|note| writeln!(f, "* {note}"))?;
        writeln!(f)
    }
}
