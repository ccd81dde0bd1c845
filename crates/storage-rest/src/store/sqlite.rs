//! Entries in an SQLite file: for one machine, without a cluster.
//!
//! The journal is a write-ahead log that is synced with every commit, so a write that was answered survives the loss
//! of power. Writes go through one connection, reads through their own. What syncing costs is shared: upserts that come
//! while another is being committed are committed together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bridge_api::messages::Origin;
use bridge_api::{Digest, EntryKey};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{FromRow, Row, SqliteConnection};

use super::group::Group;
use super::{Filling, Identity, ImportedLocation, IndexEntry, Outcome, Store, StoreError, StoredEntry};

static MIGRATIONS: Migrator = sqlx::migrate!();

const READERS: u32 = 4;
const WAIT: Duration = Duration::from_secs(10);

/// Keeps entries in one file.
pub struct SqliteStore {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    upserts: Group<Upsert, Result<Outcome, StoreError>>,
}

type Upsert = (EntryKey, StoredEntry);

impl SqliteStore {
    /// Opens the file, which is created when it is missing (its directory is not).
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let settings = |reason: String| StoreError::Settings { store: describe(path), reason };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT);
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(WAIT);
        let writer = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(|error| settings(format!("{error} (the setting is --sqlite-path / SQLITE_PATH)")))?;
        MIGRATIONS.run(&writer).await.map_err(|error| settings(error.to_string()))?;
        let readers = pool(READERS).connect_lazy_with(options);
        Ok(Self { path: path.to_owned(), writer, readers, upserts: Group::default() })
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        StoreError::Unavailable { store: self.describe(), reason: error.to_string() }
    }

    fn corrupt(&self, key: &EntryKey, error: &sqlx::Error) -> StoreError {
        StoreError::Corrupt { store: self.describe(), key: key.clone(), reason: error.to_string() }
    }

    /// Writes all of a group in one transaction. Where that fails for what may be one entry's fault, each is written
    /// alone.
    async fn upsert_all(&self, upserts: Vec<Upsert>) -> Vec<Result<Outcome, StoreError>> {
        match self.upsert_rows(&upserts).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error) if upserts.len() == 1 || is_busy(&error) => {
                upserts.iter().map(|_| Err(self.failed(&error))).collect()
            }
            Err(_) => {
                let mut results = Vec::with_capacity(upserts.len());
                for upsert in &upserts {
                    let result = self.upsert_rows(std::slice::from_ref(upsert)).await;
                    let outcome = result.map(|outcomes| outcomes.first().copied().unwrap_or(Outcome::Unchanged));
                    results.push(outcome.map_err(|error| self.failed(&error)));
                }
                results
            }
        }
    }

    async fn upsert_rows(&self, upserts: &[Upsert]) -> Result<Vec<Outcome>, sqlx::Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut outcomes = Vec::with_capacity(upserts.len());
        for (key, entry) in upserts {
            outcomes.push(upsert_row(&mut transaction, key, entry).await?);
        }
        if outcomes.iter().any(|outcome| *outcome != Outcome::Unchanged) {
            transaction.commit().await?;
        }
        Ok(outcomes)
    }

    async fn remove_rows(&self, keys: &[EntryKey]) -> Result<(), sqlx::Error> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for key in keys {
            sqlx::query("DELETE FROM entries WHERE entry_key = ?")
                .bind(key.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

async fn upsert_row(
    connection: &mut SqliteConnection,
    key: &EntryKey,
    entry: &StoredEntry,
) -> Result<Outcome, sqlx::Error> {
    let stored: Option<Identity> =
        sqlx::query_as("SELECT digest, reconciler_type, origin FROM entries WHERE entry_key = ?")
            .bind(key.as_str())
            .fetch_optional(&mut *connection)
            .await?;
    let (outcome, origin) = match &stored {
        None => (Outcome::Created, entry.origin.as_ref()),
        Some(stored) => (Outcome::Updated, entry.origin.as_ref().or(stored.origin.as_ref())),
    };
    let identity = Identity { origin: origin.cloned(), ..entry.identity() };
    if stored.as_ref() == Some(&identity) {
        return Ok(Outcome::Unchanged);
    }
    write_row(connection, key, entry, &identity).await?;
    Ok(outcome)
}

/// Whether somebody else holds the file, which is no fault of what was to be written.
fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: &str = "5";
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => error.code().as_deref() == Some(SQLITE_BUSY),
        _ => false,
    }
}

async fn write_row(
    connection: &mut SqliteConnection,
    key: &EntryKey,
    entry: &StoredEntry,
    identity: &Identity,
) -> Result<(), sqlx::Error> {
    let origin = identity.origin.as_ref().map(serde_json::to_string).transpose();
    sqlx::query(
        "INSERT INTO entries \
         (entry_key, digest, reconciler_type, last_update, origin, model_card_key, body, model_card) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (entry_key) DO UPDATE SET digest = excluded.digest, \
         reconciler_type = excluded.reconciler_type, last_update = excluded.last_update, origin = excluded.origin, \
         model_card_key = excluded.model_card_key, body = excluded.body, model_card = excluded.model_card",
    )
    .bind(key.as_str())
    .bind(identity.digest.as_str())
    .bind(entry.reconciler_type.as_str())
    .bind(&entry.last_update)
    .bind(origin.map_err(|error| sqlx::Error::Encode(Box::new(error)))?)
    .bind(&entry.model_card_key)
    .bind(&entry.body)
    .bind(&entry.model_card)
    .execute(connection)
    .await?;
    Ok(())
}

fn describe(path: &Path) -> String {
    format!("the SQLite file {}", path.display())
}

fn location_of(row: &sqlx::sqlite::SqliteRow) -> Result<Option<ImportedLocation>, sqlx::Error> {
    let id: Option<String> = row.try_get("location_id")?;
    let target: Option<String> = row.try_get("location_target")?;
    let told = row.try_get::<Option<String>, _>("location_digest")?.map(Digest::from);
    Ok(id.zip(target).map(|(id, target)| ImportedLocation { id, target, told }))
}

/// An origin that cannot be read is none: the normalizer then says it again.
fn origin_of(row: &sqlx::sqlite::SqliteRow) -> Result<Option<Origin>, sqlx::Error> {
    let text: Option<String> = row.try_get("origin")?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

fn parsed<T: std::str::FromStr>(row: &sqlx::sqlite::SqliteRow, column: &str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}

impl FromRow<'_, sqlx::sqlite::SqliteRow> for Identity {
    fn from_row(row: &sqlx::sqlite::SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            digest: Digest::from(row.try_get::<String, _>("digest")?),
            reconciler_type: parsed(row, "reconciler_type")?,
            origin: origin_of(row)?,
        })
    }
}

impl FromRow<'_, sqlx::sqlite::SqliteRow> for IndexEntry {
    fn from_row(row: &sqlx::sqlite::SqliteRow) -> Result<Self, sqlx::Error> {
        let body_len: i64 = row.try_get("body_len")?;
        Ok(Self {
            key: parsed(row, "entry_key")?,
            digest: Digest::from(row.try_get::<String, _>("digest")?),
            reconciler_type: parsed(row, "reconciler_type")?,
            origin: origin_of(row)?,
            body_len: usize::try_from(body_len).unwrap_or_default(),
            location: location_of(row)?,
        })
    }
}

impl FromRow<'_, sqlx::sqlite::SqliteRow> for StoredEntry {
    fn from_row(row: &sqlx::sqlite::SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            body: row.try_get("body")?,
            reconciler_type: parsed(row, "reconciler_type")?,
            last_update: row.try_get("last_update")?,
            model_card_key: row.try_get("model_card_key")?,
            model_card: row.try_get("model_card")?,
            origin: origin_of(row)?,
            location: location_of(row)?,
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn describe(&self) -> String {
        describe(&self.path)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let asked = sqlx::query("SELECT 1").execute(&self.readers).await;
        asked.map(|_| ()).map_err(|error| self.failed(&error))
    }

    async fn index(&self) -> Result<Vec<IndexEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT entry_key, digest, reconciler_type, origin, length(body) AS body_len, location_id, \
             location_target, location_digest \
             FROM entries ORDER BY entry_key",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            match IndexEntry::from_row(row) {
                Ok(entry) => entries.push(entry),
                Err(error) => tracing::warn!("a row of {} is no entry and is left out: {error}", self.describe()),
            }
        }
        Ok(entries)
    }

    async fn fetch(&self, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError> {
        let row = sqlx::query("SELECT * FROM entries WHERE entry_key = ?")
            .bind(key.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| self.failed(&error))?;
        row.map(|row| StoredEntry::from_row(&row).map_err(|error| self.corrupt(key, &error))).transpose()
    }

    async fn upsert(&self, key: &EntryKey, entry: StoredEntry) -> Result<Outcome, StoreError> {
        let written = self.upserts.write((key.clone(), entry), |upserts| self.upsert_all(upserts)).await;
        written.unwrap_or_else(|| Err(StoreError::given_up(self.describe())))
    }

    async fn remove(&self, keys: &[EntryKey]) -> Result<(), StoreError> {
        self.remove_rows(keys).await.map_err(|error| self.failed(&error))
    }

    async fn filling(&self) -> Result<Filling, StoreError> {
        let mark = sqlx::query("SELECT 1 FROM filling").fetch_optional(&self.readers).await;
        mark.map(|row| if row.is_some() { Filling::UnderWay } else { Filling::Over })
            .map_err(|error| self.failed(&error))
    }

    async fn set_filling(&self, filling: Filling) -> Result<(), StoreError> {
        let statement = match filling {
            Filling::UnderWay => "INSERT OR IGNORE INTO filling (mark) VALUES (1)",
            Filling::Over => "DELETE FROM filling",
        };
        let done = sqlx::query(statement).execute(&self.writer).await;
        done.map(|_| ()).map_err(|error| self.failed(&error))
    }

    async fn set_location(&self, key: &EntryKey, location: Option<ImportedLocation>) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE entries SET location_id = ?, location_target = ?, location_digest = ? WHERE entry_key = ?",
        )
        .bind(location.as_ref().map(|location| location.id.as_str()))
        .bind(location.as_ref().map(|location| location.target.as_str()))
        .bind(location.as_ref().and_then(|location| location.told.as_ref()).map(Digest::as_str))
        .bind(key.as_str())
        .execute(&self.writer)
        .await;
        done.map(|_| ()).map_err(|error| self.failed(&error))
    }

    /// Nothing is left in the write-ahead log.
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
