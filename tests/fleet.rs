//! Several processes on one Redis: one load for all of them.
//!
//! What the callers experience is printed and not judged: `cargo test --test fleet -- --nocapture`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::{RedisServer, eventually, within};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::sleep;

/// A process of the fleet; killed when dropped.
struct Worker {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What a process is to do.
#[derive(Clone, Copy)]
struct Task {
    key: &'static str,
    callers: usize,
    /// How long its origin takes.
    origin: Duration,
    /// Which of the worker's functions is called.
    function: &'static str,
}

/// What a process says. Times are in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Ready,
    /// Its callers call.
    Calling,
    Load {
        number: u64,
        at: u64,
    },
    Loaded {
        number: u64,
        at: u64,
    },
    Answer {
        number: u64,
        from: u64,
        to: u64,
    },
    Failed,
    Done,
}

impl Worker {
    /// A process that is ready to start.
    async fn prepare(server: &RedisServer, task: Task) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_worker"))
            .arg(server.url())
            .arg(task.key)
            .arg(task.callers.to_string())
            .arg(task.origin.as_millis().to_string())
            .arg(task.function)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker");
        let output = process.stdout.take().expect("its output");
        let mut worker = Self {
            process,
            lines: BufReader::new(output).lines(),
        };
        assert_eq!(worker.says().await, Line::Ready);
        worker
    }

    /// Several of them.
    async fn prepare_all(server: &RedisServer, processes: usize, task: Task) -> Vec<Self> {
        let mut workers = Vec::new();
        for _ in 0..processes {
            workers.push(Self::prepare(server, task).await);
        }
        workers
    }

    async fn start(&mut self) {
        let input = self.process.stdin.as_mut().expect("its input");
        input.write_all(b"\n").await.expect("a start");
    }

    /// The next line.
    async fn says(&mut self) -> Line {
        let line = within("a worker says something", self.lines.next_line()).await;
        let line = line.expect("its output").expect("it is not over");
        Line::parse(&line).unwrap_or_else(|| panic!("a worker says {line:?}"))
    }

    /// Everything it says until it is done.
    async fn ends(&mut self) -> Vec<Line> {
        let mut said = Vec::new();
        loop {
            match self.says().await {
                Line::Done => return said,
                line => said.push(line),
            }
        }
    }

    /// `kill -9`.
    async fn kill(mut self) {
        self.process.kill().await.expect("its end");
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let what = words.next()?;
        let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        match (what, numbers.as_slice()) {
            ("ready", []) => Some(Self::Ready),
            ("calling", []) => Some(Self::Calling),
            ("load", &[number, at]) => Some(Self::Load { number, at }),
            ("loaded", &[number, at]) => Some(Self::Loaded { number, at }),
            ("answer", &[number, from, to]) => Some(Self::Answer { number, from, to }),
            ("failed", _) => Some(Self::Failed),
            ("done", []) => Some(Self::Done),
            _ => None,
        }
    }
}

/// Starts processes together and hears them out.
async fn run(workers: &mut [Worker]) -> Vec<Line> {
    for worker in &mut *workers {
        worker.start().await;
    }
    let mut said = Vec::new();
    for worker in workers {
        said.extend(worker.ends().await);
    }
    said
}

/// The answers: of which load, from when, to when.
fn answers(said: &[Line]) -> Vec<(u64, u64, u64)> {
    let answers = said.iter().filter_map(|line| match *line {
        Line::Answer { number, from, to } => Some((number, from, to)),
        _ => None,
    });
    answers.collect()
}

/// How long each took, in microseconds.
fn times(answers: &[(u64, u64, u64)]) -> Vec<u64> {
    answers.iter().map(|(_, from, to)| to - from).collect()
}

/// Loads of all processes, as the database counted them.
async fn loads(server: &RedisServer, key: &str) -> u64 {
    server.run(&["GET", &format!("loads:{key}")]).await
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.expect("a clock that is set").as_micros();
    u64::try_from(micros).expect("before the year 500,000")
}

/// Median, 99th percentile and maximum.
fn spread(mut micros: Vec<u64>, unit: Duration) -> String {
    micros.sort_unstable();
    let at = |percent: usize| {
        let place = (micros.len() * percent / 100).min(micros.len().saturating_sub(1));
        let micros = micros.get(place).copied().unwrap_or(0);
        Duration::from_micros(micros).as_secs_f64() / unit.as_secs_f64()
    };
    format!(
        "median {:.2}, p99 {:.2}, maximum {:.2}",
        at(50),
        at(99),
        at(100)
    )
}

/// A hundred callers in each process on a cold key.
async fn cold_key(processes: usize) {
    let server = RedisServer::start().await;
    let task = Task {
        key: "cold",
        callers: 100,
        origin: Duration::from_millis(50),
        function: "value",
    };
    let mut workers = Worker::prepare_all(&server, processes, task).await;
    let said = run(&mut workers).await;
    let answers = answers(&said);
    println!(
        "{processes} × 100 callers on a cold key, in load times of 50 ms: {}",
        spread(times(&answers), task.origin)
    );
    assert_eq!(loads(&server, task.key).await, 1);
    assert_eq!(answers.len(), processes * task.callers);
    assert!(answers.iter().all(|(number, ..)| *number == 1));
}

#[tokio::test]
async fn a_hundred_callers_in_one_process_share_one_load() {
    cold_key(1).await;
}

#[tokio::test]
async fn a_hundred_callers_in_each_of_eight_processes_share_one_load() {
    cold_key(8).await;
}

#[tokio::test]
async fn batches_of_eight_processes_that_overlap_load_each_id_once() {
    const PROCESSES: usize = 8;
    let server = RedisServer::start().await;
    let task = Task {
        key: "each",
        callers: 20,
        origin: Duration::from_millis(50),
        function: "batch",
    };
    let mut workers = Worker::prepare_all(&server, PROCESSES, task).await;
    let said = run(&mut workers).await;
    let answers = answers(&said);
    println!(
        "{PROCESSES} × 20 callers with 10 of 100 ids each, in load times of 50 ms: {}",
        spread(times(&answers), task.origin)
    );
    assert_eq!(answers.len(), PROCESSES * task.callers);
    assert!(answers.iter().all(|(values, ..)| *values == 10));
    let mut loaded = 0;
    for id in 0..100 {
        let loads: Option<u64> = server.run(&["GET", &format!("loads:each:{id}")]).await;
        assert!(loads.is_none_or(|loads| loads == 1), "id {id}: {loads:?}");
        loaded += loads.unwrap_or(0);
    }
    println!("{loaded} loads");
    assert!(loaded > 10, "they asked for different ids");
}

#[tokio::test]
async fn an_old_value_is_served_to_all_while_one_of_eight_processes_loads() {
    const PROCESSES: usize = 8;
    let server = RedisServer::start().await;
    let first = Task {
        key: "old",
        callers: 1,
        origin: Duration::ZERO,
        function: "stale",
    };
    let later = Task {
        callers: 100,
        // Longer than it takes all callers to call.
        origin: Duration::from_secs(5),
        ..first
    };
    // What as many callers wait for a fresh value.
    let fresh = Task {
        key: "fresh",
        function: "value",
        ..first
    };
    run(&mut [Worker::prepare(&server, fresh).await]).await;
    let callers = Task {
        callers: later.callers,
        ..fresh
    };
    let mut workers = Worker::prepare_all(&server, PROCESSES, callers).await;
    let hits = times(&answers(&run(&mut workers).await));
    println!(
        "{PROCESSES} × 100 callers on a fresh value, in ms: {}",
        spread(hits, Duration::from_millis(1))
    );
    drop(workers);

    let mut workers = Worker::prepare_all(&server, PROCESSES, later).await;
    run(&mut [Worker::prepare(&server, first).await]).await;
    // Far longer than it is fresh.
    sleep(Duration::from_secs(1)).await;
    let said = run(&mut workers).await;
    let answers = answers(&said);
    println!(
        "{PROCESSES} × 100 callers on an old value, in ms: {}",
        spread(times(&answers), Duration::from_millis(1))
    );
    assert_eq!(answers.len(), PROCESSES * later.callers);
    assert!(answers.iter().all(|(number, ..)| *number == 1));
    eventually("the load in the background starts", async || {
        (loads(&server, first.key).await == 2).then_some(())
    })
    .await;
    // None of the others starts one later.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(loads(&server, first.key).await, 2);
}

#[tokio::test]
async fn after_the_death_of_the_one_that_loads_another_loads() {
    const PROCESSES: usize = 3;
    /// Of the lease, in the header of the entry.
    const DEADLINE: &[&str] = &["GETRANGE", "fleet:short:orphan", "32", "39"];
    let server = RedisServer::start().await;
    let endless = Task {
        key: "orphan",
        callers: 1,
        origin: Duration::from_hours(1),
        function: "short_lease",
    };
    let waiting = Task {
        callers: 10,
        origin: Duration::from_millis(50),
        ..endless
    };
    let mut first = Worker::prepare(&server, endless).await;
    let mut others = Worker::prepare_all(&server, PROCESSES, waiting).await;
    first.start().await;
    assert_eq!(first.says().await, Line::Calling);
    assert!(matches!(first.says().await, Line::Load { number: 1, .. }));
    for worker in &mut others {
        worker.start().await;
    }
    for worker in &mut others {
        assert_eq!(worker.says().await, Line::Calling);
    }
    // It takes a while until a lease is renewed: whoever does not wait would load meanwhile. And
    // this is the worst moment to die.
    let deadline: Vec<u8> = server.run(DEADLINE).await;
    eventually("the lease is renewed", async || {
        let renewed: Vec<u8> = server.run(DEADLINE).await;
        (renewed != deadline).then_some(())
    })
    .await;
    assert_eq!(loads(&server, endless.key).await, 1, "the others wait");

    let died = now();
    first.kill().await;
    let mut said = Vec::new();
    for worker in &mut others {
        said.extend(worker.ends().await);
    }
    let next = said.iter().find_map(|line| match *line {
        Line::Load { number: 2, at } => Some(at),
        _ => None,
    });
    let next = next.expect("another load");
    let loads = loads(&server, endless.key).await;
    println!(
        "from the death to the next load: {:?} with a lease of 1 s; {loads} loads",
        Duration::from_micros(next.saturating_sub(died)),
    );
    let answers = answers(&said);
    assert_eq!(answers.len(), PROCESSES * waiting.callers, "nobody fails");
    assert!(died <= next, "until then they waited");
    for (number, from, to) in answers {
        assert!(number >= 2, "the first load never ended");
        assert!(
            from <= next && next <= to,
            "it was loaded while they waited"
        );
    }
    // After a lost lease there may be one more load for each process.
    assert!((2..=1 + PROCESSES as u64).contains(&loads), "{loads} loads");
}

#[tokio::test]
async fn waiting_for_another_process_costs_few_commands() {
    const PROCESSES: usize = 4;
    /// Of one waiting process in a second, all its callers together.
    const MOST: f64 = 15.0;
    let server = RedisServer::start().await;
    let slow = Task {
        key: "slow",
        callers: 1,
        origin: Duration::from_secs(3),
        function: "value",
    };
    let waiting = Task {
        callers: 20,
        ..slow
    };
    let mut first = Worker::prepare(&server, slow).await;
    let mut others = Worker::prepare_all(&server, PROCESSES, waiting).await;
    first.start().await;
    assert_eq!(first.says().await, Line::Calling);
    let Line::Load { at: began, .. } = first.says().await else {
        panic!("the first caller loads");
    };
    let mut commands = server.commands().await;
    for worker in &mut others {
        worker.start().await;
    }
    let Line::Loaded { at: filled, .. } = first.says().await else {
        panic!("the load ends");
    };
    let counts = commands.counts().await;
    let mut said = first.ends().await;
    for worker in &mut others {
        said.extend(worker.ends().await);
    }
    let answers = answers(&said);
    let wake_ups = answers.iter().map(|(_, _, to)| to.saturating_sub(filled));
    let seconds = Duration::from_micros(filled - began).as_secs_f64();
    let sent: u64 = counts.values().sum();
    println!(
        "from the end of the load to the answer elsewhere, in ms: {}",
        spread(wake_ups.collect(), Duration::from_millis(1))
    );
    println!("{PROCESSES} processes sent {sent} commands in {seconds:.1} s of waiting: {counts:?}");
    assert_eq!(loads(&server, slow.key).await, 1);
    assert_eq!(answers.len(), 1 + PROCESSES * waiting.callers);
    // Each caller looks once for itself.
    let looks = waiting.callers as f64;
    let most = PROCESSES as f64 * (looks + MOST * seconds);
    assert!((sent as f64) < most, "{sent} commands, more than {most}");
}
