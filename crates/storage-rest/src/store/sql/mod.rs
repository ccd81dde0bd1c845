//! Entries in a database: an SQLite file for one machine, PostgreSQL for more than that.
//!
//! What both have in common is here: upserts that come while others are being committed are committed together, what
//! broke off is tried again, and an error says what to do about it. Each dialect has a file with its statements
//! ([`Tables`]); what a row means is in [`rows`]. There is nothing to lock and no transaction that spans two requests: a
//! statement that writes is whole in itself, so that several processes on one database are nothing special.

mod database;
mod fault;
mod plan;
mod postgres;
pub mod rehearsal;
mod rows;
mod sqlite;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bridge_api::EntryKey;
use rand::Rng as _;
use sqlx::migrate::{Migrate, MigrateError, Migrator};

pub use self::database::{DatabaseUrl, DatabaseUrlError, PostgresDatabase};

use self::fault::{Access, Failure, Fault};
use self::plan::{NewRow, Stored, Upsert, plan};
use super::group::Group;
use super::{Filling, ImportedLocation, IndexEntry, Outcome, Store, StoreError, StoredEntry};

/// How long a statement may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a statement is tried that others were in the way of, or whose connection broke.
const ATTEMPTS: usize = 5;
/// The wait before the second attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(20);
/// About how many bytes of content one statement writes.
const MOST_BYTES: usize = 8 << 20;

/// Keeps entries in a database.
pub struct SqlStore {
    tables: Box<dyn Tables>,
    upserts: Group<Upsert, Result<Outcome, StoreError>>,
}

/// The tables of one database, statement by statement, each tried once.
#[async_trait]
trait Tables: Send + Sync {
    /// Which database it is.
    fn describe(&self) -> String;
    async fn ping(&self) -> sqlx::Result<()>;
    /// All entries, in any order.
    async fn index(&self) -> sqlx::Result<Vec<IndexEntry>>;
    /// Those of the entries that are there.
    async fn entries(&self, keys: &[EntryKey]) -> sqlx::Result<Vec<Found>>;
    /// What there is to compare the entries of these keys by.
    async fn stored(&self, keys: &[&EntryKey]) -> sqlx::Result<Stored>;
    /// Writes all of the rows or none, over what is there; where a row has no origin, that of the stored one stays.
    async fn write(&self, rows: &[NewRow<'_>]) -> sqlx::Result<()>;
    async fn remove(&self, keys: &[EntryKey]) -> sqlx::Result<()>;
    async fn filling(&self) -> sqlx::Result<Filling>;
    async fn set_filling(&self, filling: Filling) -> sqlx::Result<()>;
    async fn set_location(&self, key: &EntryKey, location: Option<&ImportedLocation>) -> sqlx::Result<()>;
    /// What an error of this database means.
    fn fault(&self, error: &sqlx::Error) -> Fault;
    /// What of an access that was refused is not allowed: the verb, and on what.
    async fn refused(&self, access: Access) -> (&'static str, String);
    async fn close(&self);
}

/// An entry that was asked for, as far as its row can be read.
type Found = (EntryKey, sqlx::Result<StoredEntry>);

impl SqlStore {
    /// Opens an SQLite file, which is created when it is missing (its directory is not).
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::on(sqlite::SqliteTables::open(path).await?))
    }

    /// Connects to a PostgreSQL database and makes the tables in it, where they are missing.
    pub async fn postgres(database: &PostgresDatabase) -> Result<Self, StoreError> {
        Ok(Self::on(postgres::PostgresTables::open(database).await?))
    }

    fn on(tables: impl Tables + 'static) -> Self {
        Self { tables: Box::new(tables), upserts: Group::default() }
    }

    /// Has a statement done, which may be done twice: where the connection breaks, nobody knows whether it was.
    async fn tried<T, F>(&self, statement: impl Fn() -> F + Send) -> Result<T, Failure>
    where
        F: Future<Output = sqlx::Result<T>> + Send,
    {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match tokio::time::timeout(PATIENCE, statement()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => Failure { fault: self.tables.fault(&error), reason: error.to_string(), attempts },
                Err(_) => Failure::unanswered(PATIENCE, attempts),
            };
            if attempts == ATTEMPTS || !failure.fault.may_pass_at_once() {
                return Err(failure);
            }
            tracing::debug!(reason = failure.reason, attempts, "{} is asked again", self.tables.describe());
            tokio::time::sleep(wait_after(attempts)).await;
        }
    }

    async fn done<T, F>(&self, access: Access, statement: impl Fn() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = sqlx::Result<T>> + Send,
    {
        match self.tried(statement).await {
            Ok(done) => Ok(done),
            Err(failure) => Err(self.error(access, failure).await),
        }
    }

    async fn error(&self, access: Access, failure: Failure) -> StoreError {
        let store = self.tables.describe();
        let Failure { fault, reason, attempts } = failure;
        match fault {
            Fault::Collision => StoreError::Conflict { store, what: access.what().to_owned(), attempts },
            Fault::Forbidden => {
                let (verb, resource) = self.tables.refused(access).await;
                StoreError::Permission { store, verb, resource, reason }
            }
            Fault::Unwell(advice) => StoreError::Unavailable { store, reason: format!("{advice} ({reason})") },
            Fault::Lost | Fault::TooLarge { .. } | Fault::Other => StoreError::Unavailable { store, reason },
        }
    }

    fn corrupt(&self, key: &EntryKey, error: &sqlx::Error) -> StoreError {
        StoreError::Corrupt { store: self.describe(), key: key.clone(), reason: error.to_string() }
    }

    async fn upsert_all(&self, upserts: Vec<Upsert>) -> Vec<Result<Outcome, StoreError>> {
        let mut results = Vec::with_capacity(upserts.len());
        let mut rest = upserts.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(leading(rest));
            results.extend(self.upsert_some(some).await);
            rest = others;
        }
        results
    }

    /// Writes some in one statement. Where that fails for what may be one entry's fault, each is written alone.
    async fn upsert_some(&self, upserts: &[Upsert]) -> Vec<Result<Outcome, StoreError>> {
        let failure = match self.upsert_together(upserts).await {
            Ok(outcomes) => return outcomes.into_iter().map(Ok).collect(),
            Err(failure) => failure,
        };
        let [(key, entry)] = upserts else {
            if failure.fault.may_be_an_entry_s() {
                let mut results = Vec::with_capacity(upserts.len());
                for upsert in upserts {
                    results.extend(Box::pin(self.upsert_some(std::slice::from_ref(upsert))).await);
                }
                return results;
            }
            let error = self.error(Access::Write, failure).await;
            return vec![Err(error); upserts.len()];
        };
        let error = match failure.fault {
            Fault::TooLarge { limit } => {
                StoreError::TooLarge { store: self.describe(), key: key.clone(), size: size(entry), limit }
            }
            _ => self.error(Access::Write, failure).await,
        };
        vec![Err(error)]
    }

    /// What was planned is what is reported, even where the write had to be done twice because its answer was lost.
    async fn upsert_together(&self, upserts: &[Upsert]) -> Result<Vec<Outcome>, Failure> {
        let keys: Vec<&EntryKey> = upserts.iter().map(|(key, _)| key).collect();
        let stored = self.tried(|| self.tables.stored(&keys)).await?;
        let plan = plan(upserts, stored);
        if !plan.rows.is_empty() {
            self.tried(|| self.tables.write(&plan.rows)).await?;
        }
        Ok(plan.outcomes)
    }
}

/// How many of the first upserts one statement takes: at least one.
fn leading(upserts: &[Upsert]) -> usize {
    let sizes = upserts.iter().scan(0, |total, (_, entry)| {
        *total += size(entry);
        Some(*total)
    });
    sizes.take_while(|total| *total <= MOST_BYTES).count().max(1)
}

fn size(entry: &StoredEntry) -> usize {
    entry.body.len() + entry.model_card.len()
}

/// Spread out, so that two who were in each other's way are not again.
fn wait_after(attempts: usize) -> Duration {
    let factor = 1 << attempts.min(ATTEMPTS).saturating_sub(1);
    FIRST_WAIT.mul_f64(f64::from(factor) * rand::rng().random_range(0.5..1.5))
}

/// Brings the tables up to date. Where they are, nothing is asked for but to read: who has no right to make tables can
/// use those that somebody else made.
async fn migrate(migrations: &Migrator, connection: &mut impl Migrate) -> Result<(), MigrateError> {
    let applied = connection.list_applied_migrations(&migrations.table_name).await.unwrap_or_default();
    let known = applied.iter().map(|applied| (applied.version, &applied.checksum));
    let wanted = migrations.iter().map(|migration| (migration.version, &migration.checksum));
    if wanted.eq(known) && connection.dirty_version(&migrations.table_name).await?.is_none() {
        return Ok(());
    }
    migrations.run_direct(None, connection, false).await
}

/// What is wrong with the tables, in the words of who runs the bridge.
fn migration_problem(error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMissing(version) => {
            format!("its tables were made by a newer version of the bridge (migration {version}); use that one")
        }
        MigrateError::VersionMismatch(version) => {
            format!("its tables were not made by the bridge (migration {version} differs); use another database")
        }
        other => other.to_string(),
    }
}

#[async_trait]
impl Store for SqlStore {
    fn describe(&self) -> String {
        self.tables.describe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.done(Access::Read, || self.tables.ping()).await
    }

    async fn index(&self) -> Result<Vec<IndexEntry>, StoreError> {
        let mut entries = self.done(Access::Read, || self.tables.index()).await?;
        entries.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(entries)
    }

    async fn fetch(&self, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError> {
        let keys = std::slice::from_ref(key);
        let found = self.done(Access::Read, || self.tables.entries(keys)).await?;
        let entry = found.into_iter().next().map(|(_, entry)| entry.map_err(|error| self.corrupt(key, &error)));
        entry.transpose()
    }

    async fn fetch_many(&self, keys: &[EntryKey]) -> Result<Vec<(EntryKey, StoredEntry)>, StoreError> {
        let found = self.done(Access::Read, || self.tables.entries(keys)).await?;
        let read = |(key, entry): Found| match entry {
            Ok(entry) => Ok((key, entry)),
            Err(error) => Err(self.corrupt(&key, &error)),
        };
        found.into_iter().map(read).collect()
    }

    async fn upsert(&self, key: &EntryKey, entry: StoredEntry) -> Result<Outcome, StoreError> {
        let written = self.upserts.write((key.clone(), entry), |upserts| self.upsert_all(upserts)).await;
        written.unwrap_or_else(|| Err(StoreError::given_up(self.describe())))
    }

    async fn remove(&self, keys: &[EntryKey]) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.done(Access::Remove, || self.tables.remove(keys)).await
    }

    async fn filling(&self) -> Result<Filling, StoreError> {
        self.done(Access::ReadMark, || self.tables.filling()).await
    }

    async fn set_filling(&self, filling: Filling) -> Result<(), StoreError> {
        self.done(Access::WriteMark, || self.tables.set_filling(filling)).await
    }

    async fn set_location(&self, key: &EntryKey, location: Option<ImportedLocation>) -> Result<(), StoreError> {
        self.done(Access::Write, || self.tables.set_location(key, location.as_ref())).await
    }

    async fn close(&self) {
        self.tables.close().await;
    }
}
