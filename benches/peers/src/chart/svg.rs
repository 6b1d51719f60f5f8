//! Where things stand on the picture.

use std::fmt::Write as _;

use super::{Bar, Chart, Panel, Scale, Theme};

const WIDTH: f64 = 900.0;
const NAMES: f64 = 250.0;
const HEAD: f64 = 64.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;
const GAP: f64 = 20.0;
const FOOT: f64 = 12.0;
/// About what a character takes, for labels to have room.
const CHARACTER: f64 = 6.6;

pub fn draw(chart: &Chart, theme: &Theme) -> String {
    let height = HEAD + ROW * chart.rows.len() as f64 + FOOT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" \
         font-size=\"12\" role=\"img\" aria-label=\"{}\">\n",
        escaped(&chart.title)
    );
    text(
        &mut svg,
        0.0,
        18.0,
        theme.text,
        "font-size=\"15\" font-weight=\"600\"",
        &chart.title,
    );
    for (number, row) in chart.rows.iter().enumerate() {
        let style = if row.is_ours {
            "font-weight=\"600\""
        } else {
            ""
        };
        text(
            &mut svg,
            0.0,
            middle(number) + 4.0,
            theme.text,
            style,
            &row.name,
        );
    }
    let width = (WIDTH - NAMES) / chart.panels.len().max(1) as f64;
    let extent = Extent::of(chart);
    for (number, panel) in chart.panels.iter().enumerate() {
        let left = NAMES + width * number as f64;
        draw_panel(&mut svg, chart, panel, theme, &extent, left, width - GAP);
    }
    svg + "</svg>\n"
}

fn draw_panel(
    svg: &mut String,
    chart: &Chart,
    panel: &Panel,
    theme: &Theme,
    extent: &Extent,
    left: f64,
    width: f64,
) {
    text(svg, left, HEAD - 14.0, theme.faint, "", &panel.title);
    let bottom = HEAD + ROW * chart.rows.len() as f64;
    line(svg, left, (HEAD - 4.0, bottom), theme.line, "");
    let longest = panel.bars.iter().map(|bar| bar.label.chars().count()).max();
    let room = width - 8.0 - CHARACTER * longest.unwrap_or(0) as f64;
    let place = |value: f64| left + room * extent.part(panel, value);
    if let Some(reference) = panel.reference {
        line(
            svg,
            place(reference),
            (HEAD - 4.0, bottom),
            theme.faint,
            "stroke-dasharray=\"3 3\"",
        );
    }
    for (number, (bar, row)) in panel.bars.iter().zip(&chart.rows).enumerate() {
        let color = if row.is_ours {
            theme.ours
        } else {
            theme.others
        };
        let (from, to) = (place(bar.from), place(bar.to));
        let y = middle(number) - BAR / 2.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\" \
             fill=\"{color}\"/>",
            (to - from).max(1.5)
        );
        let style = if row.is_ours {
            "font-weight=\"600\""
        } else {
            ""
        };
        text(
            svg,
            to.max(from + 1.5) + 5.0,
            middle(number) + 4.0,
            theme.text,
            style,
            &bar.label,
        );
    }
}

/// The values that have to find room.
struct Extent {
    lowest: f64,
    highest: f64,
}

impl Extent {
    fn of(chart: &Chart) -> Self {
        let bars = chart.panels.iter().flat_map(|panel| &panel.bars);
        let [mut lowest, mut highest] = [f64::INFINITY, 0.0_f64];
        for bar in bars.filter(|bar| bar.from > 0.0) {
            lowest = lowest.min(bar.from);
            highest = highest.max(bar.to);
        }
        Self { lowest, highest }
    }

    /// Where on its panel a value stands, from 0 to 1.
    fn part(&self, panel: &Panel, value: f64) -> f64 {
        let part = match panel.scale {
            Scale::Linear => {
                value
                    / panel
                        .bars
                        .iter()
                        .map(|bar: &Bar| bar.to)
                        .fold(1e-9, f64::max)
            }
            // A little space before the shortest, which else would begin on the axis.
            Scale::Logarithmic => {
                let whole = (self.highest / self.lowest).ln().max(1e-9);
                0.04 + 0.96 * (value / self.lowest).ln() / whole
            }
        };
        part.clamp(0.0, 1.0)
    }
}

fn middle(row: usize) -> f64 {
    HEAD + ROW * (row as f64 + 0.5)
}

fn text(svg: &mut String, x: f64, y: f64, color: &str, style: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{color}\" {style}>{text}</text>"
    );
}

fn line(svg: &mut String, x: f64, (top, bottom): (f64, f64), color: &str, style: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\" \
         stroke=\"{color}\" {style}/>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
