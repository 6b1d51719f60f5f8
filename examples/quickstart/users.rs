//! The application: a slow look-up and two writes. What the example is about is in the attributes.

use cache_runtime::{cached, invalidates, updates};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub pages: i64,
}

/// The five most active users of a city, asked of SQLite each time.
pub async fn users_uncached(db: &Database, city: &str) -> Result<Vec<User>, DatabaseError> {
    let city = city.to_owned();
    db.run(move |sqlite| most_active(sqlite, &city)).await
}

/// The same, asked of SQLite once in five minutes.
#[cached(ttl = 300, key = "users:{city}", skip(db))]
pub async fn users(db: &Database, city: &str) -> Result<Vec<User>, DatabaseError> {
    users_uncached(db, city).await
}

/// Deletes a user; the city's entry goes with it.
#[invalidates(users(city))]
pub async fn delete_user(db: &Database, city: &str, id: i64) -> Result<(), DatabaseError> {
    db.run(move |sqlite| sqlite.execute("DELETE FROM users WHERE id = ?1", [id]))
        .await?;
    Ok(())
}

/// Renames a user and returns the city's new list, which becomes the entry.
#[updates(users(city))]
pub async fn rename_user(
    db: &Database,
    city: &str,
    id: i64,
    name: &str,
) -> Result<Vec<User>, DatabaseError> {
    let (city, name) = (city.to_owned(), name.to_owned());
    db.run(move |sqlite| {
        sqlite.execute(
            "UPDATE users SET name = ?2 WHERE id = ?1",
            params![id, name],
        )?;
        most_active(sqlite, &city)
    })
    .await
}

/// Reads both tables from end to end.
fn most_active(sqlite: &Connection, city: &str) -> rusqlite::Result<Vec<User>> {
    let mut query = sqlite.prepare(
        "SELECT users.id, users.name, SUM(visits.pages) AS pages
         FROM users JOIN visits ON visits.user_id = users.id
         WHERE users.city = ?1
         GROUP BY users.id ORDER BY pages DESC, users.id LIMIT 5",
    )?;
    let rows = query.query_map([city], |row| {
        Ok(User {
            id: row.get(0)?,
            name: row.get(1)?,
            pages: row.get(2)?,
        })
    })?;
    rows.collect()
}
