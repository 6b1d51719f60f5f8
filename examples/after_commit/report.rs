//! What the example prints.

use cache_runtime::Outcome;

pub fn headline(text: &str) {
    println!();
    println!("{text}");
    println!();
}

/// What a reader got.
pub fn read(pieces: i64, how: Outcome, remark: &str) {
    let how = how.to_string();
    let line = format!("  reader   stock = {pieces}   {how:<42}   {remark}");
    println!("{}", line.trim_end());
}

/// What a writer did.
pub fn wrote(what: &str, remark: &str) {
    println!("  writer   {what:<54}   {remark}");
}

pub fn conclusion(text: &str) {
    println!();
    println!("  {text}");
}
