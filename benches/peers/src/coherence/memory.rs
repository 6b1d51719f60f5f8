//! [`Memory`]: what this process has, in bytes, where the system tells.

use std::fs;

pub struct Memory {
    pub resident: Option<u64>,
    /// The most that it had so far.
    pub peak: Option<u64>,
}

impl Memory {
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            resident: bytes(&status, "VmRSS:"),
            peak: bytes(&status, "VmHWM:"),
        }
    }
}

/// `VmRSS:     12345 kB`
fn bytes(status: &str, name: &str) -> Option<u64> {
    let text = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = text.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}
