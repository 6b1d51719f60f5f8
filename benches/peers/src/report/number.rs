//! Numbers for people.

/// The middle one; halfway between the two in the middle of an even number.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let [below, above] = [numbers.len().saturating_sub(1) / 2, numbers.len() / 2]
        .map(|at| numbers.get(at).copied().unwrap_or(f64::NAN));
    f64::midpoint(below, above)
}

/// Their median, and from which to which they go.
pub fn spread(numbers: &[f64]) -> String {
    let lowest = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = numbers.iter().copied().fold(0.0, f64::max);
    format!(
        "{} ({} to {})",
        count(median(numbers.iter().copied())),
        count(lowest),
        count(highest)
    )
}

/// The one that so large a part of them does not exceed.
pub fn quantile(numbers: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let rank = (numbers.len() as f64 * part).ceil() as usize;
    let last = rank.max(1) - 1;
    numbers.get(last).copied().unwrap_or(f64::NAN)
}

/// `950`, `12.3 k`, `1.23 M`
pub fn count(number: f64) -> String {
    match number {
        ..1e3 => digits(number, ""),
        1e3..1e6 => digits(number / 1e3, " k"),
        _ => digits(number / 1e6, " M"),
    }
}

/// `95 ns`, `12.3 µs`, `1.2 s`
pub fn nanoseconds(time: f64) -> String {
    match time {
        ..1e3 => digits(time, " ns"),
        1e3..1e6 => digits(time / 1e3, " µs"),
        1e6..1e9 => digits(time / 1e6, " ms"),
        _ => digits(time / 1e9, " s"),
    }
}

/// Three digits that matter.
fn digits(number: f64, unit: &str) -> String {
    let decimals = match number {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}{unit}")
}
