//! A process that plays one part in a scenario: started by, and answering to, this same program.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

use super::{Subject, calls, deploy, outage, race, stampede};
use crate::origin::Failure;

/// The word on the command line that makes a worker of this program.
pub const WORD: &str = "worker";

/// No scenario of one worker takes longer.
const LONGEST: Duration = Duration::from_secs(90);

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
    let output = tokio::time::timeout(LONGEST, worker.wait_with_output());
    serde_json::from_slice(&output.await.ok()?.ok()?.stdout).ok()
}

/// Plays a part.
pub async fn run(arguments: &[String]) -> Result<(), Failure> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let [part, rest @ ..] = arguments.as_slice() else {
        return Err(Failure::of("which part?"));
    };
    let subject = |word| Subject::from_word(word).ok_or_else(|| Failure::of("who is that?"));
    match (*part, rest) {
        ("stampede", [word, url, start]) => say(&stampede::play(subject(word)?, url, start).await?),
        ("race", [word, url]) => say(&race::play(subject(word)?, url).await?),
        ("deploy", [url]) => say(&deploy::play(url).await?),
        ("first", [word, url]) => say(&outage::play_first(subject(word)?, url).await),
        ("calls", [word, url]) => calls::play(subject(word)?, url).await,
        _ => Err(Failure(format!("there is no part {arguments:?}"))),
    }
}

fn say(answer: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(answer).map_err(Failure::of)?);
    Ok(())
}

/// Microseconds of a clock that all processes share.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros().try_into().unwrap_or(u64::MAX))
}
