//! Whether a database would be written, found out in a transaction that is rolled back.

use std::path::Path;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::database::PostgresDatabase;
use super::fault::Fault;
use super::{PATIENCE, postgres};
use crate::store::StoreError;

/// How long another writer is waited for.
const WAIT: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tables {
    /// They are there.
    Made,
    /// They would be made at the first start.
    ToBeMade,
}

/// An SQLite file that may be missing: then its directory is tried.
pub async fn sqlite(path: &Path) -> Result<Tables, StoreError> {
    let settings = |reason: String| StoreError::Settings {
        store: format!("the SQLite file {}", path.display()),
        reason: format!("{reason} (the file is set by --sqlite-path / SQLITE_PATH, or by DATABASE_URL)"),
    };
    if !path.exists() {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A file without a name: nothing of it stays, whatever happens.
        tempfile::tempfile_in(directory)
            .map_err(|error| settings(format!("no file can be made in {}: {error}", directory.display())))?;
        return Ok(Tables::ToBeMade);
    }
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(false).busy_timeout(WAIT);
    let rehearsed = async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        for statement in ["BEGIN IMMEDIATE", "CREATE TABLE rehearsal (a)", "ROLLBACK"] {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        let made: Option<i64> = sqlx::query_scalar("SELECT 1 FROM sqlite_master WHERE name = 'entries'")
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(if made.is_some() { Tables::Made } else { Tables::ToBeMade })
    };
    rehearsed.await.map_err(|error| settings(error.to_string()))
}

/// A database of a PostgreSQL server. Rights are asked for even where no row is concerned.
pub async fn postgres(database: &PostgresDatabase) -> Result<Tables, StoreError> {
    let mut connection = postgres::connect(database).await?;
    let outcome = tokio::time::timeout(PATIENCE, in_transaction(&mut connection)).await;
    // Whatever came of it: its work is done, and what was not rolled back is so with the connection.
    let _ = connection.close().await;
    let store = database.to_string();
    match outcome {
        Ok(Ok(tables)) => Ok(tables),
        Ok(Err((verb, error))) => Err(match postgres::fault(&error) {
            Fault::Forbidden => {
                StoreError::Permission { store, verb, resource: "its tables".to_owned(), reason: error.to_string() }
            }
            Fault::Unwell(advice) => StoreError::Unavailable { store, reason: format!("{advice} ({error})") },
            _ => StoreError::Unavailable { store, reason: error.to_string() },
        }),
        Err(_) => Err(StoreError::Unavailable { store, reason: "it does not answer".to_owned() }),
    }
}

async fn in_transaction(connection: &mut PgConnection) -> Result<Tables, (&'static str, sqlx::Error)> {
    const WRITES: [(&str, &str); 4] = [
        ("SELECT", "SELECT 1 FROM entries WHERE false"),
        ("INSERT", "INSERT INTO entries SELECT * FROM entries WHERE false"),
        ("UPDATE", "UPDATE entries SET entry_key = entry_key WHERE false"),
        ("DELETE", "DELETE FROM entries WHERE false"),
    ];
    let connecting = |error| ("use", error);
    let mut transaction = connection.begin().await.map_err(connecting)?;
    let made: bool = sqlx::query_scalar("SELECT to_regclass('entries') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await
        .map_err(connecting)?;
    if made {
        for (verb, statement) in WRITES {
            sqlx::query(statement).execute(&mut *transaction).await.map_err(|error| (verb, error))?;
        }
    } else {
        let statement = "CREATE TABLE rehearsal (a integer)";
        sqlx::query(statement).execute(&mut *transaction).await.map_err(|error| ("CREATE", error))?;
    }
    transaction.rollback().await.map_err(connecting)?;
    Ok(if made { Tables::Made } else { Tables::ToBeMade })
}
