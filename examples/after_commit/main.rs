//! Why an invalidation belongs after the commit: a transaction over two tables, once with the
//! attribute inside the transaction and once on the function that commits.
//!
//! ```sh
//! cargo run --example after_commit
//! CACHE_URL=redis://127.0.0.1 cargo run --example after_commit
//! ```
//!
//! Read `orders.rs` first: that is what an application writes. `stop.rs` holds tasks up, so that
//! what is a matter of luck in production happens here each time. The exit code is 1 if it does
//! not.

#![expect(
    unreachable_pub,
    reason = "`pub` reads better than `pub(crate)` in an example"
)]

mod database;
mod orders;
mod report;
mod stop;

use std::error::Error;
use std::process::ExitCode;

use cache_runtime::{NotStored, Outcome, outcome};
use tokio::join;
use tokio::sync::oneshot;

use database::{Database, LAMP, PIECES};
use orders::{after_commit, stock, stock_entry, too_early};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Pieces in each order.
const ORDERED: i64 = 2;

#[tokio::main(flavor = "current_thread")]
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
    // What an earlier run may have left in Redis.
    stock_entry(LAMP).invalidate().await?;
    let db = Database::create()?;
    wrong(&db).await?;
    stock_entry(LAMP).invalidate().await?;
    right(&db).await?;
    stock_entry(LAMP).invalidate().await?;
    slow_reader(&db).await?;
    stock_entry(LAMP).invalidate().await?;
    Ok(())
}

/// The attribute inside the transaction: a reader between the deletion and the commit loads the row
/// as it was, and stores it.
async fn wrong(db: &Database) -> Result {
    report::headline("The wrong way: #[invalidates] on a function inside the transaction");
    let before = PIECES;
    reads(db, before, Outcome::Loaded, "").await?;

    let mut commit = db.before_commit.set();
    let writer = too_early::place_order(db, LAMP, ORDERED);
    let reader = async move {
        commit.reached().await?;
        report::wrote("both tables written, the entry is deleted", "not committed");
        let remark = "the row as it was, stored for 300 s";
        reads(db, before, Outcome::Loaded, remark).await?;
        commit.release();
        Result::Ok(())
    };
    let (written, read) = join!(writer, reader);
    read?;
    written?;
    let after = before - ORDERED;
    report::wrote("committed", &the_database_says(db, after)?);
    reads(db, before, Outcome::Hit, "stale, until the ttl is over").await
}

/// The attribute on the function that commits: what readers store before the commit is deleted
/// after it.
async fn right(db: &Database) -> Result {
    report::headline("The right way: #[invalidates] on the function that commits");
    let before = PIECES - ORDERED;

    let mut commit = db.before_commit.set();
    let writer = after_commit::place_order(db, LAMP, ORDERED);
    let reader = async move {
        commit.reached().await?;
        report::wrote("both tables written", "not committed");
        let remark = "the row as it was, which is right so far";
        reads(db, before, Outcome::Loaded, remark).await?;
        commit.release();
        Result::Ok(())
    };
    let (written, read) = join!(writer, reader);
    read?;
    written?;
    let after = before - ORDERED;
    let says = the_database_says(db, after)?;
    report::wrote("committed, then the entry is deleted", &says);
    reads(db, after, Outcome::Loaded, "as the database says").await
}

/// The same with a reader who has read before the commit, and would store after the deletion.
async fn slow_reader(db: &Database) -> Result {
    report::headline("And if the reader is so slow that it would store after the deletion");
    let before = PIECES - 2 * ORDERED;
    let after = before - ORDERED;

    let mut commit = db.before_commit.set();
    let mut answer = db.after_read.set();
    let (acknowledge, acknowledged) = oneshot::channel();
    let writer = async move {
        after_commit::place_order(db, LAMP, ORDERED).await?;
        let says = the_database_says(db, after)?;
        report::wrote("committed, then the entry is deleted", &says);
        let _ = acknowledge.send(());
        Result::Ok(())
    };
    let reader = async move {
        commit.reached().await?;
        report::wrote("both tables written", "not committed");
        let in_between = async move {
            answer.reached().await?;
            println!("  reader   has read {before}, and is held up");
            commit.release();
            acknowledged.await?;
            answer.release();
            Result::Ok(())
        };
        let fenced = Outcome::NotStored(NotStored::Fenced);
        let remark = "it asked before the commit";
        let (read, told) = join!(reads(db, before, fenced, remark), in_between);
        told.and(read)
    };
    let (written, read) = join!(writer, reader);
    read?;
    written?;
    reads(db, after, Outcome::Loaded, "as the database says").await?;
    report::conclusion("Its lease was deleted with the entry, so its value was not stored.");
    Ok(())
}

/// One call, which is to be served like this.
async fn reads(db: &Database, expected: i64, served: Outcome, remark: &str) -> Result {
    let (pieces, how) = outcome(stock(db, LAMP)).await;
    let pieces = pieces?;
    report::read(pieces, how, remark);
    match (pieces, how) == (expected, served) {
        true => Ok(()),
        false => Err(format!("expected {expected} ({served}), and got {pieces} ({how})").into()),
    }
}

fn the_database_says(db: &Database, expected: i64) -> Result<String> {
    let pieces = db.committed(LAMP)?;
    match pieces == expected {
        true => Ok(format!("the database says {pieces}")),
        false => Err(format!("the database says {pieces} instead of {expected}").into()),
    }
}
