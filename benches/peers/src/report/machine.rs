//! What was measured, and on which machine.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

const LOCK: &str = include_str!("../../Cargo.lock");

/// Crates whose versions matter.
const CRATES: [&str; 12] = [
    "cache-runtime",
    "cached",
    "hitbox",
    "hitbox-redis",
    "moka",
    "quick_cache",
    "redis",
    "deadpool-redis",
    "tokio",
    "rmp-serde",
    "postcard",
    "serde",
];

/// Lines of Markdown.
pub fn describe() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let versions: Vec<_> = CRATES
        .into_iter()
        .filter_map(|name| Some(format!("{name} {}", version(name)?)))
        .collect();
    format!(
        "* {}, {}, {cores} cores, {}\n* {}; Redis {}\n* {}\n",
        today(),
        processor(),
        system(),
        said("rustc", &["--version"]),
        redis(),
        versions.join(", ")
    )
}

fn version(name: &str) -> Option<&'static str> {
    let (_, after) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}

fn processor() -> String {
    let listed = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = listed
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    match line.and_then(|line| line.split_once(": ")) {
        Some((_, name)) => name.to_owned(),
        None => match said("sysctl", &["-n", "machdep.cpu.brand_string"]) {
            name if name.is_empty() => format!("a processor of type {}", env::consts::ARCH),
            name => name,
        },
    }
}

fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = said("uname", &["-sr"]);
    match name {
        Some(name) => format!("{} ({kernel})", name.trim_matches('"')),
        None => kernel,
    }
}

/// `Redis server v=7.0.15 sha=…`
fn redis() -> String {
    let line = said("redis-server", &["--version"]);
    let version = line.split(' ').find_map(|word| word.strip_prefix("v="));
    version.unwrap_or("of an unknown version").to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

/// `2026-11-21`, in UTC: days since 1970 counted in years that begin in March.
fn today() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let days = since.as_secs() / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{}-{month:02}-{day:02}", year + era * 400 + next_year)
}
