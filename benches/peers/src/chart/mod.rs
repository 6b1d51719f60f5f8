//! Charts as SVG: rows of bars in panels side by side, in the colours of a light or a dark page.

mod svg;
mod theme;

pub use theme::Theme;

/// Panels that share their rows.
#[derive(Debug)]
pub struct Chart {
    /// The name of its files.
    pub name: String,
    pub title: String,
    pub rows: Vec<Row>,
    pub panels: Vec<Panel>,
}

/// Who a row is about.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    /// Ours stand out.
    pub is_ours: bool,
}

/// One number of each row.
#[derive(Debug)]
pub struct Panel {
    pub title: String,
    pub bars: Vec<Bar>,
    pub scale: Scale,
    /// Where a line is drawn that all bars are compared with.
    pub reference: Option<f64>,
}

#[derive(Debug, Clone)]
pub struct Bar {
    /// Where it begins; on a linear scale, 0.
    pub from: f64,
    pub to: f64,
    pub label: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// The same in all panels.
    Logarithmic,
}

impl Chart {
    pub fn svg(&self, theme: &Theme) -> String {
        svg::draw(self, theme)
    }
}

impl Row {
    /// Names in Markdown stand in backticks, names in charts do not.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.replace('`', ""),
            is_ours: name.contains("#[cached]"),
        }
    }
}
