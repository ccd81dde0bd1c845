//! An SQLite file: for one machine, without a server.
//!
//! The journal is a write-ahead log that is synced with every commit, so a write that was answered survives the loss
//! of power. Writes go through one connection, reads through their own.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bridge_api::{Digest, EntryKey};
use futures::TryStreamExt as _;
use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::fault::{Access, Fault};
use super::plan::{NewRow, Stored};
use super::{ATTEMPTS, Found, Tables, migrate, migration_problem, rows, wait_after};
use crate::store::{Filling, ImportedLocation, IndexEntry, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const READERS: u32 = 4;
const WAIT: Duration = Duration::from_secs(10);
/// What a row may hold, unless SQLite was built otherwise.
const LIMIT: usize = 1_000_000_000;

/// The tables in one file.
pub(super) struct SqliteTables {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteTables {
    /// Opens the file. Of processes that do so at once with a new file, SQLite turns all but one away without a wait, so
    /// each tries again.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let mut attempts = 1;
        loop {
            match Self::open_once(path).await {
                Err(error) if attempts < ATTEMPTS => {
                    tracing::debug!(%error, attempts, "the file is opened again");
                    tokio::time::sleep(wait_after(attempts)).await;
                    attempts += 1;
                }
                done => return done,
            }
        }
    }

    async fn open_once(path: &Path) -> Result<Self, StoreError> {
        let settings = |reason: String| StoreError::Settings { store: describe(path), reason };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT);
        // When its disk is full SQLite ends a transaction by itself; the driver goes on to count it and begins no other.
        let pool = |connections| {
            let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(WAIT);
            pool.before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))))
        };
        let not_opened =
            |error| settings(format!("{error} (the file is set by --sqlite-path / SQLITE_PATH, or by DATABASE_URL)"));
        let writer = pool(1).connect_with(options.clone()).await.map_err(not_opened)?;
        let mut connection = writer.acquire().await.map_err(not_opened)?;
        migrate(&MIGRATIONS, &mut *connection).await.map_err(|error| settings(migration_problem(&error)))?;
        drop(connection);
        Ok(Self { path: path.to_owned(), writer, readers: pool(READERS).connect_lazy_with(options) })
    }
}

#[async_trait]
impl Tables for SqliteTables {
    fn describe(&self) -> String {
        describe(&self.path)
    }

    async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.readers).await.map(drop)
    }

    async fn index(&self) -> sqlx::Result<Vec<IndexEntry>> {
        let mut rows = sqlx::query(rows::INDEX).fetch(&self.readers);
        let mut entries = Vec::new();
        while let Some(row) = rows.try_next().await? {
            entries.extend(rows::listed(&row, &self.path.display()));
        }
        Ok(entries)
    }

    async fn entries(&self, keys: &[EntryKey]) -> sqlx::Result<Vec<Found>> {
        let mut rows = sqlx::query("SELECT * FROM entries WHERE entry_key IN (SELECT value FROM json_each($1))")
            .bind(json(keys)?)
            .fetch(&self.readers);
        let mut found = Vec::with_capacity(keys.len());
        while let Some(row) = rows.try_next().await? {
            found.push((rows::key(&row)?, rows::entry(&row)));
        }
        Ok(found)
    }

    async fn stored(&self, keys: &[&EntryKey]) -> sqlx::Result<Stored> {
        let rows = sqlx::query(
            "SELECT entry_key, digest, reconciler_type, origin FROM entries \
             WHERE entry_key IN (SELECT value FROM json_each($1))",
        )
        .bind(json(keys)?)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((rows::key(row)?, rows::identity(row).ok()))).collect()
    }

    async fn write(&self, rows: &[NewRow<'_>]) -> sqlx::Result<()> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for NewRow { key, entry, identity } in rows {
            sqlx::query(
                "INSERT INTO entries \
                 (entry_key, digest, reconciler_type, last_update, origin, model_card_key, body, model_card) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (entry_key) DO UPDATE SET digest = excluded.digest, \
                 reconciler_type = excluded.reconciler_type, last_update = excluded.last_update, \
                 origin = coalesce(excluded.origin, entries.origin), model_card_key = excluded.model_card_key, \
                 body = excluded.body, model_card = excluded.model_card",
            )
            .bind(key.as_str())
            .bind(identity.digest.as_str())
            .bind(identity.reconciler_type.as_str())
            .bind(&entry.last_update)
            .bind(rows::origin_cell(identity.origin.as_ref())?)
            .bind(&entry.model_card_key)
            .bind(&entry.body)
            .bind(&entry.model_card)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    async fn remove(&self, keys: &[EntryKey]) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM entries WHERE entry_key IN (SELECT value FROM json_each($1))")
            .bind(json(keys)?)
            .execute(&self.writer)
            .await
            .map(drop)
    }

    async fn filling(&self) -> sqlx::Result<Filling> {
        let mark = sqlx::query(rows::FILLING).fetch_optional(&self.readers).await?;
        Ok(if mark.is_some() { Filling::UnderWay } else { Filling::Over })
    }

    async fn set_filling(&self, filling: Filling) -> sqlx::Result<()> {
        let statement = match filling {
            Filling::UnderWay => rows::FILLING_UNDER_WAY,
            Filling::Over => rows::FILLING_OVER,
        };
        sqlx::query(statement).execute(&self.writer).await.map(drop)
    }

    async fn set_location(&self, key: &EntryKey, location: Option<&ImportedLocation>) -> sqlx::Result<()> {
        sqlx::query(rows::SET_LOCATION)
            .bind(location.map(|location| &location.id))
            .bind(location.map(|location| &location.target))
            .bind(location.and_then(|location| location.told.as_ref()).map(Digest::as_str))
            .bind(key.as_str())
            .execute(&self.writer)
            .await
            .map(drop)
    }

    fn fault(&self, error: &sqlx::Error) -> Fault {
        fault(error)
    }

    async fn refused(&self, _access: Access) -> (&'static str, String) {
        ("write", format!("the file {} or its directory", self.path.display()))
    }

    async fn close(&self) {
        // The last connection that is closed empties the write-ahead log, which only a writer can.
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn describe(path: &Path) -> String {
    format!("the SQLite file {}", path.display())
}

/// Keys as one parameter, however many they are.
fn json<K: AsRef<str>>(keys: &[K]) -> sqlx::Result<String> {
    let texts: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&texts).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

fn fault(error: &sqlx::Error) -> Fault {
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::PoolTimedOut => return Fault::Unwell("all connections are in use"),
        _ => return Fault::Other,
    };
    let extended: u32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
    // The lowest byte is the kind of error, the others say more about it (sqlite.org/rescode.html).
    match extended & 0xff {
        5 | 6 => Fault::Unwell("another process has locked it"),
        3 | 8 | 14 | 23 => Fault::Forbidden,
        10 => Fault::Unwell("the disk fails, or is full"),
        13 => Fault::Unwell("the disk is full"),
        11 | 26 => Fault::Unwell("it is damaged: put a backup or an export in its place"),
        18 => Fault::TooLarge { limit: LIMIT },
        _ => Fault::Other,
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, SqliteConnection};

    use super::*;

    async fn fault_of(connection: &mut SqliteConnection, statement: &'static str) -> Fault {
        fault(&sqlx::raw_sql(statement).execute(connection).await.unwrap_err())
    }

    #[tokio::test]
    async fn what_sqlite_says_is_understood() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sqlite");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true).busy_timeout(Duration::ZERO);
        let mut one = options.clone().connect().await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (v BLOB); BEGIN IMMEDIATE").execute(&mut one).await.unwrap();
        let mut other = options.clone().connect().await.unwrap();
        assert_eq!(fault_of(&mut other, "BEGIN IMMEDIATE").await, Fault::Unwell("another process has locked it"));
        sqlx::raw_sql("COMMIT; PRAGMA max_page_count = 3").execute(&mut one).await.unwrap();
        let full = "INSERT INTO t VALUES (zeroblob(100000))";
        assert_eq!(fault_of(&mut one, full).await, Fault::Unwell("the disk is full"));
        let large = fault_of(&mut one, "INSERT INTO t VALUES (zeroblob(1000000001))").await;
        assert_eq!(large, Fault::TooLarge { limit: LIMIT });
        let mut reader = options.read_only(true).connect().await.unwrap();
        assert_eq!(fault_of(&mut reader, "DELETE FROM t").await, Fault::Forbidden);
    }

    /// Files that earlier versions made hold these checksums: a migration that changes makes them unreadable.
    #[test]
    fn migrations_that_were_applied_somewhere_never_change() {
        let known: Vec<(i64, &[u8])> =
            MIGRATIONS.iter().map(|migration| (migration.version, &migration.checksum[..4])).collect();
        let applied: [(i64, &[u8]); 3] =
            [(1, &[0xee, 0x59, 0xd8, 0xa0]), (2, &[0xe3, 0x1e, 0xde, 0x40]), (3, &[0x63, 0x6e, 0xf8, 0x68])];
        assert_eq!(known, applied);
    }
}
