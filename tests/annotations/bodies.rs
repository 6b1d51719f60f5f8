//! `return`, `?`, coercions and control flow inside annotated bodies.

use super::*;

type Boxed = Box<dyn Error + Send + Sync>;
type Loaded<T> = Result<T, Missing>;

impl From<std::num::ParseIntError> for Missing {
    fn from(_: std::num::ParseIntError) -> Self {
        Self
    }
}

#[cached(ttl = 300, key = "parsed:{text}")]
async fn parsed(text: &str) -> Loaded<User> {
    if text.is_empty() {
        return Err(Missing);
    }
    let id = text.parse()?;
    Ok(User {
        id,
        name: text.into(),
    })
}

#[tokio::test]
async fn return_and_question_mark_end_the_body_and_aliases_are_seen_through() {
    alone(async {
        assert_eq!(parsed("").await, Err(Missing));
        assert_eq!(parsed("seven").await, Err(Missing));
        assert_eq!(parsed("7").await.map(|user| user.id), Ok(7));
        // The value is what the alias of `Result` holds, so the error above was not stored.
        assert_eq!(served(parsed("7")).await, Outcome::Hit);
        let entry: Entry<Result<User, Missing>> = parsed_entry("7");
        assert_eq!(
            entry.peek().await.ok().flatten().map(|user| user.id),
            Some(7)
        );
    })
    .await;
}

#[cached(ttl = 300, key = "coerced:{fails}")]
async fn coerced(fails: u8) -> Result<u8, Boxed> {
    match fails {
        0 => Ok(1),
        1 => return Err("text".into()),
        2 => Ok("four".parse::<u8>()?),
        _ => Err(Box::new(std::fmt::Error)),
    }
}

#[cached(ttl = 300, key = "coerced_whole")]
async fn coerced_whole() -> Result<u8, Box<dyn Error>> {
    Err(Box::new(std::fmt::Error))
}

#[cached(ttl = 300, key = "slice:{n}")]
async fn boxed_slice(n: u8) -> Box<[u8]> {
    Box::new([n, n])
}

#[tokio::test]
async fn the_last_expression_coerces_to_the_return_type() {
    alone(async {
        assert!(coerced(0).await.is_ok());
        for fails in 1..4 {
            assert!(coerced(fails).await.is_err());
        }
        assert!(coerced_whole().await.is_err());
        assert_eq!(*boxed_slice(3).await, [3, 3]);
        assert_eq!(served(boxed_slice(3)).await, Outcome::Hit);
    })
    .await;
}

#[cached(ttl = 300, key = "never:{n}")]
async fn diverges(n: u64) -> u64 {
    unreachable!("{n} is never loaded")
}

#[cached(ttl = 300, key = "forever:{n}")]
async fn waits_forever(n: u64) -> u64 {
    loop {
        let _ = n;
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_body_that_never_returns_compiles() {
    alone(async {
        let panicking = tokio::spawn(async { Cache::memory().scope(diverges(1)).await });
        assert!(panicking.await.is_err_and(|error| error.is_panic()));
        let waiting = tokio::time::timeout(Duration::from_millis(10), waits_forever(1));
        assert!(waiting.await.is_err());
    })
    .await;
}

static RUNS: AtomicU64 = AtomicU64::new(0);

#[cached(ttl = 300, key = "run:{n}")]
async fn counted(n: u64) -> u64 {
    n + RUNS.fetch_add(1, SeqCst)
}

#[tokio::test]
async fn the_body_is_emitted_once_and_runs_once() {
    alone(async {
        let first = counted(5).await;
        assert_eq!(counted(5).await, first);
        assert_eq!(RUNS.load(SeqCst), 1);
    })
    .await;
}

#[cached(ttl = 300, key = "rec:{n}")]
async fn sum_to(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    n + Box::pin(sum_to(n - 1)).await
}

#[tokio::test]
async fn recursion_compiles_when_boxed_and_caches_every_step() {
    alone(async {
        assert_eq!(sum_to(4).await, 10);
        assert_eq!(served(sum_to(3)).await, Outcome::Hit);
    })
    .await;
    // From a spawned task, which asks the recursive future for `Send`.
    let sum = tokio::spawn(alone(sum_to(5)));
    assert_eq!(sum.await.ok(), Some(15));
}

/// Inner attributes and names that generated code might use for itself.
#[cached(ttl = 300, key = "names:{plan}:{key}:{typed}")]
async fn like_named(plan: u64, key: u64, typed: u64) -> u64 {
    #![expect(clippy::no_effect_underscore_binding, reason = "an inner attribute")]
    const SITE: u64 = 1;
    let _unused = 0;
    plan + key + typed + SITE
}

#[tokio::test]
async fn inner_attributes_and_like_named_variables_are_the_users() {
    alone(async { assert_eq!(like_named(1, 2, 3).await, 7) }).await;
}
