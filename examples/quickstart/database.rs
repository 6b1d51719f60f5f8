//! A SQLite database with 200,000 users and their visits, made on the first run.
//!
//! There is no index on what the example asks for, as in many a database that grew.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io, process};

use rusqlite::{Connection, OpenFlags, params};

/// How many users and visits a new database has.
pub const USERS: i64 = 200_000;
pub const VISITS: i64 = 250_000;

/// All rows of a new database.
pub const ROWS: u64 = (USERS + VISITS).cast_unsigned();

/// Stored in the file: which program it belongs to, and how it is laid out.
const APPLICATION: i64 = 0x6361_6368;
const LAYOUT: i64 = 1;

const FIRST_NAMES: [&str; 12] = [
    "Ana", "Bela", "Chen", "Dario", "Elif", "Femi", "Goro", "Hana", "Ines", "Jonas", "Kofi", "Lena",
];
const LAST_NAMES: [&str; 11] = [
    "Almeida", "Baker", "Costa", "Diallo", "Eriksen", "Fischer", "Gupta", "Horvat", "Ito",
    "Jansen", "Kaya",
];
const CITIES: [&str; 13] = [
    "Accra",
    "Berlin",
    "Cairo",
    "Delhi",
    "Edinburgh",
    "Fukuoka",
    "Genoa",
    "Hanoi",
    "Istanbul",
    "Jakarta",
    "Kyoto",
    "Lisbon",
    "Porto",
];

/// Where the database is. Each piece of work opens it anew on a thread for blocking work: SQLite
/// would block the threads that run everything else.
#[derive(Debug, Clone)]
pub struct Database {
    file: PathBuf,
}

/// What can go wrong in SQLite or around it.
#[derive(Debug, Clone)]
pub struct DatabaseError(String);

impl Database {
    /// Opens the database, making it first if it is not there; `progress` hears of rows done.
    ///
    /// The file is named by `CACHE_EXAMPLE_DB`, otherwise it lies in `examples/data`.
    pub async fn open(progress: impl Fn(u64) + Send + 'static) -> Result<Self, DatabaseError> {
        let file = env::var_os("CACHE_EXAMPLE_DB").map_or_else(default_file, PathBuf::from);
        blocking(move || {
            if !is_ready(&file)? {
                make(&file, progress)?;
            }
            Ok(Self { file })
        })
        .await
    }

    /// Runs `work` on the database.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let file = self.file.clone();
        blocking(move || {
            let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            // Another run of this example may be writing.
            connection.busy_timeout(Duration::from_secs(30))?;
            Ok(work(&connection)?)
        })
        .await
    }

    pub fn file(&self) -> &Path {
        &self.file
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panicked) => Err(DatabaseError(panicked.to_string())),
    }
}

fn default_file() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let folder = match fs::create_dir_all(&folder) {
        Ok(()) => folder,
        Err(_) => env::temp_dir(),
    };
    folder.join("quickstart.sqlite")
}

/// Whether there is a database of this layout. A file of somebody else's is left alone.
fn is_ready(file: &Path) -> Result<bool, DatabaseError> {
    if !file.exists() {
        return Ok(false);
    }
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id").ok() != Some(APPLICATION) {
        let file = file.display();
        return Err(DatabaseError(format!(
            "{file} is not this example's database"
        )));
    }
    Ok(pragma("user_version")? == LAYOUT)
}

/// Fills a file of our own and moves it into place when it is whole, so that an interrupted run
/// leaves nothing half-done and two runs at once do not meet.
fn make(file: &Path, progress: impl Fn(u64)) -> Result<(), DatabaseError> {
    let draft = file.with_extension(format!("draft-{}", process::id()));
    remove(&draft)?;
    let filled = fill(&draft, progress);
    let moved = filled.and_then(|()| Ok(fs::rename(&draft, file)?));
    if moved.is_err() {
        remove(&draft)?;
    }
    moved
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn fill(file: &Path, progress: impl Fn(u64)) -> Result<(), DatabaseError> {
    let mut connection = Connection::open(file)?;
    // Nobody else knows of the file yet, and half of it is worth nothing.
    connection.execute_batch(
        "PRAGMA journal_mode = OFF;
         PRAGMA synchronous = OFF;
         CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
         CREATE TABLE visits (user_id INTEGER NOT NULL, pages INTEGER NOT NULL);",
    )?;
    let transaction = connection.transaction()?;
    {
        let mut user =
            transaction.prepare("INSERT INTO users (id, name, city) VALUES (?1, ?2, ?3)")?;
        for id in 1..=USERS {
            let name = format!("{} {}", pick(&FIRST_NAMES, id), pick(&LAST_NAMES, id));
            user.execute(params![id, name, pick(&CITIES, id)])?;
            progress(id.cast_unsigned());
        }
        let mut visit =
            transaction.prepare("INSERT INTO visits (user_id, pages) VALUES (?1, ?2)")?;
        for number in 1..=VISITS {
            let pages = 1 + scatter(number, 1) % 100;
            visit.execute(params![1 + scatter(number, 2) % USERS, pages])?;
            progress((USERS + number).cast_unsigned());
        }
    }
    transaction.commit()?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", LAYOUT)?;
    Ok(())
}

fn pick(words: &[&'static str], id: i64) -> &'static str {
    let at = usize::try_from(scatter(id, 3)).unwrap_or_default() % words.len();
    words.get(at).copied().unwrap_or_default()
}

/// A number that is the same on every machine and has no order that would help (splitmix64).
fn scatter(number: i64, salt: u64) -> i64 {
    let mut x = (number.cast_unsigned() ^ (salt << 48)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x >> 2).cast_signed()
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DatabaseError {}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self(format!("SQLite: {error}"))
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        Self(format!("the database file: {error}"))
    }
}
