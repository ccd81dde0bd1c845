//! The databases that a registry may be kept in, behind one interface: statements that are written once, rows of plain cells,
//! and transactions.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

mod run;
mod statement;
mod transaction;

pub use run::{Cell, Row, Type};
pub use statement::{Param, Statement};
pub use transaction::Transaction;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static MYSQL: Migrator = sqlx::migrate!("migrations/mysql");

const READERS: u32 = 8;
const WAIT: Duration = Duration::from_secs(10);

/// Which SQL a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, embedded.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

/// Where a database is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a file.
    Sqlite(PathBuf),
    /// On a PostgreSQL server.
    Postgres(Box<PgConnectOptions>),
    /// On a MySQL or MariaDB server.
    MySql(Box<MySqlConnectOptions>),
}

/// A database. Clones share its connections.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file, which one connection writes to.
    Sqlite {
        /// The one that writes.
        writer: SqlitePool,
        /// Those that read.
        readers: SqlitePool,
    },
    /// Of a PostgreSQL server.
    Postgres(PgPool),
    /// Of a MySQL or MariaDB server.
    MySql(MySqlPool),
}

impl Database {
    /// The database in that place; nothing is asked of it yet.
    pub fn at(place: &Place) -> Self {
        match place {
            Place::Sqlite(file) => {
                let options = sqlite(file);
                Self::Sqlite {
                    // What savepoints keep to go back to would be a file.
                    writer: sqlite_pool(1).connect_lazy_with(options.clone().pragma("temp_store", "MEMORY")),
                    readers: sqlite_pool(READERS).connect_lazy_with(options),
                }
            }
            Place::Postgres(options) => {
                let pool = PgPoolOptions::new().max_connections(READERS).acquire_timeout(WAIT);
                Self::Postgres(pool.connect_lazy_with((**options).clone()))
            }
            Place::MySql(options) => {
                let pool = MySqlPoolOptions::new().max_connections(READERS).acquire_timeout(WAIT);
                Self::MySql(pool.connect_lazy_with((**options).clone()))
            }
        }
    }

    /// Which SQL it speaks.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// A statement for it.
    pub fn statement(&self, sql: &str) -> Statement {
        Statement::new(self.dialect(), sql)
    }

    /// Brings its tables up to date. Of several processes that do so at once, one does and the others wait.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        match self {
            Self::Sqlite { writer, .. } => SQLITE.run(writer).await,
            Self::Postgres(pool) => POSTGRES.run(pool).await,
            Self::MySql(pool) => MYSQL.run(pool).await,
        }
    }

    /// What it answers, each row as cells of these types.
    pub fn fetch<'a>(&'a self, statement: Statement, types: &'a [Type]) -> BoxFuture<'a, sqlx::Result<Vec<Row>>> {
        Box::pin(async move {
            match self {
                Self::Sqlite { readers, .. } => run::fetch(readers, statement, types).await,
                Self::Postgres(pool) => run::fetch(pool, statement, types).await,
                Self::MySql(pool) => run::fetch(pool, statement, types).await,
            }
        })
    }

    /// Whether it answers.
    pub async fn look(&self) -> sqlx::Result<()> {
        self.fetch(self.statement("SELECT last FROM change_head"), &[Type::Integer]).await.map(drop)
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Transaction::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
            Self::MySql(pool) => Transaction::MySql(pool.begin().await?),
        })
    }

    /// Begins a transaction that sees one moment, whatever others write meanwhile.
    pub async fn snapshot(&self) -> sqlx::Result<Transaction> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Transaction::Sqlite(readers.begin().await?),
            Self::Postgres(pool) => {
                Transaction::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
            // Its transactions do so unless they are told otherwise.
            Self::MySql(pool) => Transaction::MySql(pool.begin().await?),
        })
    }

    /// Closes its connections, once they are back.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
            Self::MySql(pool) => pool.close().await,
        }
    }
}

fn sqlite_pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(WAIT)
        // To ask before each use whether they are there is for connections to servers.
        .test_before_acquire(false)
        // When its disk is full SQLite ends a transaction by itself; the driver goes on to count it and begins no other.
        .before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))))
}

/// A write-ahead log that is synced with each commit: what was answered survives the loss of power.
fn sqlite(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(WAIT)
}
