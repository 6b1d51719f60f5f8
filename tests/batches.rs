//! Batch functions: `each(id in ids)`.

#![expect(
    clippy::expect_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use cache_runtime::{
    Bypass, Cache, NotStored, Outcome, Policy, Postcard, cached, invalidates, outcome, outcomes,
    refresh, uncached,
};
use support::{Proxy, RedisServer, briefly, eventually, within};
use tokio::join;
use tokio::time::{Instant, sleep};

/// A loaded machine is no reason to go to the origin.
const PATIENT: Policy = Policy::DEFAULT.timeout(Duration::from_secs(10));

/// An origin that notes what it is asked for. Ids from 1,000,000 on have no row.
#[derive(Debug, Default)]
struct Rows {
    asked: Mutex<Vec<Vec<u64>>>,
    takes: Duration,
    version: AtomicU64,
    fails: AtomicBool,
}

/// That the origin has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failed;

impl Rows {
    fn slow(millis: u64) -> Self {
        Self {
            takes: Duration::from_millis(millis),
            ..Self::default()
        }
    }

    async fn load(&self, ids: impl IntoIterator<Item = u64>) -> Result<HashMap<u64, u64>, Failed> {
        let ids: Vec<u64> = ids.into_iter().collect();
        self.asked.lock().expect("no panic").push(ids.clone());
        // Read when the load begins: the version may be older when it ends.
        let version = self.version.load(SeqCst);
        let fails = self.fails.load(SeqCst);
        if !self.takes.is_zero() {
            sleep(self.takes).await;
        }
        let rows = ids.into_iter().filter(|id| *id < 1_000_000);
        match fails {
            true => Err(Failed),
            false => Ok(rows.map(|id| (id, id * 10 + version)).collect()),
        }
    }

    /// What it was asked for since this was called last, each time in order.
    fn asked(&self) -> Vec<Vec<u64>> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        asked.iter_mut().for_each(|ids| ids.sort_unstable());
        asked
    }
}

#[cached(ttl = 300, key = "row:{id}", skip(of), each(id in ids))]
async fn rows(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
    of.load(ids.iter().copied()).await
}

/// Shares the entries of `rows`.
#[cached(ttl = 300, key = "row:{id}", skip(of))]
async fn row(of: &Rows, id: u64) -> Result<u64, Failed> {
    let found = of.load([id]).await?;
    found.get(&id).copied().ok_or(Failed)
}

#[cached(ttl = 300, key = "maybe:{id}", skip(of), none_ttl = 60, each(id in ids))]
async fn maybe_rows(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
    of.load(ids.iter().copied()).await
}

/// Shares the entries of `maybe_rows`.
#[cached(ttl = 300, key = "maybe:{id}", skip(of), none_ttl = 60)]
async fn maybe_row(of: &Rows, id: u64) -> Result<Option<u64>, Failed> {
    Ok(of.load([id]).await?.remove(&id))
}

#[invalidates(rows(id))]
async fn touch(of: &Rows, id: u64, version: u64) {
    of.version.store(version, SeqCst);
}

fn values(of: impl IntoIterator<Item = u64>, version: u64) -> HashMap<u64, u64> {
    of.into_iter().map(|id| (id, id * 10 + version)).collect()
}

async fn on_memory<T>(story: impl Future<Output = T>) -> T {
    Cache::memory().scope(story).await
}

async fn cache_at(url: &str) -> Cache {
    let cache = Cache::builder().url(url).namespace("shop").build().await;
    cache.expect("a valid configuration")
}

/// Of calls that the machine cannot cut short.
async fn patient_cache_at(url: &str) -> Cache {
    let builder = Cache::builder().url(url).namespace("shop");
    let cache = builder.policy(PATIENT).build().await;
    cache.expect("a valid configuration")
}

#[tokio::test(start_paused = true)]
async fn the_origin_is_asked_once_for_what_is_missing() {
    let of = Rows::default();
    on_memory(async {
        assert_eq!(rows(&of, &[1, 2]).await, Ok(values([1, 2], 0)));
        assert_eq!(of.asked(), [[1, 2]]);
        assert_eq!(rows(&of, &[3, 2, 4, 1]).await, Ok(values([1, 2, 3, 4], 0)));
        assert_eq!(of.asked(), [[3, 4]]);
        assert_eq!(rows(&of, &[4, 3]).await, Ok(values([3, 4], 0)));
        assert_eq!(rows(&of, &[]).await, Ok(HashMap::new()));
        assert!(of.asked().is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_given_twice_is_asked_for_once() {
    let of = Rows::default();
    on_memory(async {
        assert_eq!(rows(&of, &[1, 1, 2, 1]).await, Ok(values([1, 2], 0)));
        assert_eq!(of.asked(), [[1, 2]]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn entries_are_those_of_the_function_of_one_id() {
    let of = Rows::default();
    on_memory(async {
        assert_eq!(row(&of, 1).await, Ok(10));
        assert_eq!(rows(&of, &[1, 2]).await, Ok(values([1, 2], 0)));
        assert_eq!(of.asked(), [[1], [2]]);
        assert_eq!(outcome(row(&of, 2)).await, (Ok(20), Outcome::Hit));
        assert_eq!(rows_entry(2).key(), row_entry(2).key());
        assert_eq!(rows_entry(2).peek().await.expect("a store"), Some(20));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_without_a_value_is_absent_and_asked_for_again() {
    let of = Rows::default();
    on_memory(async {
        for _ in 0..2 {
            let (found, how) = outcomes(rows(&of, &[1, 2_000_000])).await;
            assert_eq!(found, Ok(values([1], 0)));
            let absent = how.of(rows_entry(2_000_000).key());
            assert_eq!(absent, Some(Outcome::NotStored(NotStored::None)));
        }
        assert_eq!(of.asked(), [vec![1, 2_000_000], vec![2_000_000]]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn with_none_ttl_it_is_cached_as_absent() {
    let of = Rows::default();
    on_memory(async {
        for _ in 0..2 {
            assert_eq!(maybe_rows(&of, &[1, 2_000_000]).await, Ok(values([1], 0)));
        }
        assert_eq!(of.asked(), [[1, 2_000_000]]);
        assert_eq!(maybe_row(&of, 2_000_000).await, Ok(None));
        assert_eq!(maybe_row(&of, 1).await, Ok(Some(10)));
        assert!(of.asked().is_empty());
        sleep(Duration::from_secs(61)).await;
        assert_eq!(maybe_rows(&of, &[1, 2_000_000]).await, Ok(values([1], 0)));
        assert_eq!(of.asked(), [[2_000_000]]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_id_has_an_outcome() {
    let of = Rows::default();
    on_memory(async {
        rows(&of, &[1, 2]).await.expect("rows");
        let (found, how) = outcomes(rows(&of, &[1, 2, 3])).await;
        assert_eq!(found, Ok(values([1, 2, 3], 0)));
        assert_eq!((how.len(), how.count(Outcome::Hit)), (3, 2));
        assert_eq!(how.of(rows_entry(3).key()), Some(Outcome::Loaded));
        assert_eq!(outcome(rows(&of, &[1])).await.1, Outcome::Hit);

        of.asked();
        of.version.store(1, SeqCst);
        let refreshed = outcomes(refresh(rows(&of, &[1, 2]))).await;
        assert_eq!(refreshed.0, Ok(values([1, 2], 1)));
        assert_eq!(refreshed.1.count(Outcome::Loaded), 2);
        let (found, how) = outcomes(uncached(rows(&of, &[1, 3]))).await;
        assert_eq!(found, Ok(values([1, 3], 1)));
        assert_eq!(how.count(Outcome::Bypassed(Bypass::Uncached)), 2);
        assert_eq!(of.asked(), [[1, 2], [1, 3]]);
        assert_eq!(row(&of, 3).await, Ok(30), "nothing was stored");

        let cache = Cache::current();
        let stats = cache.stats();
        let row = stats.function("rows").expect("it was called");
        assert_eq!((row.hits, row.loads, row.stored), (3, 7, 5));
        assert_eq!(row.bypassed, 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_error_is_that_of_the_batch_and_nothing_is_stored() {
    let of = Rows::default();
    on_memory(async {
        rows(&of, &[1]).await.expect("rows");
        of.fails.store(true, SeqCst);
        let (failed, how) = outcomes(rows(&of, &[1, 2, 3])).await;
        assert_eq!(failed, Err(Failed));
        assert_eq!(how.count(Outcome::NotStored(NotStored::Failed)), 2);
        of.fails.store(false, SeqCst);
        assert_eq!(rows(&of, &[1, 2, 3]).await, Ok(values([1, 2, 3], 0)));
        assert_eq!(of.asked(), [vec![1], vec![2, 3], vec![2, 3]]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn old_values_are_served_if_every_failed_id_has_one() {
    #[cached(ttl = 60, stale_if_error = 600, key = "old:{id}", skip(of), each(id in ids))]
    async fn old(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
        of.load(ids.iter().copied()).await
    }

    let of = Rows::default();
    on_memory(async {
        old(&of, &[1, 2]).await.expect("rows");
        sleep(Duration::from_secs(61)).await;
        of.fails.store(true, SeqCst);
        of.version.store(1, SeqCst);
        let (found, how) = outcomes(old(&of, &[1, 2])).await;
        assert_eq!(found, Ok(values([1, 2], 0)));
        assert_eq!(how.count(Outcome::StaleIfError), 2);
        assert_eq!(old(&of, &[1, 3]).await, Err(Failed));
        of.fails.store(false, SeqCst);
        // Nobody tries an id again at once whose load has failed.
        sleep(Duration::from_secs(2)).await;
        assert_eq!(old(&of, &[1, 2, 3]).await, Ok(values([1, 2, 3], 1)));
    })
    .await;
}

mod shapes {
    //! What ids come as, what results are, and what else an attribute says.

    use super::*;

    #[cached(ttl = 300, key = "s:{id}", each(id in ids))]
    async fn owned(mut ids: Vec<String>) -> BTreeMap<String, usize> {
        ids.sort();
        ids.into_iter().map(|id| (id.clone(), id.len())).collect()
    }

    #[cached(ttl = 300, key = "s:{id}", each(id in ids))]
    async fn set(ids: HashSet<String>) -> Vec<(String, usize)> {
        ids.into_iter().map(|id| (id.clone(), id.len())).collect()
    }

    #[cached(ttl = 300, key = "s:{id}", each(id in ids))]
    async fn borrowed_set(ids: &BTreeSet<String>) -> HashMap<String, usize> {
        ids.iter().map(|id| (id.clone(), id.len())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn ids_are_a_slice_a_vec_or_a_set() {
        let strings = |of: &[&str]| of.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        on_memory(async {
            let found = owned(strings(&["bb", "a"])).await;
            assert_eq!(found, [("a".to_owned(), 1), ("bb".to_owned(), 2)].into());
            let ids = strings(&["a", "ccc"]);
            let mut found = set(ids.iter().cloned().collect()).await;
            found.sort();
            assert_eq!(found, [("a".to_owned(), 1), ("ccc".to_owned(), 3)]);
            let (found, how) = outcomes(borrowed_set(&ids.into_iter().collect())).await;
            assert_eq!((found.len(), how.count(Outcome::Hit)), (2, 2));
        })
        .await;
    }

    #[derive(Debug, Clone)]
    struct Shelf {
        number: u64,
        cache: Cache,
    }

    impl Shelf {
        /// By default the key is the path, `self` and the id.
        #[cached(
            ttl = 300,
            key = "{self.number}:{id.0}:{id.1}:{locale}",
            tags("shelf:{self.number}", "first:{id.0}"),
            cache = self.cache,
            codec = Postcard,
            cache_if = |text: &String| text.len() < 20,
            bypass_if = id.0 == 9,
            policy = Policy::DEFAULT.jitter(0.1),
            each(id in pairs)
        )]
        async fn texts(
            &self,
            pairs: &[(u64, u64)],
            locale: String,
        ) -> Result<HashMap<(u64, u64), String>, Failed> {
            let text = |(one, other)| format!("{locale} {} {one} {other}", self.number);
            Ok(pairs.iter().map(|pair| (*pair, text(*pair))).collect())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn everything_else_is_said_of_each_id() {
        let cache = Cache::memory();
        let shelf = Shelf { number: 7, cache };
        let long = "a locale of twenty characters and more".to_owned();
        let texts = async |pairs: &[(u64, u64)], locale: &str| {
            let (found, how) = outcomes(shelf.texts(pairs, locale.to_owned())).await;
            let how: Vec<_> = how.iter().map(|(_, outcome)| outcome).collect();
            (found.expect("texts").len(), how)
        };
        let asked = Outcome::Bypassed(Bypass::Asked);
        assert_eq!(
            texts(&[(1, 2), (3, 4)], "de").await,
            (2, vec![Outcome::Loaded; 2])
        );
        assert_eq!(texts(&[(1, 2)], "de").await.1, [Outcome::Hit]);
        assert_eq!(texts(&[(1, 2)], "fr").await.1, [Outcome::Loaded]);
        let declined = Outcome::NotStored(NotStored::Declined);
        assert_eq!(texts(&[(1, 2)], &long).await.1, [declined]);
        // Past the cache it has no entry, and so no outcome of its own.
        let (found, how) = outcome(shelf.texts(&[(9, 1)], "de".to_owned())).await;
        assert_eq!((found.expect("texts").len(), how), (1, asked));
        let entry = shelf.texts_entry((1, 2), "de".to_owned());
        assert_eq!(entry.key(), "cache:7:1:2:de");
        shelf
            .cache
            .invalidate_tag("first:1")
            .await
            .expect("a store");
        assert_eq!(
            texts(&[(1, 2), (3, 4)], "de").await.1,
            [Outcome::Loaded, Outcome::Hit]
        );
    }

    /// By default the key is made of the path and every argument, with the id instead of all ids.
    #[cached(ttl = 300, each(id in ids))]
    async fn by_default(ids: Vec<u64>, factor: u64) -> HashMap<u64, u64> {
        ids.into_iter().map(|id| (id, id * factor)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_default_key_has_the_id_in_it() {
        on_memory(async {
            assert_eq!(by_default(vec![1, 2], 3).await, [(1, 3), (2, 6)].into());
            let (found, how) = outcomes(by_default(vec![2, 1], 3)).await;
            assert_eq!(found, [(1, 3), (2, 6)].into());
            assert_eq!(how.count(Outcome::Hit), 2);
            assert_eq!(by_default(vec![1], 4).await, [(1, 4)].into());
            let entry = by_default_entry(2, 3);
            assert_eq!(entry.peek().await.expect("a store"), Some(6));
        })
        .await;
    }

    #[cached(ttl = 300, key = "lower:{id}", each(id in ids))]
    async fn generic<I: Clone + Eq + std::hash::Hash + std::fmt::Display + 'static>(
        ids: &[I],
    ) -> Result<HashMap<I, String>, Failed> {
        Ok(ids.iter().map(|id| (id.clone(), id.to_string())).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn ids_may_be_generic() {
        on_memory(async {
            let found = generic(&[1_u8, 2]).await.expect("texts");
            assert_eq!(found[&2], "2");
            let (found, how) = outcome(generic(&["2".to_owned()])).await;
            assert_eq!((&*found.expect("texts")["2"], how), ("2", Outcome::Hit));
        })
        .await;
    }

    /// Ids that differ and look the same in a key are one entry, as the template says.
    #[tokio::test(start_paused = true)]
    async fn ids_that_share_a_key_share_a_value() {
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        struct Name(&'static str);
        impl std::fmt::Display for Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0.to_lowercase())
            }
        }
        #[cached(ttl = 300, key = "name:{id}", each(id in ids))]
        async fn lengths(ids: &[Name]) -> HashMap<Name, usize> {
            ids.iter().map(|id| (id.clone(), id.0.len())).collect()
        }
        on_memory(async {
            let found = lengths(&[Name("Ada"), Name("ADA")]).await;
            assert_eq!(found, [(Name("Ada"), 3), (Name("ADA"), 3)].into());
        })
        .await;
    }
}

mod together {
    //! Batches that meet.

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn batches_that_overlap_load_each_id_once_and_never_wait_in_a_circle() {
        let of = Rows::slow(100);
        on_memory(async {
            let start = Instant::now();
            let (one, two, three, single) = join!(
                rows(&of, &[1, 2, 3]),
                rows(&of, &[3, 2, 4]),
                rows(&of, &[4, 1, 5]),
                row(&of, 3),
            );
            assert_eq!(one, Ok(values([1, 2, 3], 0)));
            assert_eq!(two, Ok(values([2, 3, 4], 0)));
            assert_eq!(three, Ok(values([1, 4, 5], 0)));
            assert_eq!(single, Ok(30));
            assert_eq!(of.asked(), [vec![1, 2, 3], vec![4], vec![5]]);
            assert_eq!(start.elapsed(), of.takes, "nobody waits for two loads");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_that_came_to_nothing_is_made_good_for_its_ids_only() {
        let of = Rows::slow(100);
        on_memory(async {
            let abandoned = async {
                let call = rows(&of, &[1, 2]);
                tokio::time::timeout(Duration::from_millis(50), call).await
            };
            let (abandoned, found) = join!(abandoned, rows(&of, &[1, 2, 3]));
            assert!(abandoned.is_err());
            assert_eq!(found, Ok(values([1, 2, 3], 0)));
            assert_eq!(of.asked(), [vec![1, 2], vec![3], vec![1, 2]]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_elsewhere_does_not_abandon_what_is_being_loaded() {
        let (of, failing) = (Rows::slow(100), Rows::slow(50));
        failing.fails.store(true, SeqCst);
        on_memory(async {
            let late = async {
                sleep(Duration::from_millis(80)).await;
                outcome(row(&of, 2)).await
            };
            let (failed, both, late) = join!(row(&failing, 1), rows(&of, &[1, 2, 3]), late);
            assert_eq!((failed, both), (Err(Failed), Err(Failed)));
            assert_eq!(late, (Ok(20), Outcome::Joined));
            assert_eq!(of.asked(), [[2, 3]]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_failed_load_gets_its_error() {
        let of = Rows::slow(100);
        of.fails.store(true, SeqCst);
        on_memory(async {
            let (one, two) = join!(rows(&of, &[1, 2]), rows(&of, &[2]));
            assert_eq!((one, two), (Err(Failed), Err(Failed)));
            assert_eq!(of.asked(), [[1, 2]]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_invalidated_during_the_load_is_not_stored() {
        let of = Rows::slow(100);
        on_memory(async {
            let touched = async {
                sleep(Duration::from_millis(50)).await;
                touch(&of, 2, 1).await;
            };
            let (found, ()) = join!(outcomes(rows(&of, &[1, 2])), touched);
            assert_eq!(found.0, Ok(values([1, 2], 0)), "called before it changed");
            let fenced = found.1.of(rows_entry(2).key());
            assert_eq!(fenced, Some(Outcome::NotStored(NotStored::Fenced)));
            let (found, how) = outcomes(rows(&of, &[1, 2])).await;
            assert_eq!(found, Ok([(1, 10), (2, 21)].into()));
            assert_eq!(how.count(Outcome::Hit), 1);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_may_ask_for_its_own_ids() {
        #[cached(ttl = 300, key = "row:{id}", skip(of), each(id in ids))]
        async fn one_by_one(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
            let mut found = HashMap::new();
            for id in ids {
                found.insert(*id, row(of, *id).await?);
            }
            Ok(found)
        }

        let of = Rows::default();
        on_memory(async {
            let found = within("no deadlock", one_by_one(&of, &[1, 2])).await;
            assert_eq!(found, Ok(values([1, 2], 0)));
            assert_eq!(of.asked(), [[1], [2]]);
            assert_eq!(outcome(row(&of, 2)).await.1, Outcome::Hit);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_body_may_ask_for_its_own_ids_in_whichever_cache_they_are() {
        type Loaded<'a> = std::pin::Pin<Box<dyn Future<Output = HashMap<u64, u64>> + Send + 'a>>;
        fn nested<'a>(even: &'a Cache, odd: &'a Cache, ids: &'a [u64]) -> Loaded<'a> {
            Box::pin(split(even, odd, ids, false))
        }
        #[cached(
            ttl = 300,
            key = "row:{id}",
            skip(even, odd, outer),
            cache = *if id % 2 == 0 { even } else { odd },
            entry = false,
            each(id in ids)
        )]
        async fn split(even: &Cache, odd: &Cache, ids: &[u64], outer: bool) -> HashMap<u64, u64> {
            match outer {
                true => nested(even, odd, ids).await,
                false => values(ids.iter().copied(), 0),
            }
        }

        let (even, odd) = (Cache::memory(), Cache::memory());
        let start = Instant::now();
        assert_eq!(split(&even, &odd, &[1, 2], true).await, values([1, 2], 0));
        assert_eq!(start.elapsed(), Duration::ZERO, "it waits for itself");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_gives_up_what_was_to_be_loaded() {
        #[cached(ttl = 300, key = "row:{id}", skip(panics), each(id in ids))]
        async fn panicking(panics: bool, ids: Vec<u64>) -> Result<HashMap<u64, u64>, Failed> {
            assert!(!panics, "as asked");
            Ok(values(ids, 0))
        }

        let cache = Cache::memory();
        let task = tokio::spawn(cache.scope(panicking(true, vec![1, 2])));
        task.await.expect_err("a panic");
        let start = Instant::now();
        let found = cache.scope(panicking(false, vec![1, 2])).await;
        assert_eq!(found, Ok(values([1, 2], 0)));
        assert_eq!(start.elapsed(), Duration::ZERO, "no lease stands");
    }
}

mod on_redis {
    use super::*;

    #[tokio::test]
    async fn a_thousand_ids_are_one_read_and_a_hundred_missing_ones_one_load() {
        let of = Rows::default();
        let server = RedisServer::start().await;
        let cache = patient_cache_at(&server.url()).await;
        let story = async {
            let ids: Vec<u64> = (0..1_000).collect();
            rows(&of, &ids[..900]).await.expect("rows");
            of.asked();
            let mut commands = server.commands().await;
            let (found, how) = outcomes(rows(&of, &ids)).await;
            assert_eq!(found, Ok(values(ids.iter().copied(), 0)));
            let counts = commands.counts().await;
            assert_eq!(counts.get("mget"), Some(&1), "{counts:?}");
            assert_eq!(counts.get("get"), None);
            // The leases and the fills.
            assert_eq!(counts.get("evalsha"), Some(&200));
            assert_eq!(of.asked(), [ids[900..].to_vec()]);
            assert_eq!(how.count(Outcome::Hit), 900);
            assert_eq!(how.count(Outcome::Loaded), 100);

            commands.reset().await;
            rows(&of, &ids).await.expect("rows");
            let counts = commands.counts().await;
            assert_eq!(counts, [("mget".to_owned(), 1)].into());
        };
        cache.scope(story).await;
    }

    #[tokio::test]
    async fn tags_that_ids_have_in_common_are_asked_for_once() {
        #[cached(
            ttl = 300,
            key = "tagged:{id}",
            tags("all", "of:{id}"),
            skip(of),
            each(id in ids)
        )]
        async fn tagged(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
            of.load(ids.iter().copied()).await
        }

        let of = Rows::default();
        let server = RedisServer::start().await;
        let cache = patient_cache_at(&server.url()).await;
        let story = async {
            tagged(&of, &[1_000]).await.expect("rows");
            let mut commands = server.commands().await;
            let ids: Vec<u64> = (0..10).collect();
            tagged(&of, &ids).await.expect("rows");
            // Ten leases, ten tags of their own, one in common, and ten values.
            assert_eq!(commands.counts().await.get("evalsha"), Some(&31));
            of.version.store(1, SeqCst);
            let current = Cache::current();
            current.invalidate_tag("of:3").await.expect("a store");
            let (found, how) = outcomes(tagged(&of, &ids)).await;
            assert_eq!(found.expect("rows")[&3], 31);
            assert_eq!(how.count(Outcome::Hit), 9);
            current.invalidate_tag("all").await.expect("a store");
            let (found, how) = outcomes(tagged(&of, &ids)).await;
            assert_eq!(found, Ok(values(ids.iter().copied(), 1)));
            assert_eq!(how.count(Outcome::Loaded), 10);
            assert_eq!(outcomes(tagged(&of, &ids)).await.1.count(Outcome::Hit), 10);
        };
        cache.scope(story).await;
    }

    #[tokio::test]
    async fn very_many_ids_are_read_in_several_commands() {
        let of = Rows::default();
        let server = RedisServer::start().await;
        let cache = patient_cache_at(&server.url()).await;
        let story = async {
            let ids: Vec<u64> = (0..5_000).collect();
            rows(&of, &ids).await.expect("rows");
            assert_eq!(of.asked().len(), 1, "all of them by one run");
            let mut commands = server.commands().await;
            let (found, how) = outcomes(rows(&of, &ids)).await;
            assert_eq!(found, Ok(values(ids, 0)));
            assert_eq!(how.count(Outcome::Hit), 5_000);
            // Four with as many as leave at once, and some for those that follow.
            let reads = commands.counts().await.get("mget").copied();
            assert!((5..100).contains(&reads.unwrap_or(0)), "{reads:?}");
        };
        cache.scope(story).await;
    }

    #[tokio::test]
    async fn other_calls_go_on_beside_a_large_batch() {
        let of = Rows::default();
        let server = RedisServer::start().await;
        let cache = patient_cache_at(&server.url()).await;
        let story = async {
            let ids: Vec<u64> = (0..2_000).collect();
            rows(&of, &ids).await.expect("rows");
            let singles = async {
                for id in 0..500 {
                    assert_eq!(row(&of, id).await, Ok(id * 10));
                }
            };
            let batches = async {
                for _ in 0..20 {
                    assert_eq!(rows(&of, &ids).await.map(|found| found.len()), Ok(2_000));
                }
            };
            within("both end", async { join!(singles, batches) }).await;
            assert_eq!(of.asked().len(), 1, "nothing was loaded but at first");
        };
        cache.scope(story).await;
    }

    #[tokio::test]
    async fn a_batch_dropped_anywhere_leaves_nothing_to_wait_for() {
        let of = Rows::slow(1);
        let server = RedisServer::start().await;
        let cache = patient_cache_at(&server.url()).await;
        let story = async {
            let mut id = 0;
            for turns in 0..40 {
                let ids = [id, id + 1, id + 2];
                id += 3;
                let dropped = briefly(turns, rows(&of, &ids)).await;
                if let Some(found) = dropped {
                    assert_eq!(found, Ok(values(ids, 0)));
                }
                let (found, how) = outcomes(rows(&of, &ids)).await;
                assert_eq!(found, Ok(values(ids, 0)));
                let waited = how.count(Outcome::NotStored(NotStored::Leased));
                assert_eq!(waited, 0, "after {turns} turns: {how:?}");
                assert_eq!(rows(&of, &ids).await, Ok(values(ids, 0)));
            }
        };
        within("no lease is waited for", cache.scope(story)).await;
    }

    #[tokio::test]
    async fn without_redis_the_origin_is_asked_for_all() {
        let of = Rows::default();
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let cache = cache_at(&proxy.url()).await;
        let story = async {
            rows(&of, &[1, 2]).await.expect("rows");
            of.asked();
            proxy.set(support::Mode::Refuse);
            for _ in 0..3 {
                assert_eq!(rows(&of, &[1, 2, 3]).await, Ok(values([1, 2, 3], 0)));
            }
            assert_eq!(of.asked(), [[1, 2, 3]; 3]);
            proxy.set(support::Mode::Hang);
            assert_eq!(rows(&of, &[1, 2, 3]).await, Ok(values([1, 2, 3], 0)));
            assert_eq!(of.asked(), [[1, 2, 3]]);
            proxy.set(support::Mode::Forward);
            eventually("hits are back", async || {
                let (found, how) = outcomes(rows(&of, &[1, 2])).await;
                assert_eq!(found, Ok(values([1, 2], 0)));
                (how.count(Outcome::Hit) == 2).then_some(())
            })
            .await;
        };
        within("nobody waits for Redis", cache.scope(story)).await;
    }

    /// One run of the body, as if there were no cache.
    #[tokio::test]
    async fn without_redis_the_origin_is_asked_for_any_number_at_once() {
        let of = Rows::slow(1);
        let server = RedisServer::stopped(&[]);
        let cache = cache_at(&server.url()).await;
        let ids: Vec<u64> = (0..5_000).collect();
        cache.scope(rows(&of, &ids)).await.expect("rows");
        assert_eq!(of.asked(), [ids]);
    }

    #[tokio::test]
    async fn what_is_left_is_loaded_together_when_redis_hangs_meanwhile() {
        let of = Rows::slow(50);
        let server = RedisServer::start().await;
        let proxy = Proxy::start(server.port());
        let builder = Cache::builder().url(proxy.url());
        let policy = Policy::DEFAULT.timeout(Duration::from_secs(2));
        let cache = builder.policy(policy).build().await.expect("a cache");
        let ids: Vec<u64> = (0..12_000).collect();
        let hang = async {
            eventually("a load", async || {
                (!of.asked.lock().expect("no panic").is_empty()).then_some(())
            })
            .await;
            proxy.set(support::Mode::Hang);
        };
        let (found, ()) = join!(cache.scope(rows(&of, &ids)), hang);
        assert_eq!(found, Ok(values(ids, 0)));
        let asked: Vec<_> = of.asked().iter().map(Vec::len).collect();
        assert_eq!(asked, [10_000, 2_000]);
    }

    #[tokio::test]
    async fn what_others_have_leased_for_too_long_is_loaded_at_once() {
        const HASTY: Policy = PATIENT.wait(Duration::from_millis(200));
        #[cached(ttl = 300, key = "hasty:{id}", skip(of), policy = HASTY, each(id in ids))]
        async fn hasty(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
            of.load(ids.iter().copied()).await
        }

        let (of, hangs) = (Rows::default(), Rows::slow(60_000));
        let server = RedisServer::start().await;
        let one = patient_cache_at(&server.url()).await;
        let two = patient_cache_at(&server.url()).await;
        let ids: Vec<u64> = (0..1_900).collect();
        let (first, second) = ids.split_at(950);
        let hanging = one.scope(async { join!(hasty(&hangs, first), hasty(&hangs, second)) });
        let story = async {
            eventually("all are leased", async || {
                (hangs.asked.lock().expect("no panic").len() == 2).then_some(())
            })
            .await;
            two.scope(hasty(&of, &ids)).await.expect("rows");
            let asked: Vec<_> = of.asked().iter().map(Vec::len).collect();
            assert_eq!(asked, [ids.len()]);
        };
        tokio::select! {
            _ = hanging => {}
            () = story => {}
        }
    }

    /// The time of a step is that of so many reads, and others read in between.
    #[tokio::test]
    async fn only_so_many_reads_leave_at_once() {
        let of = Rows::default();
        let server = RedisServer::start().await;
        let cache = patient_cache_at(&server.url()).await;
        let story = async {
            rows(&of, &[1]).await.expect("rows");
            let mut commands = server.commands().await;
            let ids: Vec<u64> = (0..10_000).collect();
            assert_eq!(briefly(0, rows(&of, &ids)).await, None);
            assert_eq!(row(&of, 1).await, Ok(10));
            // The one that was alone may have met a probe.
            let reads = commands.counts().await.get("mget").copied();
            assert!((4..=5).contains(&reads.unwrap_or(0)), "{reads:?}");
        };
        cache.scope(story).await;
    }

    #[tokio::test]
    async fn copies_in_the_process_serve_ids_of_a_batch() {
        #[cached(ttl = 300, key = "near:{id}", skip(of), near, each(id in ids))]
        async fn near(of: &Rows, ids: &[u64]) -> Result<HashMap<u64, u64>, Failed> {
            of.load(ids.iter().copied()).await
        }

        let of = Rows::default();
        let server = RedisServer::start().await;
        let cache = patient_cache_at(&server.url()).await;
        let story = async {
            eventually("copies serve", async || {
                let (found, how) = outcomes(near(&of, &[1, 2, 1])).await;
                assert_eq!(found, Ok(values([1, 2], 0)));
                (how.count(Outcome::Near) == 2).then_some(())
            })
            .await;
            let mut commands = server.commands().await;
            for _ in 0..10 {
                near(&of, &[2, 1]).await.expect("rows");
            }
            let counts = commands.counts().await;
            assert_eq!(counts.get("mget").or(counts.get("get")), None, "{counts:?}");
            let (found, how) = outcomes(near(&of, &[1, 2, 3])).await;
            assert_eq!(found, Ok(values([1, 2, 3], 0)));
            assert_eq!(how.of(near_entry(3).key()), Some(Outcome::Loaded));
            assert_eq!(how.of(near_entry(2).key()), Some(Outcome::Near));

            of.version.store(1, SeqCst);
            near_entry(1).invalidate().await.expect("a store");
            let (found, how) = outcomes(near(&of, &[1, 2])).await;
            assert_eq!(found, Ok([(1, 11), (2, 20)].into()));
            assert_eq!(how.of(near_entry(1).key()), Some(Outcome::Loaded));
            let (found, _) = outcomes(refresh(near(&of, &[2]))).await;
            assert_eq!(found, Ok([(2, 21)].into()));
        };
        cache.scope(story).await;
    }

    #[tokio::test]
    async fn two_processes_load_each_id_once() {
        let of = Rows::slow(100);
        let server = RedisServer::start().await;
        let one = patient_cache_at(&server.url()).await;
        let two = patient_cache_at(&server.url()).await;
        let (first, second) = join!(
            one.scope(outcomes(rows(&of, &[1, 2, 3, 4]))),
            two.scope(outcomes(rows(&of, &[4, 3, 5, 6]))),
        );
        assert_eq!(first.0, Ok(values([1, 2, 3, 4], 0)));
        assert_eq!(second.0, Ok(values([3, 4, 5, 6], 0)));
        let mut asked = of.asked().concat();
        asked.sort_unstable();
        assert_eq!(asked, [1, 2, 3, 4, 5, 6]);
        let joined = first.1.count(Outcome::Joined) + second.1.count(Outcome::Joined);
        assert_eq!(joined, 2);
    }
}
