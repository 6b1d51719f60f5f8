//! Leases on a real server: what they cost, and what becomes of them when it fails.

use cache_runtime::test_util::{
    Acquire, Acquired, Grant, LeaseKind, Meta, Release, Spans, Token, TypeIdentity, lease, open,
    seal, stamp, start,
};

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

mod costs {
    use super::*;

    /// The commands within a script are counted as well.
    #[tokio::test]
    async fn acquiring_and_filling_are_one_command_each() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        scripts_are_known(&store).await;
        let mut commands = server.commands().await;
        let grant = granted(&store, &request()).await;
        let acquired = counts([("evalsha", 1), ("time", 1), ("getrange", 1), ("set", 1)]);
        assert_eq!(commands.counts().await, acquired);

        commands.reset().await;
        assert!(fills(&store, &grant).await);
        assert_eq!(commands.counts().await, acquired);

        commands.reset().await;
        let forced = Acquire {
            force: true,
            has_old: false,
            ..request()
        };
        granted(&store, &forced).await;
        let in_place = [
            ("evalsha", 1),
            ("time", 1),
            ("getrange", 1),
            ("setrange", 1),
            ("pttl", 1),
        ];
        assert_eq!(commands.counts().await, counts(in_place));
    }

    #[tokio::test]
    async fn a_watched_read_is_one_get_with_a_word_before_it() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        let mut commands = server.commands().await;
        store.look_up_watched(&key("a"), &[]).await.unwrap();
        let watched = counts([("client|caching", 1), ("get", 1)]);
        assert_eq!(commands.counts().await, watched);
        // The word is for the next read only.
        commands.reset().await;
        store.get(&key("b")).await.unwrap();
        assert_eq!(commands.counts().await, counts([("get", 1)]));
        let stats: String = server.run(&["INFO", "stats"]).await;
        assert!(stats.contains("tracking_total_keys:1\r\n"), "{stats}");
    }

    #[tokio::test]
    async fn a_connection_asks_for_the_time_and_for_changes_once() {
        let server = RedisServer::start().await;
        let config = RedisConfig::parse(&server.url()).unwrap();
        let store = RedisStore::new(&config.with_lanes(1).unwrap()).unwrap();
        let mut commands = server.commands().await;
        for n in 0..10 {
            store.get(&key(n)).await.unwrap();
        }
        let counts = commands.counts().await;
        assert_eq!((counts["time"], counts["client|tracking"]), (1, 1));
        assert_eq!(counts["get"], 10);
    }
}

mod times {
    use super::*;

    #[tokio::test]
    async fn the_clock_is_never_ahead_of_the_server() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        assert_eq!(store.now(), None, "not asked yet");
        store.ping().await.unwrap();
        assert!(store.now().unwrap() <= time(&server).await);
        for _ in 0..20 {
            let before = time(&server).await;
            scripts_are_known(&store).await;
            let guess = store.now().unwrap();
            let after = time(&server).await;
            assert!(
                (before..=after).contains(&guess),
                "{before} {guess} {after}"
            );
        }
    }

    #[tokio::test]
    async fn keys_live_as_long_as_they_are_needed() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        let held = Acquire {
            lease: MINUTE,
            hold: 3 * HOUR,
            ..request()
        };
        let grant = granted(&store, &held).await;
        lives(&server, 3 * HOUR, "a lease alone").await;
        assert_eq!(store.renew(&key("a"), &grant, HOUR).await, Ok(true));
        lives(&server, 3 * HOUR, "a lease renewed for less").await;
        assert_eq!(store.renew(&key("a"), &grant, 5 * HOUR).await, Ok(true));
        lives(&server, 5 * HOUR, "a lease renewed for more").await;

        assert!(fills(&store, &grant).await);
        lives(&server, HOUR, "a value").await;
        let forced = Acquire {
            force: true,
            has_old: false,
            ..held.clone()
        };
        let over = granted(&store, &forced).await;
        lives(&server, 3 * HOUR, "a value under a lease").await;
        release(&store, &over, Release::Ended(5 * HOUR)).await;
        lives(&server, 3 * HOUR, "a value whose load ended").await;
        store.intend(&key("a"), &forced).await.unwrap();
        lives(&server, 3 * HOUR, "a value under an intent").await;
        // The value's stale span.
        store.expire(&key("a")).await.unwrap();
        lives(&server, 2 * HOUR, "an expired value").await;

        store.delete(&[key("a")]).await.unwrap();
        let intent = store.intend(&key("a"), &held).await.unwrap();
        lives(&server, 3 * HOUR, "an intent alone").await;
        release(&store, &intent, Release::Ended(HOUR)).await;
        lives(&server, HOUR, "word of an end").await;
        let grant = granted(&store, &held).await;
        release(&store, &grant, Release::Ended(Duration::from_millis(1))).await;
        lives(&server, Duration::from_secs(5), "word of an end for all").await;
        store
            .hold_off(&key("a"), identity(), 4 * HOUR)
            .await
            .unwrap();
        lives(&server, 4 * HOUR, "a hold-off").await;
        let intent = store.intend(&key("a"), &held).await.unwrap();
        let committed = store.commit(&key("a"), &intent, &envelope(), HOUR).await;
        assert_eq!(committed, Ok(true));
        lives(&server, HOUR, "a written value").await;
    }

    /// A key that somebody made to live for good goes on doing so.
    #[tokio::test]
    async fn a_key_without_an_end_keeps_none() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.put(&key("a"), envelope(), HOUR).await.unwrap();
        server.run::<()>(&["PERSIST", "redis:a"]).await;
        let forced = Acquire {
            force: true,
            has_old: false,
            ..request()
        };
        let grant = granted(&store, &forced).await;
        assert_eq!(store.renew(&key("a"), &grant, HOUR).await, Ok(true));
        assert_eq!(server.run::<i64>(&["PTTL", "redis:a"]).await, -1);
        store.expire(&key("a")).await.unwrap();
        lives(&server, 2 * HOUR, "an expired value").await;
    }

    async fn lives(server: &RedisServer, expected: Duration, what: &str) {
        let left: u64 = server.run(&["PTTL", "redis:a"]).await;
        let expected = u64::try_from(expected.as_millis()).unwrap();
        let slack = expected.min(60_000);
        assert!(
            (expected - slack..=expected).contains(&left),
            "{what}: {left}"
        );
    }

    async fn time(server: &RedisServer) -> u64 {
        let (seconds, micros): (u64, u64) = server.run(&["TIME"]).await;
        seconds * 1_000 + micros / 1_000
    }
}

mod changes {
    use super::*;

    #[tokio::test]
    async fn those_of_any_client_are_heard() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        for words in [
            &["SET", "redis:a", "x"][..],
            &["APPEND", "redis:a", "x"],
            &["PEXPIRE", "redis:a", "3600000"],
            &["DEL", "redis:a"],
            &["LPUSH", "redis:a", "x"],
            &["UNLINK", "redis:a"],
        ] {
            let (_, mut change) = match store.look_up_watched(&key("a"), &[]).await {
                Err(error) if error.kind() == StoreErrorKind::WrongType => {
                    assert_eq!(store.watchers(), 0);
                    server.run::<()>(words).await;
                    continue;
                }
                watched => watched.unwrap(),
            };
            server.run::<redis::Value>(words).await;
            within(&format!("{words:?}"), change.happened()).await;
        }
    }

    #[tokio::test]
    async fn a_flush_changes_everything() {
        for flush in ["FLUSHALL", "FLUSHDB"] {
            let server = RedisServer::start().await;
            let store = store_on(&server.url());
            let mut changes = Vec::new();
            for n in 0..10 {
                store.put(&key(n), value(), MINUTE).await.unwrap();
                let (seen, change) = store.look_up_watched(&key(n), &[]).await.unwrap();
                assert_eq!(seen.envelope, Some(value()));
                changes.push(change);
            }
            server.run::<()>(&[flush]).await;
            for change in &mut changes {
                within(flush, change.happened()).await;
            }
        }
    }

    #[tokio::test]
    async fn a_lost_connection_counts_as_a_change() {
        let mut server = RedisServer::start().await;
        let store = store_on(&server.url());
        let (_, mut change) = store.look_up_watched(&key("a"), &[]).await.unwrap();
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        server.run::<()>(&kill).await;
        within("a killed connection", change.happened()).await;

        let (_, mut change) = watched_again(&store).await;
        server.kill();
        within("a killed server", change.happened()).await;

        server.restart().await;
        let (_, mut change) = watched_again(&store).await;
        assert_eq!(briefly(100, change.happened()).await, None);
        server.run::<()>(&["SET", "redis:a", "x"]).await;
        within("a change after all that", change.happened()).await;

        let (_, mut change) = store.look_up_watched(&key("a"), &[]).await.unwrap();
        store.shutdown();
        within("a shutdown", change.happened()).await;
        assert_eq!(store.watchers(), 0);
    }

    /// Silent for good: the change is the connection's replacement.
    #[tokio::test]
    async fn a_stranded_connection_counts_as_a_change() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let store = store_on(&proxy.url());
        let (_, mut change) = store.look_up_watched(&key("a"), &[]).await.unwrap();
        proxy.strand();
        eventually("the store answers again", async || {
            timeout(BUDGET, store.get(&key("a"))).await.ok()?.ok()
        })
        .await;
        within("a replaced connection", change.happened()).await;
    }

    #[tokio::test]
    async fn a_watched_read_is_repeated_on_a_new_connection() {
        let mut server = RedisServer::start().await;
        let store = store_on(&server.url());
        store.ping().await.unwrap();
        server.restart().await;
        let (seen, _change) = watched_again(&store).await;
        assert_eq!(seen, None);
        assert_eq!(store.watchers(), 1);
    }

    #[tokio::test]
    async fn a_user_who_may_not_ask_is_told_nothing_and_served() {
        let server = RedisServer::start().await;
        for right in ["-client", "-client|tracking", "-client|caching"] {
            let rights = [
                "ACL", "SETUSER", "amy", "reset", "on", ">pw", "~*", "+@all", right,
            ];
            server.run::<()>(&rights).await;
            let store = store_on(&format!("redis://amy:pw@127.0.0.1:{}", server.port()));
            store.put(&key("a"), value(), MINUTE).await.unwrap();
            let (seen, mut change) = store.look_up_watched(&key("a"), &[]).await.unwrap();
            assert_eq!(seen.envelope, Some(value()));
            store.delete(&[key("a")]).await.unwrap();
            store.ping().await.unwrap();
            assert_eq!(briefly(100, change.happened()).await, None, "{right}");
            assert_eq!(store.watchers(), 0, "{right}");
            let grant = granted(&store, &request()).await;
            assert!(fills(&store, &grant).await);
            store.delete(&[key("a")]).await.unwrap();
        }
    }

    async fn watched_again(
        store: &RedisStore,
    ) -> (Option<Bytes>, cache_runtime::test_util::Change) {
        eventually("the store serves again", async || {
            let name = key("a");
            let read = timeout(BUDGET, store.look_up_watched(&name, &[]));
            let (found, change) = read.await.ok()?.ok()?;
            Some((found.envelope, change))
        })
        .await
    }
}

mod faults {
    use super::*;

    /// What only frees or deletes works on a full server.
    #[tokio::test]
    async fn a_full_server_deletes_what_it_cannot_change() {
        let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]).await;
        let store = store_on(&server.url());
        scripts_are_known(&store).await;
        let full = async |full: bool| {
            let limit = if full { "1" } else { "0" };
            server
                .run::<()>(&["CONFIG", "SET", "maxmemory", limit])
                .await;
        };
        let old = value_in(&store).await;
        let entry = async || store.get(&key("a")).await;
        let kind = |error: StoreError| error.kind();

        // What asks for room is refused and changes nothing.
        full(true).await;
        let rejecting = Acquire {
            rejected: stamp(&old),
            ..request()
        };
        let oom = Some(StoreErrorKind::OutOfMemory);
        let refused = store.acquire(&key("a"), &rejecting).await.err().map(kind);
        assert_eq!(refused, oom, "in place");
        assert_eq!(entry().await, Ok(Some(old)));
        let refused = store.acquire(&key("b"), &request()).await.err().map(kind);
        assert_eq!(refused, oom, "alone");
        let refused = store.intend(&key("a"), &request()).await.err().map(kind);
        assert_eq!(refused, oom, "an intent");
        assert_eq!(store.get(&key("b")).await, Ok(None));

        full(false).await;
        let grant = granted(&store, &rejecting).await;
        let leased = entry().await;
        full(true).await;
        let filled = store.fill(&key("a"), &grant, &envelope(), HOUR).await;
        assert_eq!(filled.err().map(kind), oom, "a fill");
        let renewed = store.renew(&key("a"), &grant, HOUR).await;
        assert_eq!(renewed.err().map(kind), oom, "a renewal");
        assert_eq!(entry().await, leased);

        // Giving up a lease gives up the entry.
        for how in [
            Release::Abandoned,
            Release::Ended(MINUTE),
            Release::Withdrawn,
        ] {
            full(false).await;
            value_in(&store).await;
            let intent = store.intend(&key("a"), &request()).await.unwrap();
            full(true).await;
            release(&store, &intent, how).await;
            assert_eq!(entry().await, Ok(None), "{how:?}");
        }

        full(false).await;
        value_in(&store).await;
        let intent = store.intend(&key("a"), &request()).await.unwrap();
        full(true).await;
        let committed = store.commit(&key("a"), &intent, &envelope(), HOUR).await;
        assert_eq!(committed, Ok(false));
        assert_eq!(entry().await, Ok(None));

        full(false).await;
        value_in(&store).await;
        full(true).await;
        assert_eq!(store.expire(&key("a")).await, Ok(()));
        assert_eq!(entry().await, Ok(None));

        full(false).await;
        value_in(&store).await;
        full(true).await;
        let held_off = store.hold_off(&key("a"), identity(), HOUR).await;
        assert_eq!(held_off, Ok(()));
        assert_eq!(entry().await, Ok(None));
    }

    #[tokio::test]
    async fn forgotten_scripts_are_sent_again() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        let forget = async || {
            server.run::<()>(&["SCRIPT", "FLUSH"]).await;
        };
        for _ in 0..2 {
            forget().await;
            let grant = granted(&store, &request()).await;
            forget().await;
            assert_eq!(store.renew(&key("a"), &grant, HOUR).await, Ok(true));
            forget().await;
            assert!(fills(&store, &grant).await);
            forget().await;
            let intent = store.intend(&key("a"), &request()).await.unwrap();
            forget().await;
            let committed = store.commit(&key("a"), &intent, &envelope(), HOUR).await;
            assert_eq!(committed, Ok(true));
            forget().await;
            store.expire(&key("a")).await.unwrap();
            assert!(store.get(&key("a")).await.unwrap().is_some());
            forget().await;
            store.hold_off(&key("a"), identity(), HOUR).await.unwrap();
            let entry = store.get(&key("a")).await.unwrap().unwrap();
            let (_, held) = lease(&entry).unwrap();
            forget().await;
            let how = Release::Withdrawn;
            store.release(&key("a"), &held.token, how).await.unwrap();
            assert_eq!(store.get(&key("a")).await, Ok(None));
        }
        // Known from then on.
        scripts_are_known(&store).await;
        let mut commands = server.commands().await;
        scripts_are_known(&store).await;
        let counts = commands.counts().await;
        assert!(!counts.contains_key("eval"), "{counts:?}");
    }

    #[tokio::test]
    async fn a_key_of_another_type_is_overwritten_deleted_or_left_alone() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        let list = async || {
            server.run::<()>(&["DEL", "redis:a"]).await;
            server.run::<()>(&["LPUSH", "redis:a", "x"]).await;
        };
        let kind = async || server.run::<String>(&["TYPE", "redis:a"]).await;

        list().await;
        let grant = granted(&store, &request()).await;
        assert!(fills(&store, &grant).await, "overwritten");

        list().await;
        assert!(!fills(&store, &grant).await);
        assert_eq!(store.renew(&key("a"), &grant, HOUR).await, Ok(false));
        release(&store, &grant, Release::Withdrawn).await;
        assert_eq!(kind().await, "list", "left alone");

        let committed = store.commit(&key("a"), &grant, &envelope(), HOUR).await;
        assert_eq!(committed, Ok(false));
        assert_eq!(kind().await, "none", "deleted");
        list().await;
        store.expire(&key("a")).await.unwrap();
        assert_eq!(kind().await, "none", "deleted");

        list().await;
        let intent = store.intend(&key("a"), &request()).await.unwrap();
        let committed = store.commit(&key("a"), &intent, &envelope(), HOUR).await;
        assert_eq!(committed, Ok(true));
        list().await;
        store.hold_off(&key("a"), identity(), HOUR).await.unwrap();
        assert_eq!(kind().await, "string");
    }

    /// The server may have forgotten a deletion with the rest.
    #[tokio::test]
    async fn a_grant_from_before_a_restart_is_void() {
        let mut server = RedisServer::start().await;
        let store = store_on(&server.url());
        let grant = granted(&store, &request()).await;
        let intent = store.intend(&key("b"), &request()).await.unwrap();
        let copies = [
            (key("a"), store.get(&key("a")).await.unwrap().unwrap()),
            (key("b"), store.get(&key("b")).await.unwrap().unwrap()),
        ];
        server.restart().await;
        let mut connection = server.connection().await;
        for (key, copy) in &copies {
            let mut set = redis::cmd("SET");
            set.arg(key.as_bytes()).arg(&copy[..]);
            set.exec_async(&mut connection).await.unwrap();
        }
        all_lanes_serve(&store).await;
        let mut commands = server.commands().await;
        assert!(!fills(&store, &grant).await);
        assert_eq!(store.renew(&key("a"), &grant, HOUR).await, Ok(false));
        assert_eq!(commands.counts().await, counts([]), "nothing is sent");
        let committed = store.commit(&key("b"), &intent, &envelope(), HOUR).await;
        assert_eq!(committed, Ok(false));
        assert_eq!(commands.counts().await, counts([("del", 1)]));
        assert_eq!(store.get(&key("a")).await, Ok(Some(copies[0].1.clone())));
        assert_eq!(store.get(&key("b")).await, Ok(None));
    }

    /// Connections are counted once for the process, not once for each store.
    #[tokio::test]
    async fn a_grant_is_void_on_the_connections_of_another_store() {
        let server = RedisServer::start().await;
        let (one, other) = (store_on(&server.url()), store_on(&server.url()));
        one.ping().await.unwrap();
        other.ping().await.unwrap();
        let grant = granted(&one, &request()).await;
        assert!(!fills(&other, &grant).await);
        assert!(fills(&one, &grant).await);
    }

    #[tokio::test]
    async fn a_replica_refuses_and_says_so() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        let grant = granted(&store, &request()).await;
        server.run::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
        let forced = Acquire {
            force: true,
            has_old: false,
            ..request()
        };
        let how = Release::Abandoned;
        let (name, entry) = (key("a"), envelope());
        let errors = [
            store.acquire(&name, &forced).await.err(),
            store.fill(&name, &grant, &entry, HOUR).await.err(),
            store.renew(&name, &grant, HOUR).await.err(),
            store.release(&name, &grant.token, how).await.err(),
            store.intend(&name, &request()).await.err(),
            store.commit(&name, &grant, &entry, HOUR).await.err(),
            store.expire(&name).await.err(),
            store.hold_off(&name, identity(), HOUR).await.err(),
        ];
        for error in errors {
            assert_eq!(error.unwrap().kind(), StoreErrorKind::ReadOnly);
        }
        let Ok(Acquired::Busy { kind, token, .. }) = store.acquire(&name, &request()).await else {
            panic!("the lease is what it was")
        };
        assert_eq!((kind, token), (LeaseKind::Load, grant.token));
    }

    #[tokio::test]
    async fn a_reply_out_of_step_replaces_the_connection() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let config = RedisConfig::parse(&proxy.url()).unwrap();
        let store = RedisStore::new(&config.with_lanes(1).unwrap()).unwrap();
        for garbage in [
            &b":1\r\n"[..],
            b"*2\r\n:7\r\n:1\r\n",
            b"*1\r\n$7\r\ngranted\r\n",
            b"*2\r\n$7\r\ngranted\r\n:-1\r\n",
            b"*3\r\n$5\r\nvalue\r\n:1\r\n_\r\n",
            b"*5\r\n$4\r\nbusy\r\n:1\r\n:9\r\n$1\r\nx\r\n:1\r\n",
        ] {
            store.put(&key("b"), value(), MINUTE).await.unwrap();
            proxy.set(Mode::Garble(garbage.to_vec()));
            let answer = within("an acquire", store.acquire(&key("a"), &request())).await;
            assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Protocol);
            proxy.set(Mode::Forward);
            serves(&store, &key("b")).await;
        }
    }
}

fn identity() -> TypeIdentity {
    TypeIdentity::from_u64(1)
}

fn request() -> Acquire {
    Acquire {
        token: Token::random(),
        identity: identity(),
        lease: MINUTE,
        hold: MINUTE,
        rejected: None,
        force: false,
        has_old: false,
    }
}

/// Fresh for an hour, stale for two.
fn envelope() -> Bytes {
    let meta = Meta {
        created_ms: 0,
        spans: Spans {
            fresh: HOUR,
            stale: 2 * HOUR,
        },
        load_cost: Duration::ZERO,
        codec_id: 0,
    };
    seal(start(), key("a").as_str(), identity(), &meta)
}

async fn granted(store: &RedisStore, request: &Acquire) -> Grant {
    match store.acquire(&key("a"), request).await.unwrap() {
        Acquired::Granted(grant) => grant,
        answer => panic!("not granted: {answer:?}"),
    }
}

async fn fills(store: &RedisStore, grant: &Grant) -> bool {
    let filled = store.fill(&key("a"), grant, &envelope(), HOUR).await;
    filled.unwrap()
}

async fn release(store: &RedisStore, grant: &Grant, how: Release) {
    store.release(&key("a"), &grant.token, how).await.unwrap();
}

/// A filled value, whatever was there.
async fn value_in(store: &RedisStore) -> Bytes {
    store.delete(&[key("a")]).await.unwrap();
    let grant = granted(store, &request()).await;
    assert!(fills(store, &grant).await);
    let entry = store.get(&key("a")).await.unwrap().unwrap();
    assert!(open(&entry, key("a").as_str(), identity()).is_ok());
    entry
}

/// Runs every script once, and leaves nothing.
async fn scripts_are_known(store: &RedisStore) {
    let name = key("known");
    let Ok(Acquired::Granted(grant)) = store.acquire(&name, &request()).await else {
        panic!("nobody else uses this key")
    };
    // On the same lane as all others of this key, so on the grant's connection.
    store.renew(&name, &grant, MINUTE).await.unwrap();
    store
        .fill(&name, &grant, &envelope(), MINUTE)
        .await
        .unwrap();
    let intent = store.intend(&name, &request()).await.unwrap();
    store
        .commit(&name, &intent, &envelope(), MINUTE)
        .await
        .unwrap();
    store.expire(&name).await.unwrap();
    store.hold_off(&name, identity(), MINUTE).await.unwrap();
    let how = Release::Withdrawn;
    store.release(&name, &grant.token, how).await.unwrap();
    store.delete(&[name]).await.unwrap();
}
