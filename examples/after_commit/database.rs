//! A SQLite database of a shop, in a file for the time of the story.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, process};

use rusqlite::{Connection, Params};

use crate::Result;
use crate::stop::Stop;

/// The only product of the shop.
pub const LAMP: i64 = 1;
/// How many of it there are at first.
pub const PIECES: i64 = 9;

/// Asked in place: it answers in microseconds. Slow work belongs on a thread of its own, as in the
/// quickstart.
pub struct Database {
    file: PathBuf,
    // A second connection, as another process would have it.
    readers: Connection,
    /// Transactions are held up here with everything done but the commit.
    pub before_commit: Stop,
    /// Readers are held up here with the row in their hands, as by a slow network.
    pub after_read: Stop,
}

/// Rolled back when dropped.
pub struct Transaction<'db> {
    db: &'db Database,
    connection: Connection,
}

impl Database {
    pub fn create() -> Result<Self> {
        let file = env::temp_dir().join(format!("after-commit-{}.sqlite", process::id()));
        let _ = fs::remove_file(&file);
        let readers = Connection::open(&file)?;
        readers.execute_batch(
            // So that readers see the last commit while a transaction is open.
            "PRAGMA journal_mode = WAL;
             CREATE TABLE products (id INTEGER PRIMARY KEY, pieces INTEGER NOT NULL);
             CREATE TABLE orders (product INTEGER NOT NULL, pieces INTEGER NOT NULL);",
        )?;
        readers.execute("INSERT INTO products VALUES (?1, ?2)", [LAMP, PIECES])?;
        Ok(Self {
            file,
            readers,
            before_commit: Stop::default(),
            after_read: Stop::default(),
        })
    }

    /// How many pieces there are, by the last commit.
    pub fn committed(&self, product: i64) -> rusqlite::Result<i64> {
        let query = "SELECT pieces FROM products WHERE id = ?1";
        self.readers.query_row(query, [product], |row| row.get(0))
    }

    /// The same, for a reader who may be slow.
    pub async fn read(&self, product: i64) -> rusqlite::Result<i64> {
        let pieces = self.committed(product);
        self.after_read.pass().await;
        pieces
    }

    pub fn begin(&self) -> rusqlite::Result<Transaction<'_>> {
        let connection = Connection::open(&self.file)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Transaction {
            db: self,
            connection,
        })
    }
}

impl Transaction<'_> {
    pub fn execute(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<()> {
        self.connection.execute(sql, parameters).map(drop)
    }

    pub async fn commit(self) -> rusqlite::Result<()> {
        self.db.before_commit.pass().await;
        self.connection.execute_batch("COMMIT")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = self.file.clone().into_os_string();
            file.push(suffix);
            let _ = fs::remove_file(file);
        }
    }
}
