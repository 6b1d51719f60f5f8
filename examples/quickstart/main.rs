//! A slow look-up in a real database, without and with `#[cached]`.
//!
//! ```sh
//! cargo run --release --example quickstart
//! CACHE_URL=redis://127.0.0.1 cargo run --release --example quickstart
//! ```
//!
//! Read `users.rs` first: that is all an application writes. `database.rs` makes the database,
//! `measure.rs` and `report.rs` take the times and print them.

mod database;
mod measure;
mod report;
mod users;

use std::error::Error;
use std::time::{Duration, Instant};

use cache_runtime::outcome;
use indicatif::ProgressBar;

use database::Database;
use measure::{Outcomes, Timed, median, timed};
use report::Step;
use users::{User, delete_user, rename_user, users, users_entry, users_uncached};

/// Slow calls are repeated a few times only, fast ones more often.
const SLOW_CALLS: usize = 5;
const FAST_CALLS: usize = 1000;
/// Where there is no cache (Redis is down), fast calls are slow: then fewer will do.
const LONGEST: Duration = Duration::from_secs(3);
const CALLERS: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let db = prepare().await?;
    report::introduction(&db).await;
    // With Redis, entries of an earlier run may still be there. No database is needed for this.
    for city in ["Lisbon", "Porto"] {
        if let Err(error) = users_entry(city).invalidate().await {
            println!("The entry of an earlier run may still be there: {error}.");
        }
    }
    compare(&db).await?;
    write(&db).await?;
    stampede(&db).await?;
    Ok(())
}

async fn prepare() -> Result<Database, Box<dyn Error>> {
    let bar = ProgressBar::new(database::ROWS);
    bar.set_style(report::bar_style()?);
    let progress = bar.clone();
    let db = Database::open(move |rows| progress.set_position(rows)).await?;
    bar.finish_and_clear();
    Ok(db)
}

/// The same look-up, not annotated and annotated.
async fn compare(db: &Database) -> Result<(), Box<dyn Error>> {
    let bare_first = timed(users_uncached(db, "Lisbon")).await;
    let mut bare = Vec::new();
    for _ in 0..SLOW_CALLS {
        bare.push(timed(users_uncached(db, "Lisbon")).await.took);
    }

    let first = timed(outcome(users(db, "Lisbon"))).await;
    let mut later = Vec::new();
    let mut outcomes = Outcomes::default();
    let start = Instant::now();
    while later.len() < FAST_CALLS && start.elapsed() < LONGEST {
        let call = timed(outcome(users(db, "Lisbon"))).await;
        outcomes.count(call.output.1);
        later.push(call.took);
    }

    report::Comparison {
        bare_first: bare_first.took,
        bare_later: median(bare),
        first: first.took,
        later: median(later),
        outcomes: (first.output.1, outcomes),
    }
    .print(SLOW_CALLS, FAST_CALLS);
    bare_first.output?;
    first.output.0?;
    Ok(())
}

/// What happens to the entry when the application writes.
async fn write(db: &Database) -> Result<(), Box<dyn Error>> {
    report::headline("Then the application writes:");
    let before = users(db, "Lisbon").await?;
    let Some(best) = before.first() else {
        return Err("Lisbon has lost all its users: delete the database file to begin anew".into());
    };

    let deleted = timed(delete_user(db, "Lisbon", best.id)).await;
    deleted.output?;
    Step::write(
        "delete_user",
        &best.name,
        deleted.took,
        "#[invalidates] drops the entry",
    )
    .print();
    let next = look_up(db).await?;

    let Some(next) = next.first() else {
        return Ok(());
    };
    let renamed = timed(rename_user(db, "Lisbon", next.id, "Ada Lovelace")).await;
    renamed.output?;
    Step::write(
        "rename_user",
        &next.name,
        renamed.took,
        "#[updates] stores the new list",
    )
    .print();
    look_up(db).await?;
    Ok(())
}

async fn look_up(db: &Database) -> Result<Vec<User>, Box<dyn Error>> {
    let Timed {
        output: (list, outcome),
        took,
    } = timed(outcome(users(db, "Lisbon"))).await;
    let list = list?;
    let first = list.first().map_or("nobody", |user| &user.name);
    Step::read("users", "Lisbon", took, outcome, first).print();
    Ok(list)
}

/// Many callers of an entry that is not there yet.
async fn stampede(db: &Database) -> Result<(), Box<dyn Error>> {
    let callers = (0..CALLERS).map(|_| {
        let db = db.clone();
        tokio::spawn(async move { outcome(users(&db, "Porto")).await })
    });
    let callers: Vec<_> = callers.collect();
    let all = timed(async {
        let mut outcomes = Outcomes::default();
        for caller in callers {
            let (list, outcome) = caller.await?;
            list?;
            outcomes.count(outcome);
        }
        Ok::<_, Box<dyn Error>>(outcomes)
    })
    .await;
    report::headline(&format!(
        "And {CALLERS} callers at once ask for Porto, which nobody has asked for:"
    ));
    println!("  {} in {}", all.output?, report::short(all.took));
    Ok(())
}
