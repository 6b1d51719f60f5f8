//! Reads that wait at the same moment share a command, and nothing else.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cache_runtime::test_util::{Found, Generation};
use tokio::{runtime, task::JoinHandle, time::Instant};

use super::*;

/// What is stored under a key names the key.
fn of(key: &Key) -> Bytes {
    Bytes::from(format!("value of {key}"))
}

async fn put_all(store: &RedisStore, keys: &[Key]) {
    for key in keys {
        store.put(key, of(key), MINUTE).await.unwrap();
    }
}

fn keys(count: usize) -> Vec<Key> {
    (0..count).map(key).collect()
}

/// A tag, and the generation that is stored under it and names it.
fn tag(number: usize) -> (Key, Generation) {
    let generation = format!("{number:016}");
    (
        key(format_args!("tag{number}")),
        generation.as_bytes().try_into().unwrap(),
    )
}

/// Some tags in a row, and what a read of them finds.
fn tags(numbers: Range<usize>) -> (Vec<Key>, Option<Vec<Generation>>) {
    let (keys, generations) = numbers.map(tag).unzip();
    (keys, Some(generations))
}

async fn put_tags(store: &RedisStore, numbers: Range<usize>) {
    for (key, generation) in numbers.map(tag) {
        let generation = Bytes::copy_from_slice(&generation);
        store.put(&key, generation, MINUTE).await.unwrap();
    }
}

type Read = JoinHandle<Result<Option<Bytes>, StoreError>>;

/// Reads all keys at the same moment, each in a task of its own.
fn read_all(store: &RedisStore, keys: &[Key]) -> Vec<Read> {
    let read = |key: &Key| {
        let (store, key) = (store.clone(), key.clone());
        tokio::spawn(async move { store.get(&key).await })
    };
    keys.iter().map(read).collect()
}

async fn served(reads: Vec<Read>, keys: &[Key]) {
    for (read, key) in reads.into_iter().zip(keys) {
        let reply = within("a read", read).await.unwrap();
        assert_eq!(reply, Ok(Some(of(key))), "{key}");
    }
}

mod together {
    use super::*;

    /// The first has nobody beside it. On one thread, all others have their turn before the batch
    /// is sent.
    #[tokio::test]
    async fn what_waits_behind_a_get_is_one_mget() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(100);
        put_all(&store, &keys).await;
        let mut commands = server.commands().await;
        served(read_all(&store, &keys), &keys).await;
        assert_eq!(commands.counts().await, counts([("get", 1), ("mget", 1)]));
    }

    #[tokio::test]
    async fn two_that_read_at_once_are_two_gets() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(2);
        put_all(&store, &keys).await;
        let mut commands = server.commands().await;
        served(read_all(&store, &keys), &keys).await;
        assert_eq!(commands.counts().await, counts([("get", 2)]));
    }

    #[tokio::test]
    async fn a_crowd_is_split() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(1_500);
        let fill = "for i = 0, 1499 do local k = 'redis:' .. i; \
                    redis.call('SET', k, 'value of ' .. k) end";
        server.run::<()>(&["EVAL", fill, "0"]).await;
        store.ping().await.unwrap();
        let mut commands = server.commands().await;
        served(read_all(&store, &keys), &keys).await;
        assert_eq!(commands.counts().await, counts([("get", 1), ("mget", 2)]));
    }

    /// A small value does not wait until dozens of large ones have come.
    #[tokio::test]
    async fn large_values_travel_in_smaller_company() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(40);
        let large = Bytes::from(vec![b'x'; 300_000]);
        for key in &keys {
            store.put(key, large.clone(), MINUTE).await.unwrap();
        }
        let mut commands = server.commands().await;
        for _ in 0..2 {
            commands.reset().await;
            for read in read_all(&store, &keys) {
                assert_eq!(
                    within("a read", read).await.unwrap().unwrap(),
                    Some(large.clone())
                );
            }
        }
        assert_eq!(commands.counts().await, counts([("get", 40)]));
    }

    #[tokio::test]
    async fn a_key_of_another_type_counts_as_absent() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        server.run::<()>(&["LPUSH", "redis:0", "x"]).await;
        server.run::<()>(&["LPUSH", "redis:1", "x"]).await;
        put_all(&store, &[key(2)]).await;
        let replies = read_all(&store, &keys(3)).into_iter();
        let [alone, shared, other] = [0, 1, 2].map({
            let mut replies = replies;
            move |_| replies.next().unwrap()
        });
        let kind = alone.await.unwrap().unwrap_err().kind();
        assert_eq!(kind, StoreErrorKind::WrongType);
        assert_eq!(shared.await.unwrap(), Ok(None));
        assert_eq!(other.await.unwrap(), Ok(Some(of(&key(2)))));
    }

    #[tokio::test]
    async fn the_same_key_may_be_read_by_many() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = vec![key("a"); 50];
        put_all(&store, &keys[..1]).await;
        served(read_all(&store, &keys), &keys).await;
    }
}

mod tagged {
    use super::*;

    #[tokio::test]
    async fn an_entry_and_its_tags_are_one_mget() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        put_all(&store, &[key("a")]).await;
        put_tags(&store, 0..3).await;
        let mut commands = server.commands().await;
        let (three, generations) = tags(0..3);
        let all = Found {
            envelope: Some(of(&key("a"))),
            generations,
            ..Found::default()
        };
        assert_eq!(store.look_up(&key("a"), &three).await, Ok(all));
        let (one, generations) = tags(2..3);
        let absent = Found {
            envelope: None,
            generations,
            ..Found::default()
        };
        assert_eq!(store.look_up(&key("b"), &one).await, Ok(absent));
        assert_eq!(commands.counts().await, counts([("mget", 2)]));

        commands.reset().await;
        let bare = store.look_up(&key("a"), &[]).await.unwrap();
        assert_eq!(bare.envelope, Some(of(&key("a"))));
        assert_eq!(commands.counts().await, counts([("get", 1)]));
    }

    #[tokio::test]
    async fn a_watched_entry_and_its_tags_are_sent_as_one() {
        let server = RedisServer::start().await;
        let store = store_on(&server.url());
        put_all(&store, &[key("a")]).await;
        put_tags(&store, 0..2).await;
        let mut commands = server.commands().await;
        let (two, generations) = tags(0..2);
        let (seen, mut change) = store.look_up_watched(&key("a"), &two).await.unwrap();
        assert_eq!(seen.envelope, Some(of(&key("a"))));
        assert_eq!(seen.generations, generations);
        let expected = counts([("client|caching", 1), ("get", 3)]);
        assert_eq!(commands.counts().await, expected);
        store.delete(&[key("a")]).await.unwrap();
        within("the change", change.happened()).await;
    }

    /// Every reader gets its own run of a shared reply.
    #[tokio::test]
    async fn readers_with_different_numbers_of_tags_share_a_reply() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let names = keys(64);
        put_all(&store, &names).await;
        put_tags(&store, 0..69).await;
        let mut commands = server.commands().await;
        let reads: Vec<_> = (0..64)
            .map(|n: usize| {
                let (store, names) = (store.clone(), names.clone());
                tokio::spawn(async move {
                    let (tags, generations) = tags(n..n + n % 5);
                    let found = store.look_up(&names[63 - n], &tags).await.unwrap();
                    assert_eq!(found.envelope, Some(of(&names[63 - n])));
                    assert_eq!(found.generations, generations);
                })
            })
            .collect();
        for read in reads {
            within("a read", read).await.unwrap();
        }
        assert_eq!(commands.counts().await, counts([("get", 1), ("mget", 1)]));
    }
}

mod leaving {
    use super::*;

    /// Whoever opens a batch may leave: it is not theirs.
    #[tokio::test]
    async fn who_opened_the_batch_takes_nobody_along() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(20);
        put_all(&store, &keys).await;
        for turns in 0..20 {
            let alone = store.get(&keys[0]);
            let opener = store.get(&keys[1]);
            let (alone, opener, reads) =
                tokio::join!(briefly(turns, alone), briefly(turns, opener), async {
                    read_all(&store, &keys)
                });
            served(reads, &keys).await;
            assert!(alone.is_none_or(|reply| reply == Ok(Some(of(&keys[0])))));
            assert!(opener.is_none_or(|reply| reply == Ok(Some(of(&keys[1])))));
        }
    }

    /// Places are given to others as soon as they are free, and never sooner; whether the callers of a lane
    /// are few or many.
    #[test]
    fn no_reply_meets_another_caller_whoever_leaves_when() {
        for (workers, callers) in [(1, 24), (2, 48), (2, 300), (4, 100)] {
            let runtime = runtime::Builder::new_multi_thread()
                .worker_threads(workers)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(coming_and_going(callers));
        }
    }

    async fn coming_and_going(callers: u64) {
        const CALLS: usize = 400;
        const NAMES: usize = 200;

        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let names = Arc::new(keys(NAMES));
        put_all(&store, &names).await;
        put_tags(&store, 0..NAMES + 4).await;
        let all: Vec<_> = (0..callers)
            .map(|caller| {
                let (store, names) = (store.clone(), Arc::clone(&names));
                let mut random = Random(callers * 1_000 + caller);
                tokio::spawn(async move {
                    let mut replies = 0;
                    for _ in 0..CALLS {
                        let name = &names[random.below(NAMES)];
                        let from = random.below(NAMES);
                        let (tags, generations) = tags(from..from + random.below(4));
                        let read = store.look_up(name, &tags);
                        // Half of them leave after a few turns, at whatever point that is.
                        let found = match random.below(2) {
                            0 => Some(within("a read", read).await),
                            _ => briefly(random.below(12) as u32, read).await,
                        };
                        let Some(found) = found else { continue };
                        let found = found.unwrap();
                        assert_eq!(found.envelope, Some(of(name)));
                        assert_eq!(found.generations, generations);
                        replies += 1;
                    }
                    replies
                })
            })
            .collect();
        let mut replies = 0;
        for caller in all {
            replies += within("a caller", caller).await.unwrap();
        }
        assert!(replies >= callers as usize * CALLS / 3, "{replies} replies");
    }

    /// The same while connections break all the time: late, but never the wrong value.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_reply_meets_another_caller_while_connections_break() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let names = Arc::new(keys(100));
        put_all(&store, &names).await;
        let over = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..32)
            .map(|caller| {
                let (store, names) = (store.clone(), Arc::clone(&names));
                let over = Arc::clone(&over);
                let mut random = Random(caller);
                tokio::spawn(async move {
                    let mut replies = 0;
                    while !over.load(Ordering::Relaxed) {
                        let name = &names[random.below(100)];
                        let read = store.get(name);
                        match briefly(random.below(200) as u32, read).await {
                            Some(Ok(value)) => {
                                assert_eq!(value, Some(of(name)));
                                replies += 1;
                            }
                            Some(Err(error)) => {
                                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
                                sleep(Duration::from_millis(1)).await;
                            }
                            None => {}
                        }
                    }
                    replies
                })
            })
            .collect();
        let mut broken = 0;
        let breaking = async {
            while broken < 40 {
                let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
                broken += server.run::<usize>(&kill).await;
                sleep(Duration::from_millis(5)).await;
            }
        };
        within("they connect again and again", breaking).await;
        over.store(true, Ordering::Relaxed);
        let mut replies = 0;
        for caller in callers {
            replies += within("a caller", caller).await.unwrap();
        }
        assert!(replies > 0, "nobody was served");
        eventually("the store serves again", async || {
            store.get(&names[0]).await.ok()
        })
        .await;
        served(read_all(&store, &names), &names).await;
    }

    /// A small generator, so that a failure can be repeated.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % limit
        }
    }
}

mod failing {
    use super::*;

    /// Each caller's read is sent a second time on the next connection. However many commands a
    /// connection takes with it, it is one connection that failed.
    #[tokio::test]
    async fn reads_on_a_broken_connection_are_read_again() {
        let server = RedisServer::start_with(&["--enable-debug-command", "yes"]).await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(50);
        put_all(&store, &keys).await;
        let mut connection = server.connection().await;
        // The second command runs before the server reads what has come during the first.
        let kill = tokio::spawn(async move {
            let mut commands = redis::pipe();
            commands.cmd("DEBUG").arg("SLEEP").arg("0.1");
            commands.cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal");
            commands.arg("SKIPME").arg("yes");
            commands.exec_async(&mut connection).await.unwrap();
        });
        sleep(Duration::from_millis(20)).await;
        let writes: Vec<_> = (0..10)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.put(&key(100 + n), value(), MINUTE).await })
            })
            .collect();
        let reads = read_all(&store, &keys);
        within("the kill", kill).await.unwrap();
        served(reads, &keys).await;
        for write in writes {
            let error = within("a write", write).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        }
    }

    #[tokio::test]
    async fn everyone_hears_of_an_answer_that_is_an_error() {
        let server = RedisServer::start_with(&["--busy-reply-threshold", "1"]).await;
        let store = store_with_lanes(&server.url(), 1);
        store.ping().await.unwrap();
        let script = keep_busy(&server, &store).await;
        for _ in 0..5 {
            for read in read_all(&store, &keys(20)) {
                let error = within("a read", read).await.unwrap().unwrap_err();
                assert_eq!(
                    error.kind(),
                    StoreErrorKind::Busy,
                    "the breaker stays closed"
                );
            }
        }
        end(script, &server).await;
    }

    /// The rights that were enough for single reads still are.
    #[tokio::test]
    async fn a_user_who_may_not_ask_for_many_at_once() {
        let server = RedisServer::start().await;
        let keys = keys(50);
        let owner = store_on(&server.url());
        put_all(&owner, &keys).await;
        put_tags(&owner, 0..2).await;
        let rights = [
            "ACL", "SETUSER", "amy", "on", ">pw", "~*", "+get", "+hello", "+client",
        ];
        server.run::<()>(&rights).await;
        let store = store_with_lanes(&format!("redis://amy:pw@127.0.0.1:{}", server.port()), 1);
        for _ in 0..3 {
            served(read_all(&store, &keys), &keys).await;
        }
        let (two, generations) = tags(0..2);
        let found = store.look_up(&keys[0], &two).await.unwrap();
        assert_eq!(found.generations, generations);
        let (watched, _) = store.look_up_watched(&keys[0], &two).await.unwrap();
        assert_eq!(watched, found);
    }

    /// One server of a cluster refuses keys of different slots in one command, and nothing else.
    #[tokio::test]
    async fn a_server_with_slots() {
        let server = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
        server
            .run::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"])
            .await;
        let store = store_with_lanes(&server.url(), 1);
        eventually("the cluster is up", async || {
            store.put(&key(0), of(&key(0)), MINUTE).await.ok()
        })
        .await;
        let keys = keys(50);
        put_all(&store, &keys).await;
        put_tags(&store, 0..2).await;
        for _ in 0..3 {
            served(read_all(&store, &keys), &keys).await;
        }
        let (two, generations) = tags(0..2);
        let (watched, _) = store.look_up_watched(&keys[0], &two).await.unwrap();
        assert_eq!(watched.generations, generations);
    }

    #[tokio::test]
    async fn a_reply_of_another_shape_or_length_is_nobodys() {
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let store = store_with_lanes(&proxy.url(), 1);
        let keys = keys(20);
        put_all(&store, &keys).await;
        for garbage in [
            &b"$-1\r\n*1\r\n$1\r\nx\r\n"[..],
            b"$-1\r\n*20\r\n",
            b"$-1\r\n$1\r\nx\r\n",
            b"$-1\r\n*2\r\n$1\r\nx\r\n:1\r\n",
            b"$-1\r\n+OK\r\n",
        ] {
            proxy.set(Mode::Garble(garbage.to_vec()));
            for (number, read) in read_all(&store, &keys).into_iter().enumerate() {
                match timeout(BUDGET, read).await {
                    // The first one's own reply, which is well-formed.
                    Ok(Ok(Ok(None))) if number == 0 => {}
                    Err(_) => {}
                    Ok(Ok(Err(error))) => {
                        let expected = [StoreErrorKind::Protocol, StoreErrorKind::Unavailable];
                        assert!(expected.contains(&error.kind()), "{error}");
                    }
                    other => panic!("{other:?} for {garbage:?}"),
                }
            }
            proxy.set(Mode::Forward);
            eventually("the store serves again", async || {
                store.get(&keys[0]).await.ok()
            })
            .await;
            served(read_all(&store, &keys), &keys).await;
        }
    }

    /// The deadline is each caller's own, whoever shares the command.
    #[tokio::test]
    async fn each_caller_has_its_own_deadline() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(20);
        put_all(&store, &keys).await;
        server.pause();
        let now = Instant::now();
        let reads: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| {
                let (store, key) = (store.clone(), key.clone());
                // Short of what would make the breaker open.
                let limit = if n % 2 == 0 {
                    Duration::from_millis(20)
                } else {
                    PATIENCE
                };
                tokio::spawn(
                    async move { store.look_up_within(&key, &[], &(now..now + limit)).await },
                )
            })
            .collect();
        let (mut short, mut long) = (Vec::new(), Vec::new());
        for (n, read) in reads.into_iter().enumerate() {
            if n % 2 == 0 { &mut short } else { &mut long }.push((n, read));
        }
        for (_, read) in short {
            let error = within("a short read", read).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Timeout);
        }
        server.resume();
        for (n, read) in long {
            let found = within("a long read", read).await.unwrap().unwrap();
            assert_eq!(found.envelope, Some(of(&keys[n])));
        }
    }

    /// The server goes on, and the store finds out.
    async fn recovers(server: &RedisServer, store: &RedisStore) {
        server.resume();
        eventually("the store serves again", async || {
            store.get(&key("a")).await.ok()
        })
        .await;
    }

    #[tokio::test]
    async fn reads_cut_off_together_open_the_breaker() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        store.ping().await.unwrap();
        server.pause();
        let now = Instant::now();
        let reads: Vec<_> = (0..20)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    store
                        .look_up_within(&key(n), &[], &(now..now + BUDGET))
                        .await
                })
            })
            .collect();
        for read in reads {
            let error = within("a read", read).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Timeout);
        }
        let error = fails_at_once(&store, &key("a")).await;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        recovers(&server, &store).await;
    }

    #[tokio::test]
    async fn callers_without_patience_open_the_breaker_of_a_paused_server() {
        let server = RedisServer::start().await;
        let store = store_with_lanes(&server.url(), 1);
        store.ping().await.unwrap();
        server.pause();
        eventually("the breaker opens", async || {
            let now = Instant::now();
            let (key, time) = (key("a"), now..now + BUDGET);
            // Polled once, which sends the command, and dropped.
            let read = briefly(0, store.look_up_within(&key, &[], &time)).await?;
            (read.unwrap_err().kind() == StoreErrorKind::Unavailable).then_some(())
        })
        .await;
        recovers(&server, &store).await;
    }
}

mod runtimes {
    use super::*;

    /// The lanes live on a runtime that comes and goes; the callers are many, on another.
    #[test]
    fn a_runtime_that_ends_takes_no_batch_of_another_with_it() {
        let callers = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = callers.block_on(RedisServer::start());
        let store = store_with_lanes(&server.url(), 1);
        let keys = keys(30);
        callers.block_on(put_all(&store, &keys));
        for _ in 0..20 {
            // On a lane that has no keeper yet, this runtime's becomes it.
            let store = store_with_lanes(&server.url(), 1);
            let brief = runtime::Runtime::new().unwrap();
            brief.block_on(store.ping()).unwrap();
            let reads = callers.block_on(async { read_all(&store, &keys) });
            drop(brief);
            callers.block_on(served(reads, &keys));
            callers.block_on(async { served(read_all(&store, &keys), &keys).await });
        }
    }

    /// What was sent over a lane's old connection is not answered by what comes over the new one.
    #[test]
    fn after_a_stalled_runtime_each_read_has_its_own_reply() {
        let stalled = undriven();
        let driven = runtime::Runtime::new().unwrap();
        let server = driven.block_on(RedisServer::start());
        let store = store_with_lanes(&server.url(), 1);
        let text = |n: usize| Bytes::from(format!("the value of {n}"));
        stalled.block_on(async {
            for n in 0..10 {
                store.put(&key(n), text(n), MINUTE).await.unwrap();
            }
        });
        driven.block_on(async {
            let now = Instant::now();
            let left = store
                .look_up_within(&key(0), &[], &(now..now + BUDGET))
                .await;
            assert_eq!(left.unwrap_err().kind(), StoreErrorKind::Timeout);
            // Not a read, which would leave together with others.
            eventually("the lane moves", async || {
                let name = key("b");
                let put = store.put(&name, value(), MINUTE);
                timeout(BUDGET, put).await.ok()?.ok()
            })
            .await;
            for n in 0..10 {
                let found = within("a get", store.get(&key(n))).await.unwrap();
                assert_eq!(found, Some(text(n)), "{n}");
            }
        });
    }

    /// The carrier is not driven, and the callers end all the same.
    #[test]
    fn callers_keep_their_time_where_the_lane_is_stalled() {
        let stalled = undriven();
        let driven = runtime::Runtime::new().unwrap();
        let server = driven.block_on(RedisServer::start());
        let store = store_with_lanes(&server.url(), 1);
        stalled
            .block_on(store.put(&key("a"), value(), MINUTE))
            .unwrap();
        driven.block_on(async {
            let now = Instant::now();
            let reads: Vec<_> = (0..10)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        store
                            .look_up_within(&key("a"), &[], &(now..now + BUDGET))
                            .await
                    })
                })
                .collect();
            for read in reads {
                let error = within("a read", read).await.unwrap().unwrap_err();
                assert_eq!(error.kind(), StoreErrorKind::Timeout);
            }
            serves(&store, &key("a")).await;
        });
    }
}
