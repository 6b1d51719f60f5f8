//! What the cache says, and how often: one `tracing` event per call, advice once per function.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, also in its helpers"
)]

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_runtime::{Cache, Json, Outcome, Postcard, Secret, cached, outcome};
use serde::{Deserialize, Serialize};
use support::{RedisServer, eventually};
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the events of target `cache` as text.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "cache"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = String::new();
        event.record(&mut Line(&mut line));
        let mut lines = self.0.lock().expect("no test panics while it logs");
        lines.push((*event.metadata().level(), line));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Log {
    /// Runs a future in a cache of its own, and returns what was said at this level meanwhile.
    async fn of(level: Level, future: impl Future<Output = ()>) -> Vec<String> {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        Cache::memory().scope(future).await;
        drop(guard);
        let lines = log.0.lock().expect("no test panics while it logs");
        let of_level = lines.iter().filter(|(of, _)| *of == level);
        of_level.map(|(_, line)| line.clone()).collect()
    }
}

#[cached(ttl = 60, key = "said:{id}")]
async fn said(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn every_call_is_one_event_with_its_key_and_outcome() {
    let lines = Log::of(Level::DEBUG, async {
        said(7).await;
        said(7).await;
    })
    .await;
    assert_eq!(
        lines,
        [
            "function=\"observe::said\" key=\"cache:said:7\" outcome=loaded ",
            "function=\"observe::said\" key=\"cache:said:7\" outcome=hit ",
        ]
    );
}

/// What is refused says so once, with what to write instead, however often it is called.
async fn advised<F: Future<Output = Outcome>>(call: impl Fn() -> F, expected: &str, advice: &str) {
    let lines = Log::of(Level::WARN, async {
        for _ in 0..10 {
            let how = call().await;
            assert!(how.to_string().contains(expected), "{how}");
        }
    })
    .await;
    assert!(
        matches!(lines.as_slice(), [line] if line.contains(advice)),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn values_that_would_not_read_back_are_refused_once_and_loudly() {
    #[cached(ttl = 60, key = "nested:{id}")]
    async fn nested(id: u64) -> Vec<Option<Option<u64>>> {
        vec![Some(None), Some(Some(id))]
    }
    #[cached(ttl = 60, key = "unit:{id}")]
    async fn unit(id: u64) -> (u64, Option<()>) {
        (id, Some(()))
    }
    #[cached(ttl = 60, key = "nan:{id}", codec = Json)]
    async fn nan(id: u64) -> Vec<f64> {
        vec![id as f64, f64::NAN]
    }

    let refused = "would not read back";
    advised(async || outcome(nested(1)).await.1, refused, "Some").await;
    advised(async || outcome(unit(1)).await.1, refused, "Some").await;
    advised(async || outcome(nan(1)).await.1, refused, "Json").await;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Open {
    id: u64,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

#[tokio::test]
async fn a_positional_codec_refuses_types_it_cannot_see_through_and_says_what_to_write() {
    #[cached(ttl = 60, key = "open:{id}", codec = Postcard)]
    async fn open(id: u64) -> Open {
        Open {
            id,
            rest: serde_json::Map::new(),
        }
    }
    advised(async || outcome(open(1)).await.1, "unsupported", "codec").await;
}

#[tokio::test]
async fn a_value_over_the_limit_says_so_once() {
    #[cached(ttl = 60, key = "large:{n}")]
    async fn large(n: usize) -> String {
        "x".repeat(n)
    }
    advised(
        async || outcome(large(2 << 20)).await.1,
        "too large",
        "value_limit",
    )
    .await;
}

#[tokio::test]
async fn two_types_under_one_template_are_warned_of_once() {
    #[cached(ttl = 60, key = "shared:{id}")]
    async fn text(id: u64) -> String {
        id.to_string()
    }
    #[cached(ttl = 60, key = "shared:{id}")]
    async fn number(id: u64) -> u64 {
        id
    }
    let lines = Log::of(Level::WARN, async {
        text(1).await;
        for _ in 0..10 {
            number(1).await;
        }
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("another type"), "{lines:#?}");
}

#[tokio::test]
async fn templates_that_differ_in_the_names_of_placeholders_only_are_warned_of_once() {
    #[cached(ttl = 60, key = "alike:{id}")]
    async fn by_id(id: u64) -> u64 {
        id
    }
    #[cached(ttl = 60, key = "alike:{number:>3}")]
    async fn by_number(number: u64) -> u64 {
        number
    }
    #[cached(ttl = 60, key = "alike:{id}:x")]
    async fn unlike(id: u64) -> u64 {
        id
    }
    let lines = Log::of(Level::WARN, async {
        for id in 0..10 {
            unlike(id).await;
            by_id(id).await;
            by_number(id).await;
        }
    })
    .await;
    assert!(
        matches!(lines.as_slice(), [line] if line.contains("observe") && line.contains("by_id")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn an_outage_is_said_once_and_so_are_unconfirmed_invalidations() {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let lanes = 1;
    let builder = Cache::builder().url("redis://127.0.0.1:1").lanes(lanes);
    let cache = builder.build().await.expect("a valid configuration");
    cache
        .scope(async {
            for id in 0..50 {
                said(id).await;
                said_entry(id)
                    .invalidate()
                    .await
                    .expect_err("nobody listens");
            }
        })
        .await;
    drop(guard);
    let lines = log.0.lock().expect("no test panics while it logs");
    let warnings = lines.iter().filter(|(level, _)| *level == Level::WARN);
    let warnings: Vec<_> = warnings.map(|(_, line)| line).collect();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
}

/// It is over once a connection lasts.
#[tokio::test]
async fn a_server_that_hangs_up_on_everybody_is_one_outage() {
    let server = RedisServer::start().await;
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let builder = Cache::builder().url(server.url()).lanes(1);
    let cache = builder.build().await.expect("a valid configuration");
    cache.ping().await.expect("an answer");
    let mut killed = 0;
    while killed < 20 {
        let kill = ["CLIENT", "KILL", "TYPE", "normal"];
        killed += server.run::<usize>(&kill).await;
        sleep(Duration::from_millis(5)).await;
    }
    let said = |level, text| {
        let lines = log.0.lock().expect("no test panics while it logs");
        let said = |(of, line): &&(Level, String)| *of == level && line.contains(text);
        lines.iter().filter(said).count()
    };
    eventually("it is over", async || {
        (said(Level::INFO, "Redis answers again") > 0).then_some(())
    })
    .await;
    drop(guard);
    assert_eq!(said(Level::INFO, "Redis answers again"), 1);
    assert_eq!(said(Level::WARN, "Redis cannot be used"), 1);
}

#[tokio::test]
async fn a_secret_shows_in_no_key_no_event_and_no_debug() {
    #[cached(ttl = 60, key = "session:{token}")]
    async fn by_template(token: Secret<String>) -> usize {
        token.expose().len()
    }
    #[cached(ttl = 60)]
    async fn by_default(token: Secret<String>) -> usize {
        token.expose().len()
    }
    let token = || Secret::new("hunter2".to_owned());
    let lines = Log::of(Level::DEBUG, async {
        by_template(token()).await;
        by_default(token()).await;
        assert_ne!(
            by_default_entry(token()).key(),
            by_default_entry(Secret::new("other".to_owned())).key()
        );
        assert!(!format!("{:?}", token()).contains("hunter2"));
    })
    .await;
    assert_eq!(lines.len(), 2);
    assert!(!lines.concat().contains("hunter2"), "{lines:#?}");
}

#[tokio::test]
async fn credentials_show_in_no_debug_and_no_error() {
    let url = "redis://alice:hunter2@127.0.0.1:1/0";
    let builder = Cache::builder().url(url);
    assert!(!format!("{builder:?}").contains("hunter2"));
    let cache = builder.build().await.expect("a valid configuration");
    assert!(!format!("{cache:?}").contains("hunter2"));
    let error = cache.ping().await.expect_err("nobody listens there");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    for wrong in [
        "redis://alice:hunter2@:x/",
        "alice:hunter2@host",
        "nosuch://alice:hunter2@h",
    ] {
        let error = Cache::builder().url(wrong).build().await;
        let error = error.expect_err("not a usable URL");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
