//! The application: one look-up, and the same write with the attribute in two places.

use cache_runtime::{cached, invalidates};

use crate::database::{Database, Transaction};

/// How many pieces of a product there are to sell.
#[cached(ttl = 300, key = "after-commit:stock:{product}", skip(db))]
pub async fn stock(db: &Database, product: i64) -> rusqlite::Result<i64> {
    db.read(product).await
}

/// The wrong way: the attribute is on a function inside the transaction.
pub mod too_early {
    use super::*;

    pub async fn place_order(db: &Database, product: i64, pieces: i64) -> rusqlite::Result<()> {
        let transaction = db.begin()?;
        note_order(&transaction, product, pieces)?;
        take_from_stock(&transaction, product, pieces).await?;
        transaction.commit().await
    }

    // Deletes the entry when it returns. But the row changes when its caller commits.
    #[invalidates(stock(product))]
    async fn take_from_stock(
        transaction: &Transaction<'_>,
        product: i64,
        pieces: i64,
    ) -> rusqlite::Result<()> {
        lower_stock(transaction, product, pieces)
    }
}

/// The right way: the attribute is on the function that commits.
pub mod after_commit {
    use super::*;

    #[invalidates(stock(product))]
    pub async fn place_order(db: &Database, product: i64, pieces: i64) -> rusqlite::Result<()> {
        let transaction = db.begin()?;
        note_order(&transaction, product, pieces)?;
        lower_stock(&transaction, product, pieces)?;
        transaction.commit().await
    }
}

fn note_order(transaction: &Transaction<'_>, product: i64, pieces: i64) -> rusqlite::Result<()> {
    transaction.execute("INSERT INTO orders VALUES (?1, ?2)", [product, pieces])
}

fn lower_stock(transaction: &Transaction<'_>, product: i64, pieces: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE products SET pieces = pieces - ?2 WHERE id = ?1";
    transaction.execute(sql, [product, pieces])
}
