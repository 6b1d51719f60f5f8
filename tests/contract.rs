//! One contract, kept by every store.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::Duration;

use bytes::Bytes;
use cache_runtime::StoreErrorKind;
use cache_runtime::test_util::{Key, MemoryStore, RedisConfig, RedisStore, Store};
use support::{Reads as _, RedisServer, briefly, eventually, within};
use tokio::time::sleep;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs every case on every store.
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let store = super::Store::Memory(super::MemoryStore::new(64 << 20));
                    super::$case(&store).await;
                }
            )*
        }

        mod redis {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    let server = super::RedisServer::start().await;
                    let config = super::RedisConfig::parse(&server.url()).unwrap();
                    let store = super::Store::Redis(super::RedisStore::new(&config).unwrap());
                    super::$case(&store).await;
                }
            )*
        }
    };
}

#[path = "contract/leases.rs"]
mod leases;
#[path = "contract/tags.rs"]
mod tags;

contract! {
    what_was_put_is_got,
    overwriting_replaces_value_and_time,
    values_are_binary_safe,
    keys_are_binary_safe,
    entries_expire,
    any_duration_is_a_time_to_live,
    deleting_counts_what_was_there,
    deleting_many_reaches_them_all,
    clearing_takes_what_matches_and_leaves_the_rest,
    clearing_understands_patterns,
    clones_share_the_entries,
    a_thousand_callers_get_their_own,
    operations_on_a_key_stay_in_order,
    cancelled_calls_never_misdirect_a_reply,
    a_ping_is_answered,
}

fn key(text: impl std::fmt::Display) -> Key {
    Key::raw("contract", &text.to_string())
}

fn text(value: impl std::fmt::Display) -> Bytes {
    value.to_string().into()
}

async fn what_was_put_is_got(store: &Store) {
    assert_eq!(store.get(&key("a")).await, Ok(None));
    store.put(&key("a"), text("one"), MINUTE).await.unwrap();
    assert_eq!(store.get(&key("a")).await, Ok(Some(text("one"))));
    assert_eq!(store.get(&key("b")).await, Ok(None));
}

async fn overwriting_replaces_value_and_time(store: &Store) {
    let brief = Duration::from_millis(50);
    store.put(&key("a"), text("one"), brief).await.unwrap();
    store.put(&key("a"), text("two"), MINUTE).await.unwrap();
    store.put(&key("b"), text("brief"), brief).await.unwrap();
    expired(store, &key("b")).await;
    assert_eq!(store.get(&key("a")).await, Ok(Some(text("two"))));

    store.put(&key("a"), text("three"), brief).await.unwrap();
    expired(store, &key("a")).await;
}

async fn values_are_binary_safe(store: &Store) {
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [
        Vec::new(),
        b"\r\n$3\r\nfoo\r\n".to_vec(),
        b"\0".to_vec(),
        every_byte.repeat(4_096),
    ] {
        let value = Bytes::from(value);
        store.put(&key("a"), value.clone(), MINUTE).await.unwrap();
        assert!(store.get(&key("a")).await == Ok(Some(value)));
    }
}

async fn keys_are_binary_safe(store: &Store) {
    let texts = [
        "", " ", "\r\n", "\0", "ключ", "🔑", "a\r\nb", "*", "[a]", "a b",
    ];
    for (n, name) in texts.iter().enumerate() {
        store.put(&key(name), text(n), MINUTE).await.unwrap();
    }
    for (n, name) in texts.iter().enumerate() {
        assert_eq!(store.get(&key(name)).await, Ok(Some(text(n))), "{name:?}");
    }
}

async fn entries_expire(store: &Store) {
    let brief = Duration::from_millis(50);
    store.put(&key("a"), text("one"), brief).await.unwrap();
    store.put(&key("b"), text("two"), MINUTE).await.unwrap();
    expired(store, &key("a")).await;
    assert_eq!(store.get(&key("b")).await, Ok(Some(text("two"))));
    assert_eq!(store.delete(&[key("a")]).await, Ok(0), "gone is gone");
}

async fn any_duration_is_a_time_to_live(store: &Store) {
    for brief in [Duration::ZERO, Duration::from_nanos(1)] {
        store.put(&key("a"), text("one"), brief).await.unwrap();
        expired(store, &key("a")).await;
    }
    store
        .put(&key("a"), text("one"), Duration::MAX)
        .await
        .unwrap();
    assert_eq!(store.get(&key("a")).await, Ok(Some(text("one"))));
}

async fn deleting_counts_what_was_there(store: &Store) {
    store.put(&key("a"), text("one"), MINUTE).await.unwrap();
    store.put(&key("b"), text("two"), MINUTE).await.unwrap();
    assert_eq!(store.delete(&[]).await, Ok(0));
    assert_eq!(store.delete(&[key("a"), key("c"), key("a")]).await, Ok(1));
    assert_eq!(store.get(&key("a")).await, Ok(None));
    assert_eq!(store.get(&key("b")).await, Ok(Some(text("two"))));
    assert_eq!(store.delete(&[key("a")]).await, Ok(0));
}

async fn deleting_many_reaches_them_all(store: &Store) {
    let keys: Vec<_> = (0..1_000).map(key).collect();
    for key in &keys {
        store.put(key, text("x"), MINUTE).await.unwrap();
    }
    assert_eq!(store.delete(&keys).await, Ok(1_000));
    for key in &keys {
        assert_eq!(store.get(key).await, Ok(None));
    }
}

async fn clearing_takes_what_matches_and_leaves_the_rest(store: &Store) {
    let users: Vec<_> = (0..10_000).map(|n| key(format_args!("user:{n}"))).collect();
    let orders: Vec<_> = (0..100).map(|n| key(format_args!("order:{n}"))).collect();
    let other = Key::raw("elsewhere", "user:1");
    for key in users.iter().chain(&orders).chain([&other]) {
        store.put(key, text("x"), MINUTE).await.unwrap();
    }
    assert_eq!(store.clear("contract:user:*").await, Ok(10_000));
    assert_eq!(store.clear("contract:user:*").await, Ok(0));
    for key in &users {
        assert_eq!(store.get(key).await, Ok(None));
    }
    for key in orders.iter().chain([&other]) {
        assert_eq!(store.get(key).await, Ok(Some(text("x"))));
    }
}

async fn clearing_understands_patterns(store: &Store) {
    for (pattern, matching) in [
        ("user:?", vec!["user:1", "user:2"]),
        ("user:[13]*", vec!["user:1", "user:10"]),
        ("*:1", vec!["user:1", "user:*:1"]),
        ("user:\\*:*", vec!["user:*:1"]),
        ("nothing", vec![]),
        ("*", vec!["user:1", "user:2", "user:10", "user:*:1"]),
    ] {
        for name in ["user:1", "user:2", "user:10", "user:*:1"] {
            store.put(&key(name), text("x"), MINUTE).await.unwrap();
        }
        let cleared = store.clear(&format!("contract:{pattern}")).await;
        assert_eq!(cleared, Ok(matching.len() as u64), "{pattern}");
        for name in matching {
            assert_eq!(store.get(&key(name)).await, Ok(None), "{pattern} {name}");
        }
    }
}

async fn clones_share_the_entries(store: &Store) {
    let other = store.clone();
    store.put(&key("a"), text("one"), MINUTE).await.unwrap();
    assert_eq!(other.get(&key("a")).await, Ok(Some(text("one"))));
    other.delete(&[key("a")]).await.unwrap();
    assert_eq!(store.get(&key("a")).await, Ok(None));
}

async fn a_thousand_callers_get_their_own(store: &Store) {
    let tasks: Vec<_> = (0..1_000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    let value = text(format_args!("{n}/{round}"));
                    store.put(&key(n), value.clone(), MINUTE).await.unwrap();
                    assert_eq!(store.get(&key(n)).await, Ok(Some(value)));
                }
            })
        })
        .collect();
    for task in tasks {
        within("a caller's task", task).await.unwrap();
    }
}

/// Puts that were sent one after the other, none awaited, arrive in that order.
async fn operations_on_a_key_stay_in_order(store: &Store) {
    store.ping().await.unwrap();
    for round in 0..20 {
        // A new turn of the scheduler: it makes a task that has done much wait before it sends.
        tokio::task::yield_now().await;
        let name = key(round);
        let puts: Vec<_> = (0..20)
            .map(|n| Box::pin(store.put(&name, text(n), MINUTE)))
            .collect();
        let mut unread = Vec::new();
        for mut put in puts {
            // The first poll sends the command, and none waits for its reply.
            if briefly(0, put.as_mut()).await.is_none() {
                unread.push(put);
            }
        }
        for put in unread {
            assert_eq!(within("a put", put).await, Ok(()));
        }
        let last = within("a get after the puts", store.get(&name)).await;
        assert_eq!(last, Ok(Some(text(19))));
    }
}

async fn cancelled_calls_never_misdirect_a_reply(store: &Store) {
    const TASKS: u64 = 64;
    const CALLS: u64 = 200;
    for n in 0..100 {
        store.put(&key(n), text(n), MINUTE).await.unwrap();
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|seed| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut random = Random(seed);
                let mut answered = 0;
                for _ in 0..CALLS {
                    let n = random.below(100);
                    let turns = u32::try_from(random.below(200)).unwrap();
                    match briefly(turns, store.get(&key(n))).await {
                        Some(Ok(value)) => {
                            assert_eq!(value, Some(text(n)));
                            answered += 1;
                        }
                        // On a loaded machine calls are dropped so late that they count as
                        // unanswered, and the store is left alone for a moment.
                        Some(Err(error)) => assert_eq!(error.kind(), StoreErrorKind::Unavailable),
                        None => {}
                    }
                }
                answered
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        answered += within("a caller's task", task).await.unwrap();
    }
    assert!(answered > 0, "every call was cancelled");
    if matches!(store, Store::Redis(_)) {
        assert!(answered < TASKS * CALLS, "no call was cancelled");
    }
    for n in 0..100 {
        let value = eventually("the store answers", async || store.get(&key(n)).await.ok());
        assert_eq!(value.await, Some(text(n)));
    }
}

async fn a_ping_is_answered(store: &Store) {
    assert!(within("a ping", store.ping()).await.is_ok());
}

async fn expired(store: &Store, key: &Key) {
    eventually("an entry expires", async || {
        store.get(key).await.unwrap().is_none().then_some(())
    })
    .await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(store.get(key).await, Ok(None));
}

/// SplitMix64: the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
