//! A transaction that writes.

use futures::future::BoxFuture;
use sqlx::{Executor as _, MySql, Postgres, Sqlite};

use super::run::{self, Row, Type};
use super::{Dialect, Statement};

/// A transaction. Dropped, it is taken back.
#[derive(Debug)]
pub enum Transaction {
    /// In an SQLite file.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// On a PostgreSQL server.
    Postgres(sqlx::Transaction<'static, Postgres>),
    /// On a MySQL or MariaDB server.
    MySql(sqlx::Transaction<'static, MySql>),
}

/// Does the same with the connection of any database.
macro_rules! on_each {
    ($transaction:expr, $connection:ident => $work:expr) => {
        match $transaction {
            Transaction::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                $work
            }
            Transaction::Postgres(transaction) => {
                let $connection = &mut **transaction;
                $work
            }
            Transaction::MySql(transaction) => {
                let $connection = &mut **transaction;
                $work
            }
        }
    };
}

impl Transaction {
    /// Which SQL its database speaks.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// A statement for it.
    pub fn statement(&self, sql: &str) -> Statement {
        Statement::new(self.dialect(), sql)
    }

    /// What the database answers, each row as cells of these types.
    pub fn fetch<'a>(&'a mut self, statement: Statement, types: &'a [Type]) -> BoxFuture<'a, sqlx::Result<Vec<Row>>> {
        Box::pin(async move { on_each!(self, connection => run::fetch(connection, statement, types).await) })
    }

    /// Runs a statement that answers nothing.
    pub fn execute(&mut self, statement: Statement) -> BoxFuture<'_, sqlx::Result<()>> {
        Box::pin(async move { on_each!(self, connection => run::execute(connection, statement).await.map(drop)) })
    }

    /// Runs statements that answer nothing, one after the other. SQLite is handed them at once: what it costs to hand over
    /// a statement is about what it costs to run one.
    pub fn execute_all(&mut self, statements: Vec<Statement>) -> BoxFuture<'_, sqlx::Result<()>> {
        Box::pin(async move {
            if let Self::Sqlite(transaction) = self {
                let all = Statement::joined(Dialect::Sqlite, statements);
                return run::execute(&mut **transaction, all).await.map(drop);
            }
            for statement in statements {
                self.execute(statement).await?;
            }
            Ok(())
        })
    }

    /// Inserts a row into a table whose `id` the database gives out, and answers that.
    pub fn insert(&mut self, mut statement: Statement) -> BoxFuture<'_, sqlx::Result<i64>> {
        Box::pin(async move {
            match self {
                Self::Sqlite(transaction) => Ok(run::execute(&mut **transaction, statement).await?.last_insert_rowid()),
                Self::MySql(transaction) => {
                    let id = run::execute(&mut **transaction, statement).await?.last_insert_id();
                    i64::try_from(id).map_err(|error| sqlx::Error::Decode(error.into()))
                }
                Self::Postgres(transaction) => {
                    statement.push(" RETURNING id");
                    let rows = run::fetch(&mut **transaction, statement, &[Type::Integer]).await?;
                    rows.first().and_then(|row| row.integer(0)).ok_or(sqlx::Error::RowNotFound)
                }
            }
        })
    }

    /// Runs a statement of ours that can't be prepared: MySQL prepares none that is about savepoints.
    pub fn control(&mut self, sql: &'static str) -> BoxFuture<'_, sqlx::Result<()>> {
        Box::pin(async move { on_each!(self, connection => connection.execute(sql).await.map(drop)) })
    }

    /// Makes everything so far durable.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
            Self::MySql(transaction) => transaction.commit().await,
        }
    }

    /// Takes everything back.
    pub async fn rollback(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Postgres(transaction) => transaction.rollback().await,
            Self::MySql(transaction) => transaction.rollback().await,
        }
    }
}
