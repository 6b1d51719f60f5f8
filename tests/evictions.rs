//! A full Redis evicts leases no sooner than values: under every policy that evicts.
//!
//! A lease that is evicted costs a second load. Were leases kept with a short time to live, policies
//! such as `volatile-ttl` would choose them first; so a lease without a value is kept as long as the
//! value would be.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::Duration;

use cache_runtime::test_util::{
    Acquire, Acquired, Key, Meta, RedisConfig, RedisStore, Spans, Store, Token, TypeIdentity, seal,
    start,
};
use support::RedisServer;

const POLICIES: [&str; 7] = [
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

const HOUR: Duration = Duration::from_hours(1);
/// Written first, in turn with as many values of the same age: these are compared.
const LEASES: usize = 2_000;
/// Of a value: much more than of a lease.
const PAYLOAD: usize = 400;
/// The part of the compared entries that is evicted before the count, in percent.
const EVICTED: usize = 30;
/// How many times as often a lease may be evicted as a value of its age. Redis samples: with more
/// than a thousand evictions the rates of equals differ by 5% (one standard deviation).
const RATIO: f64 = 1.3;

fn identity() -> TypeIdentity {
    TypeIdentity::from_u64(7)
}

fn key(kind: &str, number: usize) -> Key {
    Key::raw("evictions", &format!("{kind}:{number:06}"))
}

async fn put(store: &Store, key: &Key) {
    let mut buffer = start();
    buffer.resize(buffer.len() + PAYLOAD, 0);
    let spans = Spans {
        fresh: HOUR,
        stale: Duration::ZERO,
    };
    let meta = Meta {
        created_ms: 0,
        spans,
        load_cost: Duration::ZERO,
        codec_id: 0,
    };
    let envelope = seal(buffer, key.as_str(), identity(), &meta);
    store.put(key, envelope, HOUR).await.expect("room");
}

async fn lease(store: &Store, key: &Key) {
    let request = Acquire {
        token: Token::random(),
        identity: identity(),
        lease: Duration::from_secs(2),
        hold: HOUR,
        rejected: None,
        force: false,
        has_old: false,
    };
    let acquired = store.acquire(key, &request).await.expect("room");
    assert!(matches!(acquired, Acquired::Granted(_)), "{acquired:?}");
}

/// How many of the compared entries of this kind are gone.
async fn evicted(server: &RedisServer, kind: &str) -> usize {
    let mut connection = server.connection().await;
    let mut exists = redis::cmd("EXISTS");
    for number in 0..LEASES {
        exists.arg(key(kind, number).as_str());
    }
    let left: usize = exists.query_async(&mut connection).await.expect("a number");
    LEASES - left
}

/// Fills a server until enough of the entries of both kinds are evicted; how many of each.
async fn fill(policy: &str) -> (usize, usize) {
    let server = RedisServer::start().await;
    let config = RedisConfig::parse(&server.url()).expect("a URL");
    let store = Store::Redis(RedisStore::new(&config).expect("a configuration"));
    for number in 0..LEASES {
        lease(&store, &key("lease", number)).await;
        put(&store, &key("value", number)).await;
    }
    // No room for anything further.
    let info: String = server.run(&["INFO", "memory"]).await;
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .expect("how much is used");
    for (setting, value) in [("maxmemory-policy", policy), ("maxmemory", used)] {
        let () = server.run(&["CONFIG", "SET", setting, value]).await;
    }
    for number in (0..).step_by(200) {
        let (leases, values) = (
            evicted(&server, "lease").await,
            evicted(&server, "value").await,
        );
        if (leases + values) * 100 >= 2 * LEASES * EVICTED {
            return (leases, values);
        }
        assert!(number < 100 * LEASES, "nothing is evicted");
        for number in number..number + 200 {
            put(&store, &key("later", number)).await;
        }
    }
    unreachable!("numbers do not end");
}

#[tokio::test]
async fn leases_are_evicted_no_sooner_than_values_of_their_age() {
    let share = |evicted: usize| 100.0 * evicted as f64 / LEASES as f64;
    let mut preferred = Vec::new();
    for policy in POLICIES {
        let (leases, values) = fill(policy).await;
        println!(
            "{policy:<16} evicted: {:>5.1}% of the leases, {:>5.1}% of the values",
            share(leases),
            share(values)
        );
        if leases as f64 > RATIO * values as f64 {
            preferred.push(policy);
        }
    }
    assert!(preferred.is_empty(), "leases go first under {preferred:?}");
}
