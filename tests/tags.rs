//! Tags: one deletion outdates every entry that has the tag, whatever is under way.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cache_runtime::test_util::{self, Event, MemoryStore, Miss, Store, events};
use cache_runtime::{Bypass, Cache, NotStored, Outcome, cached, invalidates, outcome, updates};
use support::{RedisServer, eventually};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const HALF: Duration = Duration::from_millis(500);

/// A row with a version, which a load reads at its beginning and returns a second later.
#[derive(Debug, Default, Clone)]
struct Row(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    version: AtomicUsize,
    runs: AtomicUsize,
    fails: AtomicUsize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Down;

impl Row {
    async fn read(&self) -> usize {
        self.0.runs.fetch_add(1, SeqCst);
        let version = self.0.version.load(SeqCst);
        sleep(SECOND).await;
        version
    }

    fn write(&self, version: usize) {
        self.0.version.store(version, SeqCst);
    }

    fn runs(&self) -> usize {
        self.0.runs.load(SeqCst)
    }
}

#[cached(
    ttl = 300,
    key = "order:{id}",
    tags("customer:{customer}", "orders"),
    skip(row, customer)
)]
async fn order(row: &Row, id: u64, customer: u64) -> usize {
    row.read().await
}

/// The same entries without the tags.
#[cached(ttl = 300, key = "order:{id}", skip(row), entry = false)]
async fn untagged_order(row: &Row, id: u64) -> usize {
    row.read().await
}

#[cached(
    ttl = 10,
    key = "old:{id}",
    tags("orders"),
    skip(row),
    stale_while_revalidate = 100,
    stale_if_error = 200
)]
async fn old_order(row: &Row, id: u64) -> Result<usize, Down> {
    let version = row.read().await;
    match row.0.fails.load(SeqCst) {
        0 => Ok(version),
        _ => Err(Down),
    }
}

#[cached(ttl_with = |days: &u64| SECOND * 86_400 * *days as u32 + SECOND, key = "days:{id}", tags("days"))]
async fn days(id: u64) -> u64 {
    id
}

#[updates(days(id) = &to)]
async fn set_days(id: u64, to: u64) {}

#[cached(ttl = 300, key = "pair:{a}:{b}", tags("is:{a}", "is:{b}"))]
async fn pair(a: String, b: String) -> usize {
    a.len() + b.len()
}

#[cached(ttl = 300, key = "maybe:{id}", tags("maybe"))]
async fn maybe(id: u64) -> Option<u64> {
    Some(id)
}

/// A name that cannot always be written.
#[derive(Debug, Clone, Copy)]
struct Name(u64);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Err(fmt::Error),
            n => n.fmt(f),
        }
    }
}

#[cached(ttl = 300, key = "named:{id}", tags("name:{name}"), skip(row, name))]
async fn named(row: &Row, id: u64, name: Name) -> usize {
    row.read().await
}

#[invalidates(named(id, name))]
async fn rename(row: &Row, id: u64, name: Name, to: usize) {
    row.write(to);
}

#[updates(named(id, name) = &to)]
async fn renumber(row: &Row, id: u64, name: Name, to: usize) {
    row.write(to);
}

#[updates(order(id, customer) = &to)]
async fn change(row: &Row, id: u64, customer: u64, to: usize) {
    sleep(SECOND).await;
    row.write(to);
}

#[invalidates(tag("customer:{customer}"))]
async fn move_away(row: &Row, customer: u64, to: usize) {
    row.write(to);
}

/// Caches that share nothing but a store: each stands for a process.
fn processes<const N: usize>() -> [Cache; N] {
    let store = Store::Memory(MemoryStore::new(64 << 20));
    std::array::from_fn(|_| test_util::cache(&store, "test"))
}

fn missed(events: &[Event]) -> Option<Miss> {
    events.iter().find_map(|event| match event {
        Event::Missed(miss) => Some(*miss),
        _ => None,
    })
}

async fn invalidate(cache: &Cache, tag: &str) {
    cache.invalidate_tag(tag).await.expect("confirmed");
}

#[tokio::test(start_paused = true)]
async fn a_tag_outdates_its_entries_and_no_others() {
    let [cache] = processes();
    let row = Row::default();
    let (r, c) = (&row, &cache);
    cache
        .scope(async {
            for id in [1, 2, 3] {
                order(r, id, id % 2).await;
                assert_eq!(outcome(order(r, id, id % 2)).await.1, Outcome::Hit);
            }
            invalidate(c, "customer:1").await;
            for (id, how) in [
                (1, Outcome::Loaded),
                (2, Outcome::Hit),
                (3, Outcome::Loaded),
            ] {
                assert_eq!(outcome(order(r, id, id % 2)).await.1, how, "{id}");
                assert_eq!(outcome(order(r, id, id % 2)).await.1, Outcome::Hit, "{id}");
            }
            invalidate(c, "orders").await;
            let (_, events) = events(order(r, 2, 0)).await;
            assert_eq!(missed(&events), Some(Miss::TagInvalidated));
            assert_eq!(outcome(order(r, 1, 1)).await.1, Outcome::Loaded);
            assert_eq!(
                outcome(order(r, 1, 1)).await.1,
                Outcome::Hit,
                "under the new generation"
            );
        })
        .await;
    let stats = cache.stats();
    let row = stats.function("order").expect("was called");
    assert_eq!((row.tag_invalidated, row.absent), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_write_invalidates_by_the_tag_of_its_arguments() {
    let [cache] = processes();
    let row = Row::default();
    cache
        .scope(async {
            assert_eq!(order(&row, 1, 7).await, 0);
            move_away(&row, 8, 1).await;
            assert_eq!(order(&row, 1, 7).await, 0, "another customer");
            move_away(&row, 7, 2).await;
            assert_eq!(order(&row, 1, 7).await, 2);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_under_a_tag_invalidated_meanwhile_is_never_served() {
    let [here, there] = processes();
    let row = Row::default();
    let load = tokio::spawn({
        let (row, here) = (row.clone(), here.clone());
        async move { here.scope(outcome(order(&row, 1, 7))).await }
    });
    sleep(HALF).await;
    row.write(1);
    invalidate(&there, "orders").await;
    // Neither by waiting for that load, nor from the store.
    for cache in [&here, &there] {
        let (value, how) = cache.scope(outcome(order(&row, 1, 7))).await;
        assert_eq!(value, 1, "{how}");
    }
    let (value, how) = load.await.expect("the load");
    assert_eq!((value, how), (0, Outcome::Loaded), "it began before");
    assert_eq!(row.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_who_saw_the_same_generations_share_a_load() {
    let [here, there] = processes();
    let row = Row::default();
    let calls = [&here, &here, &there, &there].map(|cache| {
        let (row, cache) = (row.clone(), cache.clone());
        tokio::spawn(async move { cache.scope(order(&row, 1, 7)).await })
    });
    sleep(HALF).await;
    let late = tokio::spawn({
        let (row, here) = (row.clone(), here.clone());
        async move { here.scope(outcome(order(&row, 1, 7))).await }
    });
    for call in calls {
        assert_eq!(call.await.expect("a call"), 0);
    }
    assert_eq!(late.await.expect("a call"), (0, Outcome::Joined));
    assert_eq!(row.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_value_with_an_invalidated_tag_is_of_no_use() {
    let [cache] = processes();
    let row = Row::default();
    cache
        .scope(async {
            assert_eq!(old_order(&row, 1).await, Ok(0));
            sleep(11 * SECOND).await;
            assert_eq!(outcome(old_order(&row, 1)).await.1, Outcome::Stale);
            sleep(2 * SECOND).await;
            assert_eq!(
                outcome(old_order(&row, 1)).await.1,
                Outcome::Hit,
                "refreshed"
            );

            sleep(11 * SECOND).await;
            row.write(1);
            invalidate(&cache, "orders").await;
            let (value, how) = outcome(old_order(&row, 1)).await;
            assert_eq!(
                (value, how),
                (Ok(1), Outcome::Loaded),
                "instead of the old one"
            );

            sleep(11 * SECOND).await;
            invalidate(&cache, "orders").await;
            row.0.fails.store(1, SeqCst);
            let (value, how) = outcome(old_order(&row, 1)).await;
            assert_eq!(value, Err(Down), "{how}");
            assert_eq!(how, Outcome::NotStored(NotStored::Failed));
            assert_eq!(old_order_entry(1).peek().await.expect("an answer"), None);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_invalidated_during_a_write_takes_the_written_value_along() {
    let [here, there] = processes();
    let row = Row::default();
    let write = tokio::spawn({
        let (row, here) = (row.clone(), here.clone());
        async move { here.scope(change(&row, 1, 7, 5)).await }
    });
    sleep(HALF).await;
    invalidate(&there, "customer:7").await;
    write.await.expect("the write");
    let (value, events) = there.scope(events(order(&row, 1, 7))).await;
    assert_eq!(value, 5);
    assert_eq!(
        missed(&events),
        Some(Miss::TagInvalidated),
        "not from the store"
    );

    here.scope(change(&row, 1, 7, 6)).await;
    let read = there.scope(outcome(order(&row, 1, 7))).await;
    assert_eq!(read, (6, Outcome::Hit), "written through");
}

#[tokio::test(start_paused = true)]
async fn an_entry_puts_and_peeks_under_its_tags() {
    let [cache] = processes();
    let row = Row::default();
    cache
        .scope(async {
            let entry = order_entry(1, 7);
            entry.put(&9).await.expect("stored");
            assert_eq!(entry.peek().await.expect("an answer"), Some(9));
            assert_eq!(outcome(order(&row, 1, 7)).await, (9, Outcome::Hit));
            invalidate(&cache, "customer:7").await;
            assert_eq!(entry.peek().await.expect("an answer"), None);
            entry.put(&10).await.expect("stored");
            assert_eq!(outcome(order(&row, 1, 7)).await, (10, Outcome::Hit));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_names_other_tags_shares_no_entries() {
    let [cache] = processes();
    let row = Row::default();
    cache
        .scope(async {
            order(&row, 1, 7).await;
            assert_eq!(outcome(untagged_order(&row, 1)).await.1, Outcome::Loaded);
            assert_eq!(outcome(order(&row, 1, 7)).await.1, Outcome::Loaded);
            assert_eq!(outcome(order(&row, 1, 8)).await.1, Outcome::Loaded);
            assert_eq!(outcome(order(&row, 1, 8)).await.1, Outcome::Hit);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn generations_outlive_values_that_say_how_long_they_live() {
    let [cache] = processes();
    cache
        .scope(async {
            for (id, how) in [(30, Outcome::Hit), (2, Outcome::Loaded)] {
                days(id).await;
                sleep(SECOND * 86_400 * 5).await;
                assert_eq!(outcome(days(id)).await.1, how, "{id} days");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_invalidated_whatever_its_tags() {
    let [cache] = processes();
    let row = Row::default();
    cache
        .scope(async {
            named(&row, 1, Name(7)).await;
            rename(&row, 1, Name(0), 1).await;
            assert_eq!(named(&row, 1, Name(7)).await, 1);
        })
        .await;
}

/// Without its tags an entry can be deleted, but nothing can be read or stored there.
#[tokio::test(start_paused = true)]
async fn nothing_is_stored_without_all_of_its_tags() {
    let [cache] = processes();
    let row = Row::default();
    cache
        .scope(async {
            named(&row, 1, Name(7)).await;
            renumber(&row, 1, Name(0), 1).await;
            let read = outcome(named(&row, 1, Name(7))).await;
            assert_eq!(read, (1, Outcome::Loaded), "deleted, not written through");

            let nameless = named_entry(1, Name(0));
            assert_eq!(nameless.key(), "test:named:1");
            assert!(nameless.put(&2).await.is_err());
            assert!(nameless.peek().await.is_err());
            let (_, how) = outcome(named(&row, 1, Name(0))).await;
            assert_eq!(how, Outcome::Bypassed(Bypass::Unsupported));
            let read = outcome(named(&row, 1, Name(7))).await;
            assert_eq!(read, (1, Outcome::Hit), "nothing has changed");

            row.write(3);
            nameless.invalidate().await.expect("confirmed");
            assert_eq!(named(&row, 1, Name(7)).await, 3);
            row.write(4);
            nameless.expire().await.expect("confirmed");
            assert_eq!(named(&row, 1, Name(7)).await, 4);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn generations_outlive_values_that_were_written_through() {
    let [cache] = processes();
    cache
        .scope(async {
            set_days(1, 30).await;
            sleep(SECOND * 86_400 * 5).await;
            assert_eq!(outcome(days(1)).await, (30, Outcome::Hit));
            days_entry(2).put(&30).await.expect("stored");
            sleep(SECOND * 86_400 * 5).await;
            assert_eq!(outcome(days(2)).await, (30, Outcome::Hit));
        })
        .await;
}

/// A Redis, and a cache on it.
async fn on_redis() -> (RedisServer, Cache) {
    let server = RedisServer::start().await;
    let builder = Cache::builder().url(server.url()).namespace("tags");
    let cache = builder.build().await.expect("a configuration");
    cache.ping().await.expect("an answer");
    (server, cache)
}

#[tokio::test]
async fn a_hit_is_one_command_and_a_tag_one_deletion() {
    let (server, cache) = on_redis().await;
    let mut commands = server.commands().await;
    cache
        .scope(async {
            days(0).await;
            commands.reset().await;
            for _ in 0..100 {
                assert_eq!(outcome(days(0)).await.1, Outcome::Hit);
            }
            assert_eq!(commands.counts().await, counts(&[("mget", 100)]));

            commands.reset().await;
            invalidate(&cache, "days").await;
            assert_eq!(commands.counts().await, counts(&[("del", 1)]));

            commands.reset().await;
            assert_eq!(outcome(days(0)).await.1, Outcome::Loaded);
            let spent = commands.counts().await;
            // The lease, the generation and the fill.
            assert_eq!(spent.get("mget"), Some(&1), "{spent:?}");
            assert_eq!(spent.get("evalsha"), Some(&3), "{spent:?}");
        })
        .await;
}

fn counts(commands: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let commands = commands.iter();
    commands
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[tokio::test]
async fn until_a_tag_is_confirmed_its_process_bypasses_its_entries() {
    let (server, cache) = on_redis().await;
    let row = Row::default();
    cache
        .scope(async {
            assert_eq!(order(&row, 1, 7).await, 0);
            server.pause();
            let start = Instant::now();
            row.write(1);
            let invalidated = cache.invalidate_tag("customer:7").await;
            assert!(invalidated.is_err(), "the server hangs");
            assert_eq!(order(&row, 1, 7).await, 1, "after {:?}", start.elapsed());
            server.resume();
            let (value, events) = events(order(&row, 1, 7)).await;
            assert_eq!(value, 1, "{events:?}");
            eventually("nothing is queued", async || {
                (cache.stats().unconfirmed == 0).then_some(())
            })
            .await;
            assert_eq!(order(&row, 1, 7).await, 1);
        })
        .await;
}

#[tokio::test]
async fn a_generation_that_is_evicted_costs_a_miss() {
    let (server, cache) = on_redis().await;
    let row = Row::default();
    cache
        .scope(async {
            order(&row, 1, 7).await;
            server
                .run::<redis::Value>(&["DEL", "tags:%tag:orders"])
                .await;
            let (_, events) = events(order(&row, 1, 7)).await;
            assert_eq!(missed(&events), Some(Miss::TagInvalidated));
            assert_eq!(outcome(order(&row, 1, 7)).await.1, Outcome::Hit);
            // Of a wrong type, or no generation at all.
            server
                .run::<redis::Value>(&["DEL", "tags:%tag:orders"])
                .await;
            server
                .run::<redis::Value>(&["LPUSH", "tags:%tag:orders", "x"])
                .await;
            assert_eq!(outcome(order(&row, 1, 7)).await.1, Outcome::Loaded);
            assert_eq!(outcome(order(&row, 1, 7)).await.1, Outcome::Hit);
        })
        .await;
}

#[tokio::test]
async fn a_full_server_invalidates_tags_and_serves_what_it_has() {
    let (server, cache) = on_redis().await;
    let row = Row::default();
    cache
        .scope(async {
            order(&row, 1, 7).await;
            server
                .run::<redis::Value>(&["CONFIG", "SET", "maxmemory", "1"])
                .await;
            assert_eq!(outcome(order(&row, 1, 7)).await.1, Outcome::Hit);
            row.write(1);
            invalidate(&cache, "customer:7").await;
            let (value, how) = outcome(order(&row, 1, 7)).await;
            assert_eq!(value, 1, "{how}");
            assert!(
                matches!(how, Outcome::NotStored(NotStored::Store(_))),
                "{how}"
            );
        })
        .await;
}

#[tokio::test]
async fn tags_may_render_alike_and_be_of_any_length() {
    let (server, on_redis) = on_redis().await;
    let long = "x: %{}".repeat(10_000);
    for cache in [on_redis, Cache::memory()] {
        cache
            .scope(async {
                let call = || pair(long.clone(), long.clone());
                call().await;
                assert_eq!(outcome(call()).await.1, Outcome::Hit);
                let escaped = "x%3A%20%25%7B%7D".repeat(10_000);
                invalidate(&cache, &format!("is:{escaped}")).await;
                assert_eq!(outcome(call()).await.1, Outcome::Loaded);
                assert_eq!(outcome(call()).await.1, Outcome::Hit);
            })
            .await;
    }
    drop(server);
}

#[tokio::test]
async fn a_full_server_deletes_what_is_put_and_not_cacheable() {
    let (server, cache) = on_redis().await;
    cache
        .scope(async {
            maybe_entry(1).put(&Some(1)).await.expect("stored");
            invalidate(&cache, "maybe").await;
            server
                .run::<redis::Value>(&["CONFIG", "SET", "maxmemory", "1"])
                .await;
            maybe_entry(1).put(&None).await.expect("deleted");
            let left = server.run::<u64>(&["EXISTS", "tags:maybe:1"]).await;
            assert_eq!(left, 0);
        })
        .await;
}
