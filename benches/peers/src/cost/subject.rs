//! Whose functions are compiled: the sources are in the folder `cost`.

use std::fmt::Write as _;

/// A way of caching, as source text: what stands once, and what stands for each function.
#[derive(Debug)]
pub struct Subject {
    pub name: &'static str,
    pub word: &'static str,
    source: &'static str,
}

macro_rules! subject {
    ($name:literal, $word:literal) => {
        Subject {
            name: $name,
            word: $word,
            source: include_str!(concat!("../../cost/", $word, ".rs")),
        }
    };
}

/// Those whose functions share a value type.
pub const FUNCTIONS: [Subject; 6] = [
    subject!("not annotated", "bare"),
    subject!("`#[cached]`", "annotated"),
    subject!("by hand, type-erased", "erased"),
    subject!("by hand, generic", "generic"),
    subject!("`hitbox` on Redis", "hitbox"),
    subject!("`cached` on Redis", "cached"),
];

/// Those whose functions have a value type each.
pub const TYPES: [Subject; 5] = [
    subject!("not annotated", "bare"),
    subject!("MessagePack (the default)", "annotated"),
    subject!("`codec = Json`", "annotated_json"),
    subject!("`codec = Postcard`", "annotated_postcard"),
    subject!("`codec = Bincode`", "annotated_bincode"),
];

const COMMON: &str = include_str!("../../cost/common.rs");
const VALUE: &str = include_str!("../../cost/value.rs");
const EACH: &str = "// each\n";

impl Subject {
    /// A program of so many functions that calls them all.
    pub fn program(&self, functions: usize, types: usize) -> String {
        let (once, each) = self.source.split_once(EACH).unwrap_or(("", self.source));
        let mut program = format!("{COMMON}\n{once}\n");
        let mut value = VALUE.to_owned();
        if !once.contains("hitbox_fn") {
            // Nobody else asks this of a type.
            value = value.replace(", hitbox_fn::CacheableResponse", "");
        }
        for number in 0..types {
            program += &value.replace("TYPE", &number.to_string());
        }
        let mut calls = String::new();
        for number in 0..functions {
            let value = number % types.max(1);
            program += &each
                .replace("NUMBER", &number.to_string())
                .replace("TYPE", &value.to_string());
            // Writing to a string cannot fail.
            let _ = writeln!(
                calls,
                "    |id| Box::pin(async move {{ function{number}(id).await.map(drop) }}),"
            );
        }
        program + &MAIN.replace("CALLS\n", &calls)
    }
}

const MAIN: &str = "
type Call = fn(u64) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

const ALL: &[Call] = &[
CALLS
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for call in ALL {
        let _ = runtime.block_on(call(1));
    }
}
";
