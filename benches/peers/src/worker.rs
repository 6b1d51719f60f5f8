//! A process that plays one part in a scenario: started by, and answering to, this same program.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::origin::Failure;

/// The word on the command line that makes a worker of this program.
pub const WORD: &str = "worker";

/// No scenario of one worker takes longer, unless it says so.
const LONGEST: Duration = Duration::from_secs(90);

/// A worker is ready by then, and has ended so long after it was told to.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a worker says that goes on until it is told to end.
const READY: &str = "ready";

/// A worker that plays this part; its answer is what it prints.
pub fn start(part: &str, arguments: &[&str]) -> Result<Child, Failure> {
    let program = std::env::current_exe().map_err(Failure::of)?;
    let mut command = Command::new(program);
    command
        .args([WORD, part])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Panics are part of what is looked at.
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().map_err(Failure::of)
}

/// What a worker says when it has ended; none if it died or hung.
pub async fn answer<T: DeserializeOwned>(worker: Child) -> Option<T> {
    answer_within(worker, LONGEST).await
}

/// The same for a part that takes this long at the most.
pub async fn answer_within<T: DeserializeOwned>(worker: Child, longest: Duration) -> Option<T> {
    let output = tokio::time::timeout(longest, worker.wait_with_output());
    serde_json::from_slice(&output.await.ok()?.ok()?.stdout).ok()
}

/// A worker that goes on until it is told to end.
pub struct Steady {
    worker: Child,
    output: BufReader<ChildStdout>,
}

impl Steady {
    /// Starts it without waiting, so that many can start at the same time.
    pub fn start(part: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let mut worker = start(part, arguments)?;
        let output = worker.stdout.take();
        let output = output.ok_or_else(|| Failure::of("no output"))?;
        Ok(Self {
            worker,
            output: BufReader::new(output),
        })
    }

    /// Waits until it does what it is there for.
    pub async fn ready(&mut self) -> Result<(), Failure> {
        let mut line = String::new();
        let ready = tokio::time::timeout(PATIENCE, self.output.read_line(&mut line));
        ready.await.map_err(Failure::of)?.map_err(Failure::of)?;
        match line.trim() {
            READY => Ok(()),
            other => Err(Failure(format!("a worker is not ready: {other}"))),
        }
    }

    /// Tells it to end, and reads what else it says.
    pub async fn end(mut self) -> Result<String, Failure> {
        drop(self.worker.stdin.take());
        let mut text = String::new();
        let read = tokio::time::timeout(PATIENCE, self.output.read_to_string(&mut text));
        read.await.map_err(Failure::of)?.map_err(Failure::of)?;
        Ok(text)
    }
}

/// Says in a worker that all is ready, and waits until it is told to end.
pub async fn ready_until_the_end() -> Result<(), Failure> {
    println!("{READY}");
    let mut line = String::new();
    let mut input = BufReader::new(tokio::io::stdin());
    input.read_line(&mut line).await.map_err(Failure::of)?;
    Ok(())
}

pub fn say(answer: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(answer).map_err(Failure::of)?);
    Ok(())
}

/// Microseconds of a clock that all processes share.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros().try_into().unwrap_or(u64::MAX))
}
