//! What callers, runtimes and settings may do to those beside them.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cache_runtime::test_util::{Event, Found, Key, Miss, RedisConfig, RedisStore, events};
use cache_runtime::{
    Cache, NotStored, Outcome, Policy, StoreError, StoreErrorKind, cached, outcome, refresh,
};
use support::{Mode, PATIENCE, Proxy, Reads as _, RedisServer, eventually, lasting};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, timeout};

/// Long before a command without a limit of its own is given up.
const SOON: Duration = Duration::from_secs(4);

const MINUTE: Duration = Duration::from_secs(60);

#[cached(ttl = 300, key = "square:{n}")]
async fn square(n: u64) -> u64 {
    n * n
}

#[cached(ttl = 300, key = "patient:{n}", policy = Policy::DEFAULT.timeout(Duration::MAX))]
async fn patient(n: u64) -> u64 {
    n
}

const HASTY: Policy = Policy::DEFAULT.timeout(Duration::from_millis(20));

#[cached(ttl = 300, key = "hasty:{n}", policy = HASTY)]
async fn hasty(n: u64) -> u64 {
    n
}

#[cached(ttl = 300, key = "endless:{n}")]
async fn endless(n: u64) -> u64 {
    pending::<u64>().await + n
}

/// A store whose reads share one connection.
fn one_lane(url: &str) -> RedisStore {
    let config = RedisConfig::parse(url).expect("a URL");
    let config = config.with_lanes(1).expect("a number");
    RedisStore::new(&config).expect("a configuration")
}

fn key(text: &str) -> Key {
    Key::raw("neighbours", text)
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    poll_fn(|_| Poll::Ready(future.as_mut().poll(&mut Context::from_waker(waker)))).await
}

#[tokio::test]
async fn a_timeout_may_be_longer_than_the_clock_counts() {
    Cache::memory()
        .scope(async {
            assert_eq!(outcome(patient(7)).await, (7, Outcome::Loaded));
            assert_eq!(outcome(patient(7)).await, (7, Outcome::Hit));
            let peeked = patient_entry(7).peek().await;
            assert_eq!(peeked.expect("an answer"), Some(7));
        })
        .await;
}

/// Where the server takes no `MGET`, a read of something else than a string is refused alone.
#[tokio::test]
async fn a_refused_read_leaves_the_replies_of_others_to_them() {
    let server = RedisServer::start().await;
    let user = [
        "ACL", "SETUSER", "plain", "on", ">pw", "~*", "&*", "+@all", "-mget",
    ];
    server.run::<()>(&user).await;
    let store = one_lane(&format!("redis://plain:pw@127.0.0.1:{}", server.port()));
    store.ping().await.expect("an answer");
    let pushed = server.run::<u64>(&["LPUSH", "neighbours:list", "x"]);
    assert_eq!(pushed.await, 1);
    let tag = key("%tag:t");
    let tags = std::slice::from_ref(&tag);
    let [generation] = store.generations(tags, MINUTE).await.expect("one")[..] else {
        unreachable!("one for each tag")
    };
    for text in ["a", "b", "c"] {
        let (key, value) = (key(text), Bytes::from(text));
        store.put(&key, value, MINUTE).await.expect("stored");
    }
    let (first, list, b, c) = (key("a"), key("list"), key("b"), key("c"));
    let (_, refused, tagged, plain) = tokio::join!(
        store.look_up(&first, &[]),
        store.look_up(&list, tags),
        store.look_up(&b, tags),
        store.look_up(&c, &[]),
    );
    let kind = refused.expect_err("not a string").kind();
    assert_eq!(kind, StoreErrorKind::WrongType);
    let found = |text, generations| Found {
        envelope: Some(Bytes::from_static(text)),
        generations: Some(generations),
        ..Found::default()
    };
    assert_eq!(tagged, Ok(found(b"b", vec![generation])));
    assert_eq!(plain, Ok(found(b"c", Vec::new())));
}

/// Too many invalidations for a server that is gone: it is asked again and again, with pauses.
#[tokio::test]
async fn what_cannot_be_cleared_is_tried_again_with_pauses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let attempts = Arc::new(AtomicUsize::new(0));
    let hangs_up = {
        let attempts = attempts.clone();
        async move {
            while let Ok((connection, _)) = listener.accept().await {
                attempts.fetch_add(1, SeqCst);
                drop(connection);
            }
        }
    };
    tokio::spawn(hangs_up);
    let url = format!("redis://127.0.0.1:{port}");
    let cache = Cache::builder().url(url).build().await.expect("a cache");
    for n in 0..10_001 {
        let deleted = cache.entry::<u8>(&n.to_string()).invalidate().await;
        assert!(deleted.is_err(), "nobody confirms it");
    }
    sleep(Duration::from_secs(1)).await;
    let before = attempts.load(SeqCst);
    sleep(Duration::from_secs(1)).await;
    // Some ten probes of each lane, and a few attempts to clear.
    let tried = attempts.load(SeqCst) - before;
    assert!(tried < 100, "{tried} connections in a second");
}

fn two_workers() -> Runtime {
    workers(2)
}

fn workers(workers: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers).enable_all().build();
    runtime.expect("a runtime")
}

/// Those whose replies come together do not wait for what each of them does with its own.
#[test]
fn who_works_on_its_reply_keeps_nobody_elses() {
    const CALLERS: usize = 8;
    let runtime = workers(CALLERS + 1);
    runtime.block_on(async {
        let server = RedisServer::start().await;
        let store = one_lane(&server.url());
        store.ping().await.expect("an answer");
        server.pause();
        let (waiting, working) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..CALLERS)
            .map(|number| {
                let (store, waiting, working) = (store.clone(), waiting.clone(), working.clone());
                tokio::spawn(async move {
                    let key = key(&number.to_string());
                    let time = lasting(MINUTE);
                    let mut read = Box::pin(store.look_up_within(&key, &[], &time));
                    let first = poll_fn(|context| Poll::Ready(read.as_mut().poll(context)));
                    assert!(first.await.is_pending(), "the server hangs");
                    waiting.fetch_add(1, SeqCst);
                    let answer = read.await;
                    working.fetch_add(1, SeqCst);
                    // Keeps its worker until all are at work.
                    let start = Instant::now();
                    while working.load(SeqCst) < CALLERS && start.elapsed() < PATIENCE {
                        thread::sleep(Duration::from_millis(1));
                    }
                    (answer.is_ok(), working.load(SeqCst))
                })
            })
            .collect();
        eventually("all wait", async || {
            (waiting.load(SeqCst) == CALLERS).then_some(())
        })
        .await;
        // What is left to be written by then.
        sleep(Duration::from_millis(50)).await;
        server.resume();
        for caller in callers {
            assert_eq!(caller.await.expect("a call"), (true, CALLERS));
        }
    });
}

/// A worker that is kept busy stalls its own tasks. Calls on other workers end with their budgets.
#[test]
fn a_busy_worker_keeps_nobody_elses_call() {
    const BUSY: Duration = Duration::from_secs(3);
    let runtime = two_workers();
    let late = runtime.block_on(async {
        let server = RedisServer::start().await;
        let store = one_lane(&server.url());
        store.ping().await.expect("an answer");
        server.pause();
        // So that the others read together.
        let alone = tokio::spawn({
            let store = store.clone();
            async move { store.look_up_within(&key("a"), &[], &lasting(MINUTE)).await }
        });
        sleep(Duration::from_millis(50)).await;
        let opener = tokio::spawn({
            let store = store.clone();
            async move {
                let key = key("b");
                let time = lasting(MINUTE);
                let mut read = Box::pin(store.look_up_within(&key, &[], &time));
                poll_fn(|context| {
                    let polled = read.as_mut().poll(context).is_pending();
                    thread::sleep(BUSY);
                    Poll::Ready(polled)
                })
                .await
            }
        });
        sleep(Duration::from_millis(50)).await;
        let start = Instant::now();
        let budget = Duration::from_millis(100);
        let neighbour = tokio::spawn(async move {
            store
                .look_up_within(&key("c"), &[], &(start..start + budget))
                .await
        });
        let answer = neighbour.await.expect("a call");
        let late = start.elapsed();
        assert!(answer.is_err(), "the server hangs");
        server.resume();
        assert!(opener.await.expect("a call"), "it joined");
        let _ = alone.await;
        late
    });
    assert!(late < BUSY / 2, "{late:?} with a budget of 100 ms");
}

/// The same if the worker is kept busy by another task, after the one that gathers the reads has had
/// its first turn there.
#[test]
fn a_worker_that_becomes_busy_keeps_nobody_elses_call() {
    const BUSY: Duration = Duration::from_secs(3);
    let runtime = two_workers();
    let late = runtime.block_on(async {
        let server = RedisServer::start().await;
        let store = one_lane(&server.url());
        store.ping().await.expect("an answer");
        server.pause();
        let read = |text: &'static str, budget: Duration| {
            let store = store.clone();
            Box::pin(async move {
                store
                    .look_up_within(&key(text), &[], &lasting(budget))
                    .await
            })
        };
        let alone = tokio::spawn(read("a", MINUTE));
        sleep(Duration::from_millis(50)).await;
        // So that the other worker gets all of what follows.
        let (begun, begins) = mpsc::channel();
        tokio::spawn(async move {
            let _ = begun.send(());
            thread::sleep(BUSY / 10);
        });
        begins.recv_timeout(PATIENCE).expect("it runs");
        let mut opened = read("b", MINUTE);
        let opener = tokio::spawn(async move {
            let polled = poll_once(opened.as_mut(), Waker::noop()).await;
            tokio::spawn(async { thread::sleep(BUSY) });
            // Otherwise the one before would be next.
            tokio::spawn(async {});
            (polled.is_pending(), opened)
        });
        sleep(BUSY / 5).await;
        let start = Instant::now();
        let neighbour = tokio::spawn(read("c", Duration::from_millis(100)));
        let answer = neighbour.await.expect("a call");
        let late = start.elapsed();
        assert!(answer.is_err(), "the server hangs");
        server.resume();
        assert!(opener.await.expect("a call").0, "it joined");
        let _ = alone.await;
        late
    });
    assert!(late < BUSY / 2, "{late:?} with a budget of 100 ms");
}

/// A waker that owns a future, as those of simple executors do.
struct Owner<F>(Mutex<Option<F>>);

impl<F: Send> Wake for Owner<F> {
    fn wake(self: Arc<Self>) {}
}

/// A read that moves to another task lets go of the first one's waker, which may be the last to hold
/// that task and the reads in it.
#[test]
fn a_waker_may_own_another_read() {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let server = RedisServer::start().await;
            let store = one_lane(&server.url());
            store.ping().await.expect("an answer");
            server.pause();
            let read = |text: &'static str| {
                let store = store.clone();
                Box::pin(async move {
                    store
                        .look_up_within(&key(text), &[], &lasting(MINUTE))
                        .await
                })
            };
            let noop = Waker::noop();
            let mut alone = read("a");
            assert!(poll_once(alone.as_mut(), noop).await.is_pending());
            let mut owned = read("b");
            assert!(poll_once(owned.as_mut(), noop).await.is_pending());
            let mut moved = read("c");
            let owner = Waker::from(Arc::new(Owner(Mutex::new(Some(owned)))));
            assert!(poll_once(moved.as_mut(), &owner).await.is_pending());
            drop(owner);
            assert!(poll_once(moved.as_mut(), noop).await.is_pending());
            server.resume();
        });
        let _ = done.send(());
    });
    ended.recv_timeout(PATIENCE).expect("no deadlock");
}

/// Without a runtime there is no timer that could end a wait: the origin runs at once.
#[test]
fn a_call_outside_any_runtime_waits_for_nobody() {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (server, cache) = runtime.block_on(async {
            let server = RedisServer::start().await;
            let builder = Cache::builder().url(server.url()).lanes(1);
            let cache = builder.build().await.expect("a cache");
            cache.ping().await.expect("an answer");
            server.pause();
            (server, cache)
        });
        // A call that was under way when its runtime stopped being driven.
        let mut under_way = Box::pin(cache.scope(square(3)));
        runtime.block_on(async {
            let polled = poll_once(under_way.as_mut(), Waker::noop()).await;
            assert!(polled.is_pending());
        });
        let value = on_this_thread(cache.scope(square(4)));
        server.resume();
        let _ = done.send(value);
    });
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(16));
}

/// Polls a future to its end with no runtime at all.
fn on_this_thread<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// A server, and a cache on it that is connected, on a runtime that is driven elsewhere.
fn of_another_runtime() -> (Runtime, RedisServer, Cache) {
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (server, cache) = runtime.block_on(async {
        let server = RedisServer::start().await;
        let cache = Cache::builder().url(server.url()).build().await;
        let cache = cache.expect("a cache");
        cache.ping().await.expect("an answer");
        (server, cache)
    });
    (runtime, server, cache)
}

#[test]
fn a_call_outside_any_runtime_goes_to_its_origin() {
    let (_runtime, _server, cache) = of_another_runtime();
    for _ in 0..2 {
        assert_eq!(on_this_thread(cache.scope(square(5))), 25);
    }
}

/// It is tried again, for which there is no timer.
#[test]
fn a_read_whose_connection_breaks_outside_any_runtime_fails() {
    let runtime = two_workers();
    let (mut server, store) = runtime.block_on(async {
        let server = RedisServer::start().await;
        let store = one_lane(&server.url());
        store.ping().await.expect("an answer");
        // While some of them wait, the connection sets its alarm, by which it keeps the time of others.
        let reads = (0..200).map(|_| {
            let store = store.clone();
            tokio::spawn(
                async move { store.look_up_within(&key("a"), &[], &lasting(MINUTE)).await },
            )
        });
        for read in reads.collect::<Vec<_>>() {
            read.await.expect("a read").expect("an answer");
        }
        (server, store)
    });
    server.pause();
    let (key, time) = (key("b"), lasting(MINUTE));
    let mut read = Box::pin(store.look_up_within(&key, &[], &time));
    runtime.block_on(async {
        let polled = poll_once(read.as_mut(), Waker::noop()).await;
        assert!(polled.is_pending(), "the server hangs");
    });
    server.kill();
    assert!(on_this_thread(read).is_err());
}

#[test]
fn a_call_may_be_dropped_outside_any_runtime() {
    let (runtime, server, cache) = of_another_runtime();
    let mut begun = Box::pin(cache.scope(endless(6)));
    runtime.block_on(eventually("it loads", async || {
        let polled = poll_once(begun.as_mut(), Waker::noop()).await;
        assert!(polled.is_pending(), "it has no end");
        let stats = cache.stats();
        stats.function("endless").filter(|row| row.loads > 0)?;
        Some(())
    }));
    drop(begun);
    drop(server);
}

/// What it leaves behind, a lease, is given up by whoever can, or not at all.
#[test]
fn a_load_may_end_with_its_runtime() {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = builder.enable_all().build().expect("a runtime");
            let _server = runtime.block_on(async {
                let server = RedisServer::start().await;
                let cache = Cache::builder().url(server.url()).build().await;
                let cache = cache.expect("a cache");
                cache.ping().await.expect("an answer");
                for n in 0..10 {
                    tokio::spawn(cache.scope(endless(n)));
                }
                eventually("they load", async || {
                    let stats = cache.stats();
                    stats.function("endless").filter(|row| row.loads == 10)?;
                    Some(())
                })
                .await;
                server
            });
            drop(runtime);
        }
        let _ = done.send(());
    });
    ended.recv_timeout(PATIENCE).expect("the runtimes end");
}

#[test]
fn an_invalidation_outside_any_runtime_says_that_it_failed() {
    let (_runtime, _server, cache) = of_another_runtime();
    let entry = cache.entry::<u8>("k");
    let deleted = on_this_thread(entry.invalidate());
    assert!(deleted.is_err(), "there is no timer to end it");
    assert_eq!(cache.stats().unconfirmed, 1, "and so it is repeated later");
}

/// What is kept longer is of no use there: nobody could load in the background.
#[test]
fn an_old_value_outside_any_runtime_is_replaced() {
    const SOFT: Policy = Policy::DEFAULT.soft_timeout(Duration::from_millis(100));

    #[cached(
        ttl = "10ms",
        key = "old:{n}",
        stale_while_revalidate = "1ms",
        stale_if_error = "1h",
        policy = SOFT
    )]
    async fn old(n: u64) -> Result<u64, StoreError> {
        Ok(n)
    }

    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let cache = Cache::memory();
        let first = on_this_thread(cache.scope(old(3)));
        thread::sleep(Duration::from_millis(20));
        let _ = done.send((first, on_this_thread(cache.scope(outcome(old(3))))));
    });
    let answers = ended.recv_timeout(PATIENCE);
    assert_eq!(answers, Ok((Ok(3), (Ok(3), Outcome::Loaded))));
}

/// Not even for a lease that outlasts an invalidation.
#[test]
fn a_call_outside_any_runtime_waits_for_no_lease() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[cached(ttl = 300, key = "labelled:{n}", tags("label"))]
    async fn labelled(n: u64) -> u64 {
        match RUNS.fetch_add(1, SeqCst) {
            0 => pending().await,
            _ => n,
        }
    }

    let cache = Cache::memory();
    let mut first = Box::pin(cache.scope(labelled(3)));
    let begun = on_this_thread(poll_once(first.as_mut(), Waker::noop()));
    assert!(begun.is_pending(), "it has no end");
    on_this_thread(cache.invalidate_tag("label")).expect("memory answers");
    let (value, how) = on_this_thread(cache.scope(outcome(labelled(3))));
    assert_eq!((value, how), (3, Outcome::NotStored(NotStored::Leased)));
}

/// Who has an old value at hand waits no longer because the server hangs meanwhile.
#[tokio::test]
async fn a_server_that_hangs_prolongs_no_wait() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    const SOFT: Policy = Policy::DEFAULT
        .timeout(MINUTE)
        .soft_timeout(Duration::from_millis(50));

    #[cached(
        ttl = "10ms",
        key = "old:{n}",
        stale_while_revalidate = "1ms",
        stale_if_error = "1h",
        policy = SOFT
    )]
    async fn old(n: u64) -> Result<u64, StoreError> {
        match RUNS.fetch_add(1, SeqCst) {
            0 => Ok(n),
            _ => pending().await,
        }
    }

    let server = RedisServer::start().await;
    // What waits for another process asks to be told of changes.
    let proxy = Proxy::start_against(server.port(), "CACHING");
    proxy.set(Mode::Hang);
    let caches = [server.url(), proxy.url()];
    let [one, other] = caches.map(|url| async move { Cache::builder().url(url).build().await });
    let (one, other) = (one.await.expect("a cache"), other.await.expect("a cache"));
    one.scope(old(3)).await.expect("a value");
    sleep(Duration::from_millis(20)).await;
    for cache in [one, other] {
        let (value, how) = timeout(SOON, cache.scope(outcome(old(3))))
            .await
            .expect("no longer than asked for");
        assert_eq!((value.expect("a value"), how), (3, Outcome::Stale));
    }
    assert_eq!(RUNS.load(SeqCst), 2);
}

#[test]
fn a_refresh_outside_any_runtime_goes_to_its_origin() {
    let (_runtime, _server, cache) = of_another_runtime();
    assert_eq!(on_this_thread(cache.scope(refresh(square(7)))), 49);
}

/// A server that hangs is left alone after a few calls, however small their budget is.
#[tokio::test]
async fn a_small_budget_opens_the_breaker_too() {
    let server = RedisServer::start().await;
    let cache = Cache::builder().url(server.url()).build().await;
    let cache = cache.expect("a cache");
    cache.ping().await.expect("an answer");
    server.pause();
    let missed = |events: Vec<Event>| {
        events.into_iter().find_map(|event| match event {
            Event::Missed(miss) => Some(miss),
            _ => None,
        })
    };
    let mut seen = Vec::new();
    for n in 0..50 {
        let (value, events) = cache.scope(events(hasty(n))).await;
        assert_eq!(value, n);
        seen.push(missed(events));
    }
    server.resume();
    let open = Some(Miss::Store(StoreErrorKind::Unavailable));
    assert!(seen.contains(&open), "each waited in vain: {seen:?}");
}

/// What a read returns.
type Read = Result<Found, StoreError>;

/// Whoever leaves after the reply has come says nothing about the link.
#[tokio::test]
async fn who_leaves_after_the_reply_blames_nobody() {
    let server = RedisServer::start().await;
    let store = one_lane(&server.url());
    store.ping().await.expect("an answer");
    server.pause();
    let read = |text: &'static str| -> Pin<Box<dyn Future<Output = Read> + Send>> {
        let store = store.clone();
        Box::pin(async move {
            store
                .look_up_within(&key(text), &[], &lasting(MINUTE))
                .await
        })
    };
    let mut reads = ["a", "b", "c", "d"].map(read);
    for read in &mut reads {
        assert!(poll_once(read.as_mut(), Waker::noop()).await.is_pending());
    }
    let [mut alone, others @ ..] = reads;
    sleep(Duration::from_millis(100)).await;
    server.resume();
    assert!(timeout(PATIENCE, alone.as_mut()).await.is_ok(), "answered");
    // The others share a command that was sent right after.
    sleep(Duration::from_millis(300)).await;
    drop(others);
    let after = store.get(&key("e")).await;
    assert_eq!(after, Ok(None), "the breaker is closed");
}
