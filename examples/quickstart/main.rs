//! A slow look-up in a real database, without and with `#[cached]`.
//!
//! ```sh
//! cargo run --release --example quickstart
//! CACHE_URL=redis://127.0.0.1 cargo run --release --example quickstart
//! ```
//!
//! Read `users.rs` first: that is what an application writes. `database.rs` makes the database,
//! `measure.rs` takes the times, `report.rs` prints.

#![expect(
    unreachable_pub,
    reason = "`pub` reads better than `pub(crate)` in an example"
)]

mod database;
mod measure;
mod report;
mod users;

use std::error::Error;
use std::process::ExitCode;

use cache_runtime::{Cache, outcome};
use indicatif::ProgressBar;

use database::Database;
use measure::{Outcomes, sample, timed};
use users::{User, delete_user, rename_user, users, users_entry, users_uncached};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match tell().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn tell() -> Result {
    let db = prepare_database().await?;
    report::introduction(&db);
    prepare_cache().await?;
    compare(&db).await?;
    write(&db).await?;
    stampede(&db).await
}

async fn prepare_database() -> Result<Database> {
    let bar = ProgressBar::new(database::ROWS).with_style(report::bar_style()?);
    let progress = bar.clone();
    let db = Database::open(move |rows| progress.set_position(rows)).await?;
    bar.finish_and_clear();
    Ok(db)
}

/// Nothing needs to be initialised. This says which store is in use, and drops what an earlier run
/// may have left in Redis: an entry is reached without the database that fills it.
async fn prepare_cache() -> Result {
    let answered = Cache::from_env()?.ping().await;
    report::store(&answered);
    if answered.is_ok() {
        users_entry("Lisbon").invalidate().await?;
        users_entry("Porto").invalidate().await?;
    }
    Ok(())
}

/// The same look-up, not annotated and annotated.
async fn compare(db: &Database) -> Result {
    let mut bare = async || users_uncached(db, "Lisbon").await.map(|_| None);
    let bare = [sample(1, &mut bare).await?, sample(5, &mut bare).await?];

    let mut cached = async || {
        let (users, outcome) = outcome(users(db, "Lisbon")).await;
        users.map(|_| Some(outcome))
    };
    let cached = [
        sample(1, &mut cached).await?,
        sample(1000, &mut cached).await?,
    ];
    report::comparison(&bare, &cached);
    Ok(())
}

/// What becomes of the entry when the application writes.
async fn write(db: &Database) -> Result {
    report::headline("Then the application writes, and readers see it at once:");
    let top = top_user(db).await?;
    let deleted = timed(delete_user(db, "Lisbon", top.id)).await;
    deleted.output?;
    let call = format!("delete_user({:?})", top.name);
    report::step(&call, deleted.took, "#[invalidates] drops the entry");

    let top = top_user(db).await?;
    let renamed = timed(rename_user(db, "Lisbon", top.id, "Ada Lovelace")).await;
    renamed.output?;
    let call = format!("rename_user({:?})", top.name);
    report::step(&call, renamed.took, "#[updates] stores the new list");

    top_user(db).await?;
    Ok(())
}

async fn top_user(db: &Database) -> Result<User> {
    let call = timed(outcome(users(db, "Lisbon"))).await;
    let (users, outcome) = call.output;
    let top = users?.into_iter().next();
    let top = top.ok_or("Lisbon has lost all its users: delete the database file to begin anew")?;
    let what = format!("{outcome}: the top user is {}", top.name);
    report::step("users(\"Lisbon\")", call.took, &what);
    Ok(top)
}

/// Many callers of an entry that is not there yet.
async fn stampede(db: &Database) -> Result {
    report::headline("And 100 callers at once ask for Porto, which nobody has asked for yet:");
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move { outcome(users(&db, "Porto")).await })
        })
        .collect();
    let all = timed(async {
        let mut outcomes = Outcomes::default();
        for caller in callers {
            let (users, outcome) = caller.await?;
            users?;
            outcomes.0.push(outcome);
        }
        Result::Ok(outcomes)
    });
    let all = all.await;
    report::step("users(\"Porto\")", all.took, &all.output?.to_string());
    Ok(())
}
