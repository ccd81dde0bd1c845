//! Statements, run on any of the databases.

use std::future::ready;

use futures::future::BoxFuture;
use sqlx::query::Query;
use sqlx::{Arguments, AssertSqlSafe, ColumnIndex, Decode, Encode, Executor, IntoArguments, Row as _};

use super::{Param, Statement};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Texts.
    Text,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// None.
    Null,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
}

/// A row: its cells in the order of the statement's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<Cell>);

impl Row {
    /// What is in a column.
    pub fn cell(&self, column: usize) -> Option<&Cell> {
        self.0.get(column)
    }

    /// What is in a column, for another statement.
    pub fn param(&self, column: usize) -> Param {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Param::Text(text.clone()),
            Some(Cell::Integer(number)) => Param::Integer(*number),
            Some(Cell::Number(number)) => Param::Number(*number),
            Some(Cell::Null) | None => Param::NoText,
        }
    }

    /// The text in a column, if there is one.
    pub fn text(&self, column: usize) -> Option<&str> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Takes the text out of a column, if there is one.
    pub fn take_text(&mut self, column: usize) -> Option<String> {
        match self.0.get_mut(column).map(|cell| std::mem::replace(cell, Cell::Null)) {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The whole number in a column, if there is one.
    pub fn integer(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Cell::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// The number in a column, if there is one.
    pub fn number(&self, column: usize) -> Option<f64> {
        match self.0.get(column) {
            Some(Cell::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

/// What the databases have in common, as far as it is used.
pub(super) trait Common: sqlx::Database {
    fn arguments(params: Vec<Param>) -> sqlx::Result<Self::Arguments>;
    fn row(row: &Self::Row, types: &[Type]) -> sqlx::Result<Row>;
}

impl<DB> Common for DB
where
    DB: sqlx::Database,
    for<'v> i64: Encode<'v, DB> + Decode<'v, DB> + sqlx::Type<DB>,
    for<'v> f64: Encode<'v, DB> + Decode<'v, DB> + sqlx::Type<DB>,
    for<'v> String: Encode<'v, DB> + Decode<'v, DB> + sqlx::Type<DB>,
    for<'v> Option<i64>: Encode<'v, DB>,
    for<'v> Option<f64>: Encode<'v, DB>,
    for<'v> Option<String>: Encode<'v, DB>,
    usize: ColumnIndex<DB::Row>,
{
    fn arguments(params: Vec<Param>) -> sqlx::Result<DB::Arguments> {
        let mut arguments = DB::Arguments::default();
        for param in params {
            match param {
                Param::Text(text) => arguments.add(text),
                Param::Integer(number) => arguments.add(number),
                Param::Number(number) => arguments.add(number),
                Param::NoText => arguments.add(None::<String>),
                Param::NoInteger => arguments.add(None::<i64>),
                Param::NoNumber => arguments.add(None::<f64>),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    fn row(row: &DB::Row, types: &[Type]) -> sqlx::Result<Row> {
        let cell = |(column, of): (usize, &Type)| {
            Ok(match of {
                Type::Text => row.try_get::<Option<String>, _>(column)?.map(Cell::Text),
                Type::Integer => row.try_get::<Option<i64>, _>(column)?.map(Cell::Integer),
                Type::Number => row.try_get::<Option<f64>, _>(column)?.map(Cell::Number),
            }
            .unwrap_or(Cell::Null))
        };
        types.iter().enumerate().map(cell).collect::<sqlx::Result<_>>().map(Row)
    }
}

pub(super) fn fetch<'e, 'c: 'e, E>(
    executor: E,
    statement: Statement,
    types: &'e [Type],
) -> BoxFuture<'e, sqlx::Result<Vec<Row>>>
where
    E: Executor<'c, Database: Common> + 'e,
    <E::Database as sqlx::Database>::Arguments: IntoArguments<E::Database> + 'e,
{
    match query::<E::Database>(statement) {
        Ok(query) => decoded::<E::Database>(executor.fetch_all(query), types),
        Err(error) => Box::pin(ready(Err(error))),
    }
}

pub(super) fn execute<'e, 'c: 'e, E>(
    executor: E,
    statement: Statement,
) -> BoxFuture<'e, sqlx::Result<<E::Database as sqlx::Database>::QueryResult>>
where
    E: Executor<'c, Database: Common> + 'e,
    <E::Database as sqlx::Database>::Arguments: IntoArguments<E::Database> + 'e,
{
    match query::<E::Database>(statement) {
        Ok(query) => executor.execute(query),
        Err(error) => Box::pin(ready(Err(error))),
    }
}

fn decoded<'e, DB: Common>(
    rows: BoxFuture<'e, sqlx::Result<Vec<DB::Row>>>,
    types: &'e [Type],
) -> BoxFuture<'e, sqlx::Result<Vec<Row>>> {
    Box::pin(async move { rows.await?.iter().map(|row| DB::row(row, types)).collect() })
}

/// The text of a statement is ours; all else comes as an argument.
fn query<'q, DB: Common>(statement: Statement) -> sqlx::Result<Query<'q, DB, DB::Arguments>>
where
    DB::Arguments: IntoArguments<DB>,
{
    let (sql, params) = statement.into_parts();
    Ok(sqlx::query_with(AssertSqlSafe(sql), DB::arguments(params)?))
}
