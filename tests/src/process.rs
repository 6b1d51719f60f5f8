//! Processes that are stopped in their tracks, and the clock that all of them share.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

/// Stops a process in its tracks: what is connected stays so, and nothing is done.
///
/// # Panics
///
/// If there is no such process.
pub fn pause(process: u32) {
    send(process, Signal::STOP);
}

/// Lets a paused process go on.
///
/// # Panics
///
/// If there is no such process.
pub fn resume(process: u32) {
    send(process, Signal::CONT);
}

/// The time by a clock that is the same in all processes, and that of `Instant` on Linux. It never
/// goes back.
///
/// # Panics
///
/// If it is older than the machine.
#[must_use]
pub fn shared_now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::try_from(now).expect("a time after 0")
}

fn send(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    kill_process(process.expect("a process"), signal).expect("a process of one's own");
}
