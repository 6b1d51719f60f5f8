//! What holds of Redis alone: the commands that are sent, and every way a server can fail.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use cache_runtime::{
    StoreError, StoreErrorKind,
    test_util::{Key, MemoryStore, RedisConfig, RedisStore},
};
use support::{Mode, PATIENCE, Proxy, Reads as _, RedisServer, briefly, eventually, within};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const MINUTE: Duration = Duration::from_secs(60);

/// What the flow grants all cache operations of a call.
const BUDGET: Duration = Duration::from_millis(100);

/// Far more than an operation takes that does not wait for a lost server.
const AT_ONCE: Duration = Duration::from_secs(5);

fn store_on(url: &str) -> RedisStore {
    RedisStore::new(&RedisConfig::parse(url).unwrap()).unwrap()
}

fn store_with_lanes(url: &str, lanes: usize) -> RedisStore {
    let config = RedisConfig::parse(url).unwrap();
    RedisStore::new(&config.with_lanes(lanes).unwrap()).unwrap()
}

/// A runtime that makes no progress but in `block_on`.
fn undriven() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn key(text: impl std::fmt::Display) -> Key {
    Key::raw("redis", &text.to_string())
}

fn value() -> Bytes {
    Bytes::from_static(b"value")
}

/// Counts as `INFO commandstats` names them.
fn counts<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.map(|(name, n)| (name.to_owned(), n)).into()
}

/// Waits until the store serves what is there.
async fn serves(store: &RedisStore, key: &Key) {
    eventually("the store serves again", async || {
        let reply = timeout(BUDGET, store.get(key)).await.ok()?.ok()?;
        (reply == Some(value())).then_some(())
    })
    .await;
}

/// Waits until every lane serves.
async fn all_lanes_serve(store: &RedisStore) {
    eventually("all lanes serve", async || {
        timeout(BUDGET, store.ping()).await.ok()?.ok()
    })
    .await;
}

/// Fails without waiting for anything.
async fn fails_at_once(store: &RedisStore, key: &Key) -> StoreError {
    timeout(AT_ONCE, store.get(key))
        .await
        .expect("a failure without a wait")
        .expect_err("a failure")
}

#[path = "redis/agreement.rs"]
mod agreement;

#[path = "redis/leases.rs"]
mod leases;

#[path = "redis/reads.rs"]
mod reads;

mod commands {
    use super::*;

    #[tokio::test]
    async fn a_hit_is_one_get_and_nothing_else() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        for n in 0..20 {
            store.put(&key(n), value(), MINUTE).await.unwrap();
        }
        store.ping().await.unwrap();
        let mut commands = server.commands().await;
        for n in 0..20 {
            for _ in 0..5 {
                assert_eq!(store.get(&key(n)).await, Ok(Some(value())));
            }
        }
        assert_eq!(commands.counts().await, counts([("get", 100)]));
    }

    #[tokio::test]
    async fn a_put_is_one_set_with_its_time() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        let mut commands = server.commands().await;
        let ttl = Duration::from_millis(90_500);
        store.put(&key("a"), value(), ttl).await.unwrap();
        assert_eq!(commands.counts().await, counts([("set", 1)]));

        let left: u64 = server.run(&["PTTL", "redis:a"]).await;
        assert!((30_500..=90_500).contains(&left), "{left} ms left");
    }

    #[tokio::test]
    async fn a_delete_is_one_del_for_each_lane() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 3);
        store.ping().await.unwrap();
        let mut commands = server.commands().await;
        store.delete(&[key("a")]).await.unwrap();
        assert_eq!(commands.counts().await, counts([("del", 1)]));

        commands.reset().await;
        let keys: Vec<_> = (0..100).map(key).collect();
        store.delete(&keys).await.unwrap();
        assert_eq!(commands.counts().await, counts([("del", 3)]));
    }

    #[tokio::test]
    async fn clearing_scans_and_unlinks_and_never_asks_for_all_keys() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        let fill = "for i = 1, 10000 do redis.call('SET', 'redis:user:' .. i, 'x') end";
        server.run::<()>(&["EVAL", fill, "0"]).await;
        store.put(&key("order"), value(), MINUTE).await.unwrap();
        // Connects the pool, so that its greeting is not counted.
        drop(store.connection().await.unwrap());
        let mut commands = server.commands().await;
        assert_eq!(store.clear("redis:user:*").await, Ok(10_000));

        let counts = commands.counts().await;
        let allowed = ["scan", "unlink", "ping", "unwatch"];
        assert!(
            counts.keys().all(|name| allowed.contains(&&**name)),
            "{counts:?}"
        );
        assert!(counts["scan"] >= 10 && counts["unlink"] >= 10, "{counts:?}");
        assert_eq!(store.get(&key("order")).await, Ok(Some(value())));
    }

    /// Both stores remove the same entries for any pattern, well-formed or not.
    #[tokio::test]
    async fn patterns_mean_the_same_in_memory() {
        let server = RedisServer::start().await;
        let redis = store_on(&server.url());
        let memory = MemoryStore::new(1 << 20);
        let mut state = 7_u64;
        let mut word = |alphabet: &str, most: u64| {
            let mut next = |limit: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) % limit
            };
            let length = 1 + next(most);
            let letters = alphabet.as_bytes();
            (0..length)
                .map(|_| letters[next(letters.len() as u64) as usize] as char)
                .collect::<String>()
        };
        for _ in 0..150 {
            let names: Vec<_> = (0..40).map(|_| key(word("abc]^-[*\\", 4))).collect();
            for name in &names {
                redis.put(name, value(), MINUTE).await.unwrap();
                memory.put(name, value(), MINUTE).unwrap();
            }
            let pattern = format!("redis:{}", word("abc**??[[]]^-\\", 8));
            let cleared = redis.clear(&pattern).await.unwrap();
            assert_eq!(memory.clear(&pattern), cleared, "{pattern}");
            for name in &names {
                let left = redis.get(name).await.unwrap();
                assert_eq!(memory.look_up(name, &[]).envelope, left, "{pattern} {name}");
            }
            assert_eq!(memory.clear("*"), redis.clear("*").await.unwrap());
        }
    }

    #[tokio::test]
    async fn connections_are_made_by_the_first_call_only() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let clients = async || {
            let list: String = server.run(&["CLIENT", "LIST"]).await;
            list.lines().count()
        };
        let before = clients().await;
        let gets = (0..50).map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.get(&key(n)).await })
        });
        for get in gets.collect::<Vec<_>>() {
            assert_eq!(get.await.unwrap(), Ok(None));
        }
        // One for reads, one for everything else.
        assert_eq!(clients().await, before + 2);
        drop(store);
        eventually("a dropped store disconnects", async || {
            (clients().await == before).then_some(())
        })
        .await;
    }
}

mod connections {
    use super::*;

    #[tokio::test]
    async fn a_unix_socket_and_a_database() {
        let server = RedisServer::start().await;
        let url = format!("{}?db=3", server.unix_url());
        let store = store_on(&url);
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        assert_eq!(store.get(&key("a")).await, Ok(Some(value())));
        let other = store_on(&server.url());
        assert_eq!(other.get(&key("a")).await, Ok(None), "another database");
        assert_eq!(store.clear("redis:*").await, Ok(1));
    }

    #[tokio::test]
    async fn a_borrowed_connection_runs_any_command() {
        let server = RedisServer::start().await;
        let config = RedisConfig::parse(&server.url()).unwrap();
        let store = RedisStore::new(&config.with_pool_size(1).unwrap()).unwrap();
        for expected in 1..=3 {
            let mut connection = store.connection().await.unwrap();
            let count: u64 = redis::cmd("INCR")
                .arg("counter")
                .query_async(&mut connection)
                .await
                .unwrap();
            assert_eq!(count, expected);
        }
        let held = store.connection().await.unwrap();
        let error = within("no second one", store.connection()).await.err();
        assert_eq!(
            error.map(|error| error.kind()),
            Some(StoreErrorKind::Timeout)
        );
        drop(held);
        assert!(store.connection().await.is_ok());
    }

    #[tokio::test]
    async fn the_pool_forgets_connections_of_a_restarted_server() {
        let mut server = RedisServer::start().await;
        let store = store_on(&server.url());
        drop(store.connection().await.unwrap());
        server.kill();
        let error = within("a refusal", store.clear("*")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        server.restart().await;
        assert_eq!(store.clear("*").await, Ok(0));
    }

    #[tokio::test]
    async fn after_a_shutdown_every_clone_fails_at_once() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        store.clone().shutdown();
        let error = fails_at_once(&store, &key("a")).await;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(store.connection().await.is_err());
    }

    /// Every `#[tokio::test]` has a runtime of its own, and so have some applications.
    #[test]
    fn a_store_outlives_the_runtime_it_was_first_used_on() {
        let runtime = || tokio::runtime::Runtime::new().unwrap();
        let first = runtime();
        let server = first.block_on(RedisServer::start());
        let store = store_on(&server.url());
        first
            .block_on(store.put(&key("a"), value(), MINUTE))
            .unwrap();
        first.block_on(store.ping()).unwrap();
        drop(first);
        for _ in 0..3 {
            let next = runtime();
            for n in 0..10 {
                assert_eq!(next.block_on(store.get(&key(n))), Ok(None));
            }
            assert_eq!(next.block_on(store.get(&key("a"))), Ok(Some(value())));
            assert_eq!(next.block_on(store.delete(&[key("b")])), Ok(0));
            assert_eq!(next.block_on(store.clear("nothing")), Ok(0));
        }
    }

    /// Calls of one runtime must not fail because another one ends under them.
    #[test]
    fn a_runtime_that_ends_takes_no_call_of_another_with_it() {
        let server_runtime = tokio::runtime::Runtime::new().unwrap();
        let server = server_runtime.block_on(RedisServer::start());
        let store = store_on(&server.url());
        server_runtime.block_on(async {
            let reading = tokio::spawn({
                let store = store.clone();
                async move {
                    for n in 0..2_000 {
                        let reply = within("a get", store.get(&key(n % 7))).await;
                        assert_eq!(reply, Ok(None), "call {n}");
                    }
                }
            });
            while !reading.is_finished() {
                let store = store.clone();
                tokio::task::spawn_blocking(move || {
                    let brief = tokio::runtime::Runtime::new().unwrap();
                    // Ends with whatever lanes it came to keep.
                    let _ = brief.block_on(store.ping());
                })
                .await
                .unwrap();
            }
            reading.await.unwrap();
        });
    }

    /// A runtime that exists and is not driven answers nothing; its lanes must not stay there.
    #[test]
    fn a_stalled_runtime_loses_its_lanes() {
        let stalled = undriven();
        let driven = tokio::runtime::Runtime::new().unwrap();
        let server = driven.block_on(RedisServer::start());
        let store = store_on(&server.url());
        stalled
            .block_on(store.put(&key("a"), value(), MINUTE))
            .unwrap();
        stalled.block_on(store.ping()).unwrap();
        driven.block_on(serves(&store, &key("a")));
    }

    /// A runtime on which connecting panics, for want of an I/O driver.
    #[test]
    fn a_runtime_that_cannot_connect_is_an_error() {
        let deaf = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let store = store_on("redis://127.0.0.1:1");
        for n in 0..10 {
            let error = deaf.block_on(fails_at_once(&store, &key(n)));
            assert_eq!(error.detail(), "the connecting task panicked");
        }
    }

    #[test]
    fn without_a_runtime_there_is_an_error_and_no_panic() {
        let store = store_on("redis://127.0.0.1:1");
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let name = key("a");
        let get = std::pin::pin!(store.get(&name));
        let std::task::Poll::Ready(reply) = get.poll(&mut context) else {
            panic!("waits for nothing")
        };
        assert_eq!(reply.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
}

/// Keeps the server busy with a script, so that it refuses everything else.
async fn keep_busy(server: &RedisServer, store: &RedisStore) -> JoinHandle<()> {
    let mut connection = server.connection().await;
    let script = tokio::spawn(async move {
        let endless = redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .exec_async(&mut connection)
            .await;
        drop(endless);
    });
    eventually("the script blocks the server", async || {
        let error = within("a get", store.get(&key("a"))).await.err()?;
        (error.kind() == StoreErrorKind::Busy).then_some(())
    })
    .await;
    script
}

/// Ends what keeps the server busy.
async fn end(script: JoinHandle<()>, server: &RedisServer) {
    let mut killer = server.connection().await;
    redis::cmd("SCRIPT")
        .arg("KILL")
        .exec_async(&mut killer)
        .await
        .unwrap();
    within("the script", script).await.unwrap();
}

mod faults {
    use super::*;

    #[tokio::test]
    async fn a_killed_server_fails_calls_at_once_and_is_found_again() {
        let mut server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        server.kill();
        for n in 0..100 {
            let error = fails_at_once(&store, &key(n)).await;
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        }
        server.restart().await;
        server.run::<()>(&["SET", "redis:a", "value"]).await;
        serves(&store, &key("a")).await;
        all_lanes_serve(&store).await;
    }

    #[tokio::test]
    async fn calls_under_way_at_a_kill_end() {
        let mut server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        server.pause();
        let calls: Vec<_> = (0..100)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.get(&key(n)).await })
            })
            .collect();
        sleep(Duration::from_millis(10)).await;
        server.kill();
        for call in calls {
            let reply = within("a call under way", call).await.unwrap();
            assert_eq!(reply.unwrap_err().kind(), StoreErrorKind::Unavailable);
        }
    }

    #[tokio::test]
    async fn a_restart_between_two_calls_goes_unnoticed_in_the_end() {
        let mut server = RedisServer::start().await;
        let store = store_on(&server.url());
        for _ in 0..3 {
            store.ping().await.unwrap();
            server.restart().await;
            server.run::<()>(&["SET", "redis:a", "value"]).await;
            serves(&store, &key("a")).await;
            all_lanes_serve(&store).await;
        }
    }

    #[tokio::test]
    async fn a_server_that_is_down_at_first_is_found_later() {
        let mut server = RedisServer::stopped(&[]);
        let store = store_on(&server.url());
        for n in 0..20 {
            let error = fails_at_once(&store, &key(n)).await;
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        }
        server.restart().await;
        server.run::<()>(&["SET", "redis:a", "value"]).await;
        serves(&store, &key("a")).await;
    }

    #[tokio::test]
    async fn a_paused_server_costs_a_few_budgets_and_then_nothing() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        store.ping().await.unwrap();
        server.pause();
        let mut cut_off = 0;
        let mut at_once = 0;
        for n in 0..200 {
            match timeout(BUDGET, store.get(&key(n))).await {
                Err(_) => cut_off += 1,
                Ok(reply) => {
                    assert_eq!(reply.unwrap_err().kind(), StoreErrorKind::Unavailable);
                    at_once += 1;
                }
            }
        }
        // Three in a row on each lane at the very most.
        assert!((1..=6).contains(&cut_off), "{cut_off} cut off");
        assert_eq!(at_once + cut_off, 200);

        server.resume();
        serves(&store, &key("a")).await;
        all_lanes_serve(&store).await;
    }

    #[tokio::test]
    async fn a_paused_server_recovers_after_its_connections_were_given_up() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        store.ping().await.unwrap();
        server.pause();
        // Long enough for the probe of the old connection to end and for the new one to hang in
        // its greeting.
        eventually("the connection is given up", async || {
            let reply = timeout(BUDGET, store.get(&key("a"))).await.ok()?;
            let error = reply.unwrap_err();
            error.detail().contains("does not answer").then_some(())
        })
        .await;
        server.resume();
        serves(&store, &key("a")).await;
    }

    /// A connection that a firewall forgot: open, and silent for good.
    #[tokio::test]
    async fn a_stranded_connection_is_replaced() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let store = store_on(&proxy.url());
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        store.ping().await.unwrap();
        for _ in 0..3 {
            proxy.strand();
            serves(&store, &key("a")).await;
            all_lanes_serve(&store).await;
        }
    }

    /// Without any budget around it, a call on a stranded connection ends all the same.
    #[tokio::test]
    async fn a_call_without_a_budget_ends() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let store = store_on(&proxy.url());
        store.ping().await.unwrap();
        proxy.strand();
        let error = within("a call", store.get(&key("a"))).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Timeout);
        let reply = within("the next call", async {
            loop {
                if let Ok(reply) = store.get(&key("a")).await {
                    return reply;
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        assert_eq!(reply.await, None);
    }

    #[tokio::test]
    async fn a_server_that_greets_nobody_costs_a_few_budgets_and_then_nothing() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        proxy.set(Mode::Hang);
        let store = store_on(&proxy.url());
        let mut cut_off = 0;
        for n in 0..100 {
            if let Ok(reply) = timeout(BUDGET, store.get(&key(n))).await {
                assert_eq!(reply.unwrap_err().kind(), StoreErrorKind::Unavailable);
            } else {
                cut_off += 1;
            }
        }
        assert!((1..=6).contains(&cut_off), "{cut_off} cut off");
        server.run::<()>(&["SET", "redis:a", "value"]).await;
        proxy.set(Mode::Forward);
        serves(&store, &key("a")).await;
    }

    /// A lane has two connections, and the server takes one of them.
    #[tokio::test]
    async fn a_server_that_is_full_says_so_until_it_has_room() {
        let server = RedisServer::start().await;
        server.run::<()>(&["SET", "redis:a", "value"]).await;
        let mut own = server.connection().await;
        let mut limit = async |connections: usize| {
            let mut config = redis::cmd("CONFIG");
            config.arg("SET").arg("maxclients").arg(connections);
            config.exec_async(&mut own).await.unwrap();
        };
        limit(2).await;
        let store = store_with_lanes(&server.url(), 1);
        for _ in 0..10 {
            let error = within("a get", store.get(&key("a"))).await.unwrap_err();
            assert!(
                error.detail().contains("max number of clients"),
                "{error:?}"
            );
        }
        limit(3).await;
        serves(&store, &key("a")).await;
    }

    #[tokio::test]
    async fn a_refusing_port_is_found_again() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let store = store_on(&proxy.url());
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        for _ in 0..3 {
            proxy.set(Mode::Refuse);
            eventually("the loss shows", async || {
                timeout(AT_ONCE, store.get(&key("a"))).await.ok()?.err()
            })
            .await;
            proxy.set(Mode::Forward);
            serves(&store, &key("a")).await;
        }
    }

    #[tokio::test]
    async fn garbage_is_an_error_and_the_connection_is_replaced() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let store = store_on(&proxy.url());
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"\0\0\0\0\r\n",
            b"$5\r\nab",
            b"$abc\r\n",
            b":1\r\n",
            b"+OK\r\n",
            b"*1\r\n$1\r\nx\r\n",
            b"*9223372036854775807\r\n",
            b"%9223372036854775807\r\n",
            b"*1000000000\r\n",
            b"$9223372036854775807\r\n",
            b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n:5\r\n",
        ] {
            store.put(&key("a"), value(), MINUTE).await.unwrap();
            proxy.set(Mode::Garble(garbage.to_vec()));
            for _ in 0..5 {
                if let Ok(reply) = timeout(BUDGET, store.get(&key("a"))).await {
                    let kind = reply.unwrap_err().kind();
                    let expected = [StoreErrorKind::Protocol, StoreErrorKind::Unavailable];
                    assert!(expected.contains(&kind), "{kind} for {garbage:?}");
                }
            }
            proxy.set(Mode::Forward);
            serves(&store, &key("a")).await;
            all_lanes_serve(&store).await;
        }
    }

    /// What a paused server left unanswered it answers when it goes on, on the same connections.
    #[tokio::test]
    async fn a_pause_that_ends_before_the_probe_does() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        store.ping().await.unwrap();
        server.pause();
        eventually("the breaker opens", async || {
            timeout(BUDGET, store.get(&key("a"))).await.ok()?.err()
        })
        .await;
        server.resume();
        serves(&store, &key("a")).await;
    }

    #[tokio::test]
    async fn a_reply_out_of_step_ends_its_connection() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let store = store_with_lanes(&proxy.url(), 1);
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        let before = client_ids(&server, "set").await;
        assert_eq!(before.len(), 1);

        proxy.set(Mode::Garble(b":1\r\n".to_vec()));
        let error = within("a get", store.get(&key("a"))).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Protocol);
        proxy.set(Mode::Forward);
        serves(&store, &key("a")).await;
        let after = client_ids(&server, "get").await;
        assert_eq!(after.len(), 1);
        assert_ne!(after, before);
    }

    #[tokio::test]
    async fn an_idle_connection_that_ends_is_replaced_without_a_call() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 2);
        store.ping().await.unwrap();
        let before = client_ids(&server, "ping").await;
        assert_eq!(before.len(), 4, "two for each lane");
        for id in &before {
            // One that ends takes its fellow along.
            server.run::<usize>(&["CLIENT", "KILL", "ID", id]).await;
        }
        eventually("both lanes connect again", async || {
            // What each connection begins with, and what it is asked where the one before was brief.
            let mut after = Vec::new();
            for command in ["client|tracking", "ping", "get"] {
                after.extend(client_ids(&server, command).await);
            }
            let again = after.len() == 4 && !after.iter().any(|id| before.contains(id));
            again.then_some(())
        })
        .await;
        drop(store);
    }

    /// Such as a proxy that has no room, or a server that is short of memory for its clients.
    #[tokio::test]
    async fn a_server_that_hangs_up_on_everybody_is_not_asked_all_the_time() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        let mut ours = server.connection().await;
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal");
        let (mut killed, start) = (0, Instant::now());
        while start.elapsed() < Duration::from_secs(3) {
            killed += kill.query_async::<usize>(&mut ours).await.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
        // Two for each attempt, and after a few at least 50 ms between them.
        let (attempts, elapsed) = (killed / 2, start.elapsed());
        let most = 8 + elapsed.as_millis() as usize / 50;
        assert!((2..=most).contains(&attempts), "{attempts} in {elapsed:?}");
        serves(&store, &key("a")).await;
    }

    /// It takes connections and answers a `PING`, so only a read tells.
    #[tokio::test]
    async fn a_server_that_answers_no_reads_costs_a_few_budgets_and_then_nothing() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start_against(server.port(), "GET");
        let store = store_with_lanes(&proxy.url(), 1);
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        serves(&store, &key("a")).await;
        proxy.set(Mode::Hang);
        let mut cut_off = 0;
        for _ in 0..200 {
            match timeout(BUDGET, store.get(&key("a"))).await {
                Err(_) => cut_off += 1,
                Ok(reply) => assert_eq!(reply.unwrap_err().kind(), StoreErrorKind::Unavailable),
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!((1..=6).contains(&cut_off), "{cut_off} cut off");
        proxy.set(Mode::Forward);
        serves(&store, &key("a")).await;
    }

    #[tokio::test]
    async fn callers_that_leave_early_do_not_open_the_breaker() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        for n in 0..1_000 {
            // Polled once, which sends the command, and dropped.
            assert_eq!(briefly(0, store.get(&key(n))).await, None);
        }
        assert_eq!(store.get(&key("a")).await, Ok(None));
    }

    /// The ids of the server's clients whose last command is `command`.
    async fn client_ids(server: &RedisServer, command: &str) -> Vec<String> {
        let list: String = server.run(&["CLIENT", "LIST"]).await;
        let last = format!("cmd={command}");
        list.lines()
            .filter(|line| line.split(' ').any(|field| field == last))
            .filter_map(|line| line.strip_prefix("id=")?.split(' ').next())
            .map(str::to_owned)
            .collect()
    }
}

mod refusals {
    use super::*;

    /// The server answers with errors for much longer than the breaker would stand failures.
    async fn refuses_put(store: &RedisStore, kind: StoreErrorKind) {
        for n in 0..20 {
            let reply = within("a put", store.put(&key(n), value(), MINUTE)).await;
            assert_eq!(reply.unwrap_err().kind(), kind);
        }
    }

    #[tokio::test]
    async fn a_key_of_another_type() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        server.run::<()>(&["LPUSH", "redis:list", "x"]).await;
        for _ in 0..20 {
            let error = store.get(&key("list")).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::WrongType);
        }
        store.put(&key("list"), value(), MINUTE).await.unwrap();
        assert_eq!(store.get(&key("list")).await, Ok(Some(value())));
    }

    #[tokio::test]
    async fn a_full_server() {
        let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]).await;
        let store = store_on(&server.url());
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        server.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
        refuses_put(&store, StoreErrorKind::OutOfMemory).await;
        assert_eq!(store.get(&key("a")).await, Ok(Some(value())));
        assert_eq!(store.delete(&[key("a")]).await, Ok(1));
        server.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
        store.put(&key("a"), value(), MINUTE).await.unwrap();
    }

    #[tokio::test]
    async fn a_replica() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        server.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
        refuses_put(&store, StoreErrorKind::ReadOnly).await;
        let error = store.delete(&[key("a")]).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
        assert_eq!(store.get(&key("a")).await, Ok(Some(value())));
    }

    #[tokio::test]
    async fn too_few_replicas() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        let few = ["CONFIG", "SET", "min-replicas-to-write", "1"];
        server.run::<()>(&few).await;
        refuses_put(&store, StoreErrorKind::NoReplicas).await;
    }

    #[tokio::test]
    async fn a_server_busy_with_a_script() {
        let server = RedisServer::start_with(&["--busy-reply-threshold", "1"]).await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        let script = keep_busy(&server, &store).await;
        for n in 0..20 {
            let error = store.get(&key(n)).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Busy);
        }
        end(script, &server).await;
        eventually("the server is free", async || {
            store.get(&key("a")).await.ok()
        })
        .await;
    }

    #[tokio::test]
    async fn missing_and_wrong_passwords() {
        let server = RedisServer::start_with(&["--requirepass", "opensesame"]).await;
        for user in ["", ":hunter2@", "amy:hunter2@"] {
            let store = store_on(&format!("redis://{user}127.0.0.1:{}", server.port()));
            for n in 0..10 {
                let error = fails_at_once(&store, &key(n)).await;
                assert_eq!(error.kind(), StoreErrorKind::Auth, "{error}");
                let shown = format!("{error} {error:?} {store:?}");
                assert!(
                    !shown.contains("hunter2") && !shown.contains("amy"),
                    "{shown}"
                );
            }
            let error = store.connection().await.err().unwrap();
            assert_eq!(error.kind(), StoreErrorKind::Auth, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let store = store_on(&format!("redis://:opensesame@127.0.0.1:{}", server.port()));
        store.put(&key("a"), value(), MINUTE).await.unwrap();
        assert_eq!(store.get(&key("a")).await, Ok(Some(value())));
        assert_eq!(store.clear("redis:*").await, Ok(1));
    }

    #[tokio::test]
    async fn a_user_without_the_right() {
        let server = RedisServer::start().await;
        let rights = ["ACL", "SETUSER", "amy", "on", ">pw", "~*", "+get", "+hello"];
        server.run::<()>(&rights).await;
        let store = store_on(&format!("redis://amy:pw@127.0.0.1:{}", server.port()));
        assert_eq!(store.get(&key("a")).await, Ok(None));
        refuses_put(&store, StoreErrorKind::Auth).await;
    }

    /// A server that does not know `HELLO` repeats its arguments, the password among them.
    #[tokio::test]
    async fn a_server_too_old_for_the_protocol() {
        let server = RedisServer::start_with(&["--rename-command", "HELLO", ""]).await;
        let store = store_on(&format!("redis://amy:hunter2@127.0.0.1:{}", server.port()));
        let error = fails_at_once(&store, &key("a")).await;
        assert!(error.to_string().contains("HELLO"), "{error}");
        let pooled = store.connection().await.err().unwrap();
        let shown = format!("{error} {error:?} {pooled} {pooled:?}");
        assert!(
            !shown.contains("hunter2") && !shown.contains("amy"),
            "{shown}"
        );
    }
}

/// The waits of this file end well before the limit of the waits for conditions.
#[test]
fn limits_are_in_order() {
    assert!(BUDGET < AT_ONCE && AT_ONCE < PATIENCE);
}
