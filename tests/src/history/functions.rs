//! The annotated functions: the same read under different settings, each with its two writes.
//!
//! Every key of a run belongs to one of the [`Setting`]s, so few keys try them all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cache_runtime::{Cache, CacheError, Policy, cached, invalidates, updates};

use super::database::{Database, Down, Row, Write};
use super::log::Caller;

/// Short, so that slow loads have to renew it.
pub(super) const LEASE: Duration = Duration::from_millis(100);

const POLICY: Policy = Policy::DEFAULT.lease(LEASE);

/// An error that cannot be shared with those who wait for the load.
#[derive(Debug)]
struct DownAlone;

impl From<Down> for DownAlone {
    fn from(Down: Down) -> Self {
        Self
    }
}

fn keeps(row: &Option<Row>) -> bool {
    row.is_none_or(|row| row.keep)
}

macro_rules! settings {
    (|$key:ident| $($(#[doc = $doc:literal])* $name:ident: $module:ident, $error:ident, ($($settings:tt)*), ($($outdated:tt)*);)*) => {
        /// The settings of an annotated function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Setting {
            $($(#[doc = $doc])* $name,)*
        }

        const SETTINGS: &[Setting] = &[$(Setting::$name),*];

        $(mod $module {
            use super::*;

            #[cached(skip(database, by), cache_if = keeps, policy = POLICY, $($settings)*)]
            pub(super) async fn read(
                database: &Arc<Database>,
                by: Caller,
                $key: usize,
            ) -> Result<Option<Row>, $error> {
                let row = database.read(by, $key).await?;
                Ok(row)
            }

            #[updates(read($key))]
            pub(super) async fn update(
                database: &Arc<Database>,
                write: &Write,
                $key: usize,
            ) -> Result<Option<Row>, $error> {
                Ok(Some(database.write(write, $key).await?))
            }

            #[invalidates($($outdated)*)]
            pub(super) async fn remove(
                database: &Arc<Database>,
                write: &Write,
                $key: usize,
            ) -> Result<(), $error> {
                database.write_without_value(write, $key).await?;
                Ok(())
            }
        })*

        /// Reads through the cache.
        pub(super) async fn read(
            database: &Arc<Database>,
            by: Caller,
            key: usize,
        ) -> Result<Option<Row>, Down> {
            match of(key) {
                $(Setting::$name => $module::read(database, by, key).await.map_err(|_| Down),)*
            }
        }

        /// Writes, and writes through.
        pub(super) async fn update(
            database: &Arc<Database>,
            write: &Write,
            key: usize,
        ) -> Result<Option<Row>, Down> {
            match of(key) {
                $(Setting::$name => $module::update(database, write, key).await.map_err(|_| Down),)*
            }
        }

        /// Writes, and invalidates.
        pub(super) async fn remove(
            database: &Arc<Database>,
            write: &Write,
            key: usize,
        ) -> Result<(), Down> {
            match of(key) {
                $(Setting::$name => $module::remove(database, write, key).await.map_err(|_| Down),)*
            }
        }

        /// What the store holds.
        pub(super) async fn peek(key: usize) -> Result<Option<Row>, CacheError> {
            match of(key) {
                $(Setting::$name => Ok($module::read_entry(key).peek().await?.flatten()),)*
            }
        }

        /// Ends the freshness of what the store holds.
        pub(super) async fn expire(key: usize) -> Result<(), CacheError> {
            match of(key) {
                $(Setting::$name => $module::read_entry(key).expire().await,)*
            }
        }

        /// Invalidates by the entry, or by the tag that only this entry has.
        pub(super) async fn invalidate(key: usize) -> Result<(), CacheError> {
            if is_on_shelf(key) {
                return Cache::current().invalidate_tag(&format!("row:{key}")).await;
            }
            match of(key) {
                $(Setting::$name => $module::read_entry(key).invalidate().await,)*
            }
        }
    };
}

settings! {
    |key|
    /// Ends only by invalidations and writes.
    Steady: steady, Down, (ttl = 300), (read(key));
    /// Expires all the time.
    Brief: brief, Down, (ttl = "15ms"), (read(key));
    /// Knows that there is nothing, for a while.
    Negative: negative, Down, (ttl = "25ms", none_ttl = "10ms"), (read(key));
    /// Its failures cannot be shared.
    Alone: alone, DownAlone, (ttl = "40ms"), (read(key));
    /// Is refreshed in the background.
    Stale: stale, Down, (ttl = "10ms", stale_while_revalidate = "30ms"), (read(key));
    /// Outlives failures.
    Spare: spare, DownAlone, (ttl = "10ms", stale_if_error = "60ms"), (read(key));
    /// Both, one after the other.
    Both: both, Down, (ttl = "10ms", stale_while_revalidate = "15ms", stale_if_error = "60ms"), (read(key));
    /// Ends by its tags.
    Tagged: tagged, Down, (ttl = 300, tags("row:{key}", "shelf")), (tag("row:{key}"));
    /// Is old most of the time, as long as its tags are what they were.
    TaggedStale: tagged_stale, DownAlone, (
        ttl = "10ms", stale_while_revalidate = "15ms", stale_if_error = "60ms",
        tags("shelf", "row:{key}")
    ), (tag("row:{key}"));
    /// Has copies in each process.
    Near: near, Down, (ttl = 300, near), (read(key));
    /// Has copies that end by its tags too.
    NearTagged: near_tagged, Down, (ttl = "60ms", near, tags("row:{key}", "shelf")), (tag("row:{key}"));
    /// Is read alone, and by many at once.
    Many: many, Down, (ttl = "40ms", key = "many:{key}"), (read(key));
}

/// Reads several keys at once, each for a caller of its own. The entries are those of `many`.
#[cached(
    ttl = "40ms",
    key = "many:{key}",
    skip(database, callers),
    cache_if = keeps,
    policy = POLICY,
    each(key in keys)
)]
pub(super) async fn read_all(
    database: &Arc<Database>,
    callers: &[Caller],
    keys: &[usize],
) -> Result<HashMap<usize, Option<Row>>, Down> {
    let mut rows = Vec::new();
    for by in callers.iter().filter(|by| keys.contains(&by.key)) {
        rows.push((by.key, database.read(*by, by.key).await));
    }
    // One that fails is the failure of all.
    let rows = rows.into_iter();
    rows.map(|(key, row)| row.map(|row| (key, row))).collect()
}

/// The key of an entry that `read_all` reads.
pub(super) fn key_of_many(key: usize) -> String {
    read_all_entry(key).key().to_owned()
}

/// Whether the key is read by many at once too.
pub(super) fn is_many(key: usize) -> bool {
    of(key) == Setting::Many
}

/// Whether a run of all settings uses the key: one of each, and several that can be read at once.
pub(super) fn is_of_all(key: usize) -> bool {
    key < SETTINGS.len() || is_many(key)
}

fn of(key: usize) -> Setting {
    let setting = SETTINGS.get(key % SETTINGS.len());
    setting.copied().unwrap_or(Setting::Steady)
}

/// Whether the entry has the tag that several have.
pub(super) fn is_on_shelf(key: usize) -> bool {
    matches!(
        of(key),
        Setting::Tagged | Setting::TaggedStale | Setting::NearTagged
    )
}

/// Whether the changes of other processes may be noticed a little later.
pub(super) fn is_near(key: usize) -> bool {
    matches!(of(key), Setting::Near | Setting::NearTagged)
}

/// Invalidates all entries that have it.
pub(super) async fn clear_shelf() -> Result<(), CacheError> {
    Cache::current().invalidate_tag("shelf").await
}
