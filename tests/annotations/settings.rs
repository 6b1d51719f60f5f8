//! The arguments of `#[cached]`, and attributes beside it.

use super::*;

const LOCAL: Policy = Policy::DEFAULT.timeout(Duration::from_millis(250));

#[derive(Clone)]
struct App {
    cache: Cache,
    ttl: Duration,
}

impl App {
    #[cached(ttl = self.ttl, key = "app:{id}", skip(self), cache = self.cache, policy = LOCAL)]
    async fn load(&self, id: u64) -> u64 {
        tokio::task::yield_now().await;
        id
    }
}

#[cached(ttl = "1h30m", key = "state:{id}", skip(app), cache = app.cache.clone())]
async fn stateful(app: &App, id: u64) -> u64 {
    let _ = app.ttl;
    id
}

#[tokio::test]
async fn the_cache_may_be_an_expression() {
    let app = App {
        cache: Cache::memory(),
        ttl: Duration::from_mins(1),
    };
    assert_eq!(served(app.load(1)).await, Outcome::Loaded);
    assert_eq!(served(app.load(1)).await, Outcome::Hit);
    // The entry takes what the expression needs.
    assert_eq!(app.load_entry(1).peek().await.ok(), Some(Some(1)));
    assert_eq!(stateful(&app, 2).await, 2);
    assert_eq!(stateful_entry(&app, 2).peek().await.ok(), Some(Some(2)));
    // Nothing went to the cache in force elsewhere.
    assert_eq!(
        alone(async { Cache::current().entry::<u64>("app:1").peek().await.ok() }).await,
        Some(None)
    );
    let spawned = tokio::spawn(async move { stateful(&app, 3).await });
    assert_eq!(spawned.await.ok(), Some(3));
}

#[cached(ttl_with = |user| Duration::from_secs(user.id), key = "user:{id}", cache_if = known, codec = Json)]
async fn user(id: u64) -> Result<User, Missing> {
    Ok(User {
        id,
        name: if id > 9 {
            "known".into()
        } else {
            String::new()
        },
    })
}

const fn known(user: &User) -> bool {
    !user.name.is_empty()
}

#[cached(ttl = 300, none_ttl = "250ms", key = "maybe:{id}", bypass_if = fresh || id == 0, skip(fresh))]
async fn maybe(id: u64, fresh: bool) -> Result<Option<u64>, Missing> {
    Ok((id > 5).then_some(id))
}

#[tokio::test]
async fn every_setting_reaches_the_runtime() {
    use cache_runtime::{Bypass, NotStored};
    alone(async {
        assert_eq!(
            served(user(3)).await,
            Outcome::NotStored(NotStored::Declined)
        );
        assert_eq!(served(user(30)).await, Outcome::Loaded);
        assert_eq!(served(user(30)).await, Outcome::Hit);
        assert_eq!(served(maybe(1, false)).await, Outcome::Loaded);
        assert_eq!(served(maybe(1, false)).await, Outcome::Hit);
        assert_eq!(
            served(maybe(1, true)).await,
            Outcome::Bypassed(Bypass::Asked)
        );
        assert_eq!(
            served(maybe(0, false)).await,
            Outcome::Bypassed(Bypass::Asked)
        );
        // What only `bypass_if` needs is no argument of the entry.
        assert_eq!(maybe_entry(1).peek().await.ok(), Some(Some(None)));
    })
    .await;
}

struct Hex;

impl Codec for Hex {
    const NAME: &'static str = "hex";

    fn encode<T: Serialize + ?Sized>(
        value: &T,
        out: &mut Vec<u8>,
    ) -> Result<(), cache_runtime::CodecError> {
        Json::encode(value, out)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, cache_runtime::CodecError> {
        Json::decode(bytes)
    }
}

/// An entry under another name, with a codec of the user's.
#[cached(ttl = 300, key = "renamed:{type}:{loop}", codec = Hex, entry = by_type)]
async fn renamed(r#type: u64, r#loop: u64) -> u64 {
    r#type + r#loop
}

#[tokio::test]
async fn the_entry_can_be_renamed_and_names_can_be_raw() {
    alone(async {
        assert_eq!(renamed(1, 2).await, 3);
        assert_eq!(by_type(1, 2).peek().await.ok(), Some(Some(3)));
        assert_eq!(by_type(1, 2).key(), "cache:renamed:1:2");
    })
    .await;
}

#[cached(ttl = 300, key = "stale:{id}", stale_while_revalidate = "1m", stale_if_error = spare.stale, skip(spare))]
async fn stale(id: u64, spare: &Spare) -> u64 {
    id + spare.id
}

#[derive(Clone)]
struct Spare {
    id: u64,
    stale: Duration,
}

#[tokio::test]
async fn stale_spans_are_durations_and_the_entry_takes_what_they_mention() {
    let spare = Spare {
        id: 1,
        stale: Duration::from_hours(1),
    };
    alone(async {
        assert_eq!(stale(1, &spare).await, 2);
        assert_eq!(served(stale(1, &spare)).await, Outcome::Hit);
        assert_eq!(stale_entry(1, &spare).peek().await.ok(), Some(Some(2)));
    })
    .await;
}

static SHARED: Policy = Policy::DEFAULT.timeout(Duration::from_millis(250));
const EAGER: Policy = LOCAL.early_refresh(1.0);
const BY_REFERENCE: &Policy = &LOCAL;

struct Knobs<T>(T);

impl<T: Timed> Knobs<T> {
    const POLICY: Policy = Policy::DEFAULT.timeout(T::TIMEOUT);

    #[cached(ttl = 300, key = "associated:{id}", policy = Self::POLICY)]
    async fn associated(id: u64) -> u64 {
        id
    }

    #[cached(ttl = 300, key = "expression:{id}", policy = Self::POLICY.jitter(0.1))]
    async fn expression(id: u64) -> u64 {
        id
    }
}

trait Timed {
    const TIMEOUT: Duration;
    const PATIENT: Policy = Policy::DEFAULT.timeout(Self::TIMEOUT);

    #[cached(ttl = 300, key = "of_trait:{id}", policy = Self::PATIENT)]
    async fn of_trait(id: u64) -> u64 {
        id
    }
}

impl Timed for u8 {
    const TIMEOUT: Duration = Duration::from_millis(250);
}

#[cached(ttl = 300, key = "generic:{id}", skip(T), policy = T::PATIENT)]
async fn generic<T: Timed>(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "static:{id}", policy = SHARED)]
async fn of_static(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "reference:{id}", policy = BY_REFERENCE)]
async fn of_reference(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "eager:{id}", stale_while_revalidate = 60, policy = EAGER.soft_timeout(Duration::from_millis(50)))]
async fn eager(id: u64) -> u64 {
    id
}

#[cached(ttl = 300, key = "eager_const:{id}", stale_while_revalidate = 60, policy = EAGER)]
async fn eager_const(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn a_policy_is_a_constant_a_static_or_an_expression() {
    alone(async {
        assert_eq!(Knobs::<u8>::associated(1).await, 1);
        assert_eq!(Knobs::<u8>::expression(1).await, 1);
        assert_eq!(u8::of_trait(1).await, 1);
        assert_eq!(generic::<u8>(1).await, 1);
        assert_eq!(of_static(1).await, 1);
        assert_eq!(of_reference(1).await, 1);
        assert_eq!(eager(1).await, 1);
        assert_eq!(eager_const(1).await, 1);
        assert_eq!(served(of_static(1)).await, Outcome::Hit);
    })
    .await;
}

/// Documented, conditional, and instrumented from both sides.
#[tracing::instrument(skip_all)]
#[cached(ttl = 300, key = "inside:{id}")]
#[must_use = "attributes stay on the function"]
async fn instrumented_outside(id: u64) -> Result<u64, Missing> {
    Ok(id)
}

#[cached(ttl = 300, key = "outside:{id}")]
#[doc = "An attribute after ours."]
#[tracing::instrument(skip_all, err(Debug))]
#[inline]
async fn instrumented_inside(id: u64) -> Result<u64, Missing> {
    Ok(id)
}

#[cached(ttl = 300, key = "gone:{id}")]
#[cfg(not(test))]
async fn gone(id: u64) -> NoSuchType {
    NoSuchFunction(id)
}

#[cached(ttl = 300, key = "kept:{id}")]
#[cfg(test)]
async fn kept(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn attributes_beside_ours_are_kept_in_either_order() {
    alone(async {
        assert_eq!(instrumented_outside(1).await, Ok(1));
        assert_eq!(served(instrumented_outside(1)).await, Outcome::Hit);
        assert_eq!(instrumented_inside(2).await, Ok(2));
        assert_eq!(
            instrumented_inside_entry(2).peek().await.ok(),
            Some(Some(2))
        );
        assert_eq!(kept(3).await, 3);
        assert_eq!(kept_entry(3).key(), "cache:kept:3");
    })
    .await;
}

/// Counts spans.
struct Spans(Arc<AtomicU64>);

impl tracing::Subscriber for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_span() && metadata.name().starts_with("instrumented")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(self.0.fetch_add(1, SeqCst) + 1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn the_order_of_attributes_decides_what_a_span_covers() {
    let spans = Arc::new(AtomicU64::new(0));
    let _guard = tracing::subscriber::set_default(Spans(spans.clone()));
    alone(async {
        for _ in 0..3 {
            assert_eq!(instrumented_outside(5).await, Ok(5));
        }
        assert_eq!(spans.swap(0, SeqCst), 1, "only the load");
        for _ in 0..3 {
            assert_eq!(instrumented_inside(5).await, Ok(5));
        }
        assert_eq!(spans.load(SeqCst), 3, "every call");
    })
    .await;
}

macro_rules! cached_function {
    ($name:ident, $ttl:expr, $prefix:literal, $argument:ident) => {
        #[cached(ttl = $ttl, key = $prefix)]
        async fn $name($argument: u64) -> u64 {
            $argument
        }
    };
}

cached_function!(from_macro, "5m", "macro:{id}", id);

#[tokio::test]
async fn literals_may_come_through_a_macro() {
    alone(async { assert_eq!(from_macro(4).await, 4) }).await;
}
