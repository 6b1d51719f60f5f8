//! A process that is paused while what it has copies of changes: when it goes on, they are too old.
//!
//! What is served then is judged by times of the clock that all processes share. How the pauses went
//! is printed: `cargo test --test pauses -- --nocapture`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use cache_runtime::{Cache, cached};
use support::history::{NEAR_LAG, TRACKING};
use support::{Mode, Proxy, Random, RedisServer, pause, resume, shared_now, within};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::sleep;

const ROWS: usize = 4;

/// As the reader has it; here its entries are only invalidated.
#[cached(ttl = 300, key = "row:{row}")]
async fn version(row: usize) -> u64 {
    unreachable!("row {row} is read elsewhere")
}

/// A process that reads copies without a rest; killed when dropped.
struct Reader {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What it says.
#[derive(Debug, Clone, Copy)]
enum Line {
    /// A copy of the row serves this version.
    Copied { row: usize, version: u64 },
    /// The last call that returned this version began then.
    Served {
        row: usize,
        version: u64,
        at: Duration,
    },
}

impl Reader {
    /// A process without this rule, if any.
    fn start(url: &str, without: Option<&str>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_reader"))
            .arg(url)
            .arg(ROWS.to_string())
            .arg(NEAR_LAG.as_millis().to_string())
            .args(without)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the reader");
        let output = process.stdout.take().expect("its output");
        Self {
            process,
            lines: BufReader::new(output).lines(),
        }
    }

    fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    async fn says(&mut self) -> Line {
        let line = within("the reader says something", self.lines.next_line()).await;
        let line = line.expect("its output").expect("it is not over");
        Line::parse(&line).unwrap_or_else(|| panic!("the reader says {line:?}"))
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let what = words.next()?;
        let row = words.next()?.parse().ok()?;
        let version = words.next()?.parse().ok()?;
        match (what, words.next()) {
            ("copied", None) => Some(Self::Copied { row, version }),
            ("served", Some(at)) => Some(Self::Served {
                row,
                version,
                at: Duration::from_nanos(at.parse().ok()?),
            }),
            _ => None,
        }
    }
}

/// A reader, and what it must not serve any more.
struct Pauses {
    server: RedisServer,
    proxy: Proxy,
    cache: Cache,
    reader: Reader,
    /// Of each row, the invalidations that were acknowledged: the version, and a time after it.
    acknowledged: [Vec<(u64, Duration)>; ROWS],
    random: Random,
    report: Report,
}

/// How it went.
#[derive(Debug, Default)]
struct Report {
    pauses: usize,
    /// Those during which nothing was told.
    untold: usize,
    /// Changes for which a copy was too old when the process went on.
    over: usize,
    /// Rows of which an old copy has served after the acknowledgement, and for how long at most.
    old: usize,
    longest: Duration,
    /// Those that served longer than said.
    violations: Vec<String>,
}

impl Pauses {
    async fn begin(seed: u64, without: Option<&str>) -> Self {
        let server = RedisServer::start().await;
        for row in 0..ROWS {
            write(&server, row, 1).await;
        }
        let proxy = Proxy::start_against(server.port(), TRACKING);
        let reader = Reader::start(&proxy.url(), without);
        let builder = Cache::builder().url(server.url()).namespace("pauses");
        let mut pauses = Self {
            cache: builder.build().await.expect("a cache"),
            server,
            proxy,
            reader,
            acknowledged: [const { Vec::new() }; ROWS],
            random: Random::new(seed, 0),
            report: Report::default(),
        };
        pauses.copied(1).await;
        pauses
    }

    /// Changes all rows while the reader is paused, and hears what it serves then.
    async fn pause(&mut self, version: u64) {
        // What is told waits in the reader's socket, or it does not even get there.
        let is_untold = self.random.permille(500);
        if is_untold {
            self.proxy.set(Mode::Hang);
        }
        // With a sign of life under way, or without.
        self.a_while(NEAR_LAG / 4).await;
        pause(self.reader.id());
        for row in 0..ROWS {
            self.a_while(NEAR_LAG / 8).await;
            write(&self.server, row, version).await;
            let invalidate = async { version_entry(row).invalidate().await };
            let invalidated = self.cache.scope(invalidate).await;
            invalidated.expect("acknowledged");
            self.acknowledged[row].push((version, shared_now()));
        }
        self.a_while(2 * NEAR_LAG).await;
        let goes_on = shared_now();
        resume(self.reader.id());

        self.report.pauses += 1;
        self.report.untold += usize::from(is_untold);
        let last = self.acknowledged.iter().filter_map(|row| row.last());
        let over = last.filter(|(_, at)| goes_on.saturating_sub(*at) >= NEAR_LAG);
        self.report.over += over.count();
        if is_untold {
            self.a_while(2 * NEAR_LAG).await;
            if self.random.permille(500) {
                self.proxy.cut();
            }
            self.proxy.set(Mode::Forward);
        }
        self.copied(version).await;
    }

    /// Hears the reader out until it has copies of this version of all rows.
    async fn copied(&mut self, version: u64) {
        let mut old = [true; ROWS];
        while old.contains(&true) {
            match self.reader.says().await {
                Line::Copied { row, version: new } => old[row] = new != version,
                Line::Served { row, version, at } => self.judge(row, version, at),
            }
        }
    }

    /// A call returned this version that began at that time.
    fn judge(&mut self, row: usize, version: u64, at: Duration) {
        let newer = |(newer, _): &&(u64, Duration)| *newer > version;
        let Some((floor, since)) = self.acknowledged[row].iter().find(newer) else {
            return;
        };
        let Some(old) = at.checked_sub(*since) else {
            return;
        };
        self.report.old += 1;
        self.report.longest = self.report.longest.max(old);
        if old >= NEAR_LAG {
            self.report.violations.push(format!(
                "row {row} was served at version {version}, {old:?} after {floor} was acknowledged"
            ));
        }
    }

    async fn a_while(&mut self, at_most: Duration) {
        let micros = self.random.below(at_most.as_micros() as u64);
        sleep(Duration::from_micros(micros)).await;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pauses, nothing told in {} of them; {} copies too old at their end; {} old ones \
             served, for {:.1?} at most; {} violations",
            self.pauses,
            self.untold,
            self.over,
            self.old,
            self.longest,
            self.violations.len()
        )?;
        let told = self.violations.iter().take(10);
        told.into_iter().try_for_each(|one| write!(f, "\n  {one}"))
    }
}

/// Writes what is the origin's.
async fn write(server: &RedisServer, row: usize, version: u64) {
    let key = format!("origin:{row}");
    let set = ["SET", &key, &version.to_string()];
    server.run::<()>(&set).await;
}

#[tokio::test]
async fn a_process_that_was_paused_serves_nothing_older_than_said() {
    const PAUSES: u64 = 24;
    let mut pauses = Pauses::begin(0x9a, None).await;
    for version in 2..2 + PAUSES {
        pauses.pause(version).await;
    }
    let report = pauses.report;
    println!("{report}");
    assert!(report.violations.is_empty(), "\n{report}");
    assert!(report.over > 0, "all pauses were short");
    assert!(report.untold > 0, "everything was told");
}

/// The test is worth something only if it finds what it is to find.
#[tokio::test]
async fn the_bound_is_missed() {
    const PAUSES: u64 = 100;
    let mut pauses = Pauses::begin(0x9b, Some("Proof")).await;
    for version in 2..2 + PAUSES {
        pauses.pause(version).await;
        if !pauses.report.violations.is_empty() {
            println!("{}", pauses.report);
            return;
        }
    }
    panic!("without the bound nothing old is served: {}", pauses.report);
}
