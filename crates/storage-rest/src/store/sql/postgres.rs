//! PostgreSQL: for more than one machine, or more than a cluster's own storage should hold.
//!
//! Each write is one statement, and so one transaction of the server's: it locks nothing longer than it takes, and a
//! bridge that hangs holds up no other. Rows are written in the order of their keys.

use std::time::Duration;

use async_trait::async_trait;
use bridge_api::{Digest, EntryKey};
use futures::TryStreamExt as _;
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use super::database::PostgresDatabase;
use super::fault::{Access, Fault};
use super::plan::{NewRow, Stored};
use super::{Found, PATIENCE, Tables, migrate, migration_problem, rows};
use crate::store::{Filling, ImportedLocation, IndexEntry, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections of one process.
const CONNECTIONS: u32 = 8;
/// How long a connection may take to be made or to become free.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What a field may hold.
const LIMIT: usize = 1 << 30;
/// How many entries one statement removes.
const REMOVED_AT_ONCE: usize = 10_000;

/// The tables in one database.
pub(super) struct PostgresTables {
    database: PostgresDatabase,
    pool: PgPool,
}

impl PostgresTables {
    pub(super) async fn open(database: &PostgresDatabase) -> Result<Self, StoreError> {
        let options = database.current_options();
        let mut connection = connect(database).await?;
        prepare(&mut connection, database).await?;
        // Whatever comes of it: its work is done.
        let _ = connection.close().await;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT_WITHIN);
        Ok(Self { database: database.clone(), pool: pool.connect_lazy_with(options) })
    }
}

/// Not by the pool, which would keep trying, and not say why.
pub(super) async fn connect(database: &PostgresDatabase) -> Result<PgConnection, StoreError> {
    let store = || database.to_string();
    let options = database.current_options();
    match tokio::time::timeout(CONNECT_WITHIN, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(not_connected(store(), &error)),
        Err(_) => {
            let reason = format!("no connection within {} s", CONNECT_WITHIN.as_secs());
            Err(StoreError::Unavailable { store: store(), reason })
        }
    }
}

fn not_connected(store: String, error: &sqlx::Error) -> StoreError {
    let reason = error.to_string();
    match (fault(error), sqlstate(error).as_deref()) {
        // A wrong password, user or database, or nothing that lets this user in.
        (_, Some("28P01" | "28000" | "3D000" | "42501")) => {
            StoreError::Settings { store, reason: format!("{reason} (the setting is --database-url / DATABASE_URL)") }
        }
        (Fault::Unwell(advice), _) => StoreError::Unavailable { store, reason: format!("{advice} ({reason})") },
        _ => StoreError::Unavailable { store, reason },
    }
}

/// Makes the tables, or brings them up to date; of several processes that want to, one does and the others wait.
async fn prepare(connection: &mut PgConnection, database: &PostgresDatabase) -> Result<(), StoreError> {
    let store = database.to_string();
    let error = match tokio::time::timeout(PATIENCE, migrate(&MIGRATIONS, connection)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => {
            let reason = "another process has been making its tables for too long".to_owned();
            return Err(StoreError::Unavailable { store, reason });
        }
    };
    Err(match &error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => match fault(cause) {
            Fault::Forbidden => StoreError::Permission {
                store,
                verb: "CREATE",
                resource: "tables in its schema, and the tables were not made before".to_owned(),
                reason: cause.to_string(),
            },
            _ => StoreError::Unavailable { store, reason: cause.to_string() },
        },
        other => StoreError::Settings { store, reason: migration_problem(other) },
    })
}

#[async_trait]
impl Tables for PostgresTables {
    fn describe(&self) -> String {
        self.database.to_string()
    }

    async fn ping(&self) -> sqlx::Result<()> {
        // A password may have been replaced.
        self.pool.set_connect_options(self.database.current_options());
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    async fn index(&self) -> sqlx::Result<Vec<IndexEntry>> {
        let mut rows = sqlx::query(rows::INDEX).fetch(&self.pool);
        let mut entries = Vec::new();
        while let Some(row) = rows.try_next().await? {
            entries.extend(rows::listed(&row, &self.database));
        }
        Ok(entries)
    }

    async fn entries(&self, keys: &[EntryKey]) -> sqlx::Result<Vec<Found>> {
        let mut rows =
            sqlx::query("SELECT * FROM entries WHERE entry_key = ANY($1)").bind(texts(keys)).fetch(&self.pool);
        let mut found = Vec::with_capacity(keys.len());
        while let Some(row) = rows.try_next().await? {
            found.push((rows::key(&row)?, rows::entry(&row)));
        }
        Ok(found)
    }

    async fn stored(&self, keys: &[&EntryKey]) -> sqlx::Result<Stored> {
        let rows =
            sqlx::query("SELECT entry_key, digest, reconciler_type, origin FROM entries WHERE entry_key = ANY($1)")
                .bind(texts(keys))
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(|row| Ok((rows::key(row)?, rows::identity(row).ok()))).collect()
    }

    async fn write(&self, rows: &[NewRow<'_>]) -> sqlx::Result<()> {
        let columns = Columns::of(rows)?;
        sqlx::query(
            "INSERT INTO entries \
             (entry_key, digest, reconciler_type, last_update, origin, model_card_key, body, model_card) \
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bytea[], \
             $7::bytea[], $8::bytea[]) \
             ON CONFLICT (entry_key) DO UPDATE SET digest = excluded.digest, \
             reconciler_type = excluded.reconciler_type, last_update = excluded.last_update, \
             origin = coalesce(excluded.origin, entries.origin), model_card_key = excluded.model_card_key, \
             body = excluded.body, model_card = excluded.model_card",
        )
        .bind(columns.keys)
        .bind(columns.digests)
        .bind(columns.reconciler_types)
        .bind(columns.last_updates)
        .bind(columns.origins)
        .bind(columns.model_card_keys)
        .bind(columns.bodies)
        .bind(columns.model_cards)
        .execute(&self.pool)
        .await
        .map(drop)
    }

    async fn remove(&self, keys: &[EntryKey]) -> sqlx::Result<()> {
        for some in keys.chunks(REMOVED_AT_ONCE) {
            sqlx::query(
                "DELETE FROM entries WHERE entry_key IN \
                 (SELECT entry_key FROM entries WHERE entry_key = ANY($1) ORDER BY entry_key FOR UPDATE)",
            )
            .bind(texts(some))
            .execute(&self.pool)
            .await?;
        }
        Ok(())
    }

    async fn filling(&self) -> sqlx::Result<Filling> {
        let mark = sqlx::query(rows::FILLING).fetch_optional(&self.pool).await?;
        Ok(if mark.is_some() { Filling::UnderWay } else { Filling::Over })
    }

    async fn set_filling(&self, filling: Filling) -> sqlx::Result<()> {
        let statement = match filling {
            Filling::UnderWay => rows::FILLING_UNDER_WAY,
            Filling::Over => rows::FILLING_OVER,
        };
        sqlx::query(statement).execute(&self.pool).await.map(drop)
    }

    async fn set_location(&self, key: &EntryKey, location: Option<&ImportedLocation>) -> sqlx::Result<()> {
        sqlx::query(rows::SET_LOCATION)
            .bind(location.map(|location| &location.id))
            .bind(location.map(|location| &location.target))
            .bind(location.and_then(|location| location.told.as_ref()).map(Digest::as_str))
            .bind(key.as_str())
            .execute(&self.pool)
            .await
            .map(drop)
    }

    fn fault(&self, error: &sqlx::Error) -> Fault {
        fault(error)
    }

    async fn refused(&self, access: Access) -> (&'static str, String) {
        let resource = format!("on table {}", access.table());
        for privilege in access.privileges() {
            let asked = sqlx::query_scalar("SELECT has_table_privilege($1, $2)")
                .bind(access.table())
                .bind(privilege)
                .fetch_one(&self.pool);
            if let Ok(false) = asked.await {
                return (privilege, resource);
            }
        }
        ("work", resource)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// Rows as one parameter for each column.
#[derive(Default)]
struct Columns<'a> {
    keys: Vec<&'a str>,
    digests: Vec<&'a str>,
    reconciler_types: Vec<&'static str>,
    last_updates: Vec<&'a [u8]>,
    origins: Vec<Option<String>>,
    model_card_keys: Vec<&'a [u8]>,
    bodies: Vec<&'a [u8]>,
    model_cards: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a [NewRow<'a>]) -> sqlx::Result<Self> {
        let mut columns = Self::default();
        for NewRow { key, entry, identity } in rows {
            columns.keys.push(key.as_str());
            columns.digests.push(identity.digest.as_str());
            columns.reconciler_types.push(identity.reconciler_type.as_str());
            columns.last_updates.push(entry.last_update.as_bytes());
            columns.origins.push(rows::origin_cell(identity.origin.as_ref())?);
            columns.model_card_keys.push(entry.model_card_key.as_bytes());
            columns.bodies.push(&entry.body);
            columns.model_cards.push(entry.model_card.as_bytes());
        }
        Ok(columns)
    }
}

fn texts<K: AsRef<str>>(keys: &[K]) -> Vec<&str> {
    keys.iter().map(AsRef::as_ref).collect()
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(DatabaseError::code).map(std::borrow::Cow::into_owned)
}

/// By the codes of the server (postgresql.org/docs/current/errcodes-appendix.html).
pub(super) fn fault(error: &sqlx::Error) -> Fault {
    let code = match error {
        sqlx::Error::Database(_) => sqlstate(error).unwrap_or_default(),
        sqlx::Error::Io(_) => return Fault::Lost,
        sqlx::Error::PoolTimedOut => {
            return Fault::Unwell("it can't be reached, or all connections are in use");
        }
        _ => return Fault::Other,
    };
    match code.as_str() {
        "40001" | "40P01" | "55P03" => Fault::Collision,
        "57P01" | "57P02" | "57P03" | "25P03" => Fault::Lost,
        "42501" => Fault::Forbidden,
        "25006" => Fault::Unwell("it is read-only: a standby, or set so by its administrator"),
        "53100" => Fault::Unwell("its disk is full"),
        "53300" => Fault::Unwell("it has too many connections"),
        "42P01" => Fault::Unwell("its tables are gone: start again to have them made"),
        "28P01" | "28000" | "3D000" => {
            Fault::Unwell("it lets the bridge in no more: see --database-url / DATABASE_URL")
        }
        "XX001" | "XX002" => Fault::Unwell("it is damaged: put a backup or an export in its place"),
        "54000" => Fault::TooLarge { limit: LIMIT },
        code if code.starts_with("08") => Fault::Lost,
        code if code.starts_with("53") || code.starts_with("57") => Fault::Unwell("it is short of resources"),
        _ => Fault::Other,
    }
}
