//! All that a registry holds, as JSON lines: for backups, and to move between databases.
//!
//! The first line says what follows; each of the others is a row of one of our tables, in an order in which no row names
//! one that comes later. Ids, times and the log of changes are kept as they are.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::StoreError;
use super::columns::Columns;
use crate::database::{Cell, Database, Dialect, Param, Row, Transaction, Type};
use crate::model::{Kind, Table};

const FORMAT: &str = "model-registry";
/// Grows when lines mean something else.
const VERSION: u32 = 1;
const PAGE: i64 = 500;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    table: String,
    row: Map<String, Json>,
}

/// An export can't be written, or read.
#[derive(Debug, Error)]
pub enum DumpError {
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file refuses.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// It is something else, or of another version.
    #[error("line 1: this is no export of a model registry that this version can read ({0})")]
    Head(String),
    /// A line can't be understood.
    #[error("line {line}: {reason}")]
    Line {
        /// Which one, from 1 on.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There would be two of everything.
    #[error("the database holds resources already: an export is only read into an empty one")]
    NotEmpty,
}

/// A table, as far as exports are concerned.
struct Shape {
    name: &'static str,
    columns: Vec<(&'static str, Type)>,
    /// How many of its first columns identify a row.
    key: usize,
}

/// All tables, those first that others refer to.
fn shapes() -> Vec<Shape> {
    use Type::{Integer, Number, Text};
    let shape = |name, key, columns: &[(&'static str, Type)]| Shape { name, columns: columns.to_vec(), key };
    let mut shapes = vec![shape(
        "resource",
        1,
        &[
            ("id", Integer),
            ("kind", Text),
            ("scope", Text),
            ("parent_id", Integer),
            ("name", Text),
            ("external_id", Text),
            ("description", Text),
            ("created", Integer),
            ("updated", Integer),
        ],
    )];
    for table in Kind::ALL.map(Kind::table).into_iter().collect::<BTreeSet<Table>>() {
        let mut columns = vec![("id", Integer)];
        columns.extend(Columns::of(table).own());
        shapes.push(Shape { name: table.name(), columns, key: 1 });
    }
    shapes.push(shape("artifact_link", 2, &[("owner_id", Integer), ("artifact_id", Integer)]));
    shapes.push(shape(
        "property",
        2,
        &[
            ("resource_id", Integer),
            ("name", Text),
            ("kind", Text),
            ("form", Text),
            ("text", Text),
            ("key_text", Text),
            ("number", Number),
        ],
    ));
    shapes.push(shape(
        "metric_history",
        1,
        &[
            ("id", Integer),
            ("run_id", Integer),
            ("metric_id", Integer),
            ("name", Text),
            ("value", Number),
            ("step", Integer),
            ("timestamp", Integer),
            ("state", Text),
            ("properties", Text),
            ("created", Integer),
        ],
    ));
    shapes.push(shape(
        "change_log",
        1,
        &[
            ("seq", Integer),
            ("at", Integer),
            ("actor", Text),
            ("action", Text),
            ("kind", Text),
            ("resource_id", Integer),
            ("detail", Text),
        ],
    ));
    shapes
}

impl Shape {
    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|(_, of)| *of).collect()
    }

    /// The rows after the one that has these values for a key.
    async fn page(&self, transaction: &mut Transaction, after: Option<&[Param]>) -> Result<Vec<Row>, StoreError> {
        let mut statement = transaction.statement(&format!("SELECT {} FROM {} WHERE ", self.names(), self.name));
        let first = self.columns[0].0;
        match after {
            // The root of the tree is there from the beginning.
            None => statement.push(&format!("{first} > 0")),
            Some([only]) => statement.push(&format!("{first} > ")).bind(only.clone()),
            Some(keys) => {
                let second = self.columns[1].0;
                statement.push(&format!("({first} > ")).bind(keys[0].clone());
                statement.push(&format!(" OR ({first} = ")).bind(keys[0].clone());
                statement.push(&format!(" AND {second} > ")).bind(keys[1].clone()).push("))")
            }
        };
        let order: Vec<_> = self.columns.iter().take(self.key).map(|(name, _)| *name).collect();
        statement.push(&format!(" ORDER BY {} LIMIT ", order.join(", "))).bind(PAGE);
        Ok(transaction.fetch(statement, &self.types()).await?)
    }

    fn line(&self, row: &Row) -> Line {
        let value = |(column, (name, _)): (usize, &(&'static str, Type))| {
            let value = match row.cell(column)? {
                Cell::Null => return None,
                Cell::Text(text) => Json::from(text.as_str()),
                Cell::Integer(number) => Json::from(*number),
                Cell::Number(number) => Json::from(*number),
            };
            Some(((*name).to_owned(), value))
        };
        Line { table: self.name.to_owned(), row: self.columns.iter().enumerate().filter_map(value).collect() }
    }

    fn params(&self, mut row: Map<String, Json>) -> Result<Vec<Param>, String> {
        let mut params = Vec::with_capacity(self.columns.len());
        for (name, of) in &self.columns {
            let wrong = || format!("`{name}` of {} has a value of another type", self.name);
            params.push(match (of, row.remove(*name)) {
                (Type::Text, None) => Param::NoText,
                (Type::Integer, None) => Param::NoInteger,
                (Type::Number, None) => Param::NoNumber,
                (Type::Text, Some(Json::String(text))) => Param::Text(text),
                (Type::Integer, Some(value)) => value.as_i64().ok_or_else(wrong)?.into(),
                (Type::Number, Some(value)) => value.as_f64().ok_or_else(wrong)?.into(),
                (Type::Text, Some(_)) => return Err(wrong()),
            });
        }
        match row.keys().next() {
            None => Ok(params),
            Some(unknown) => Err(format!("{} has no column `{unknown}`", self.name)),
        }
    }
}

/// Writes all that a registry holds at one moment; answers how many resources there were. `told` is called with how many
/// rows were written so far.
pub async fn export(
    database: &Database,
    into: &mut impl Write,
    mut told: impl FnMut(usize),
) -> Result<usize, DumpError> {
    let mut transaction = database.snapshot().await.map_err(StoreError::from)?;
    let head = Head { format: FORMAT.to_owned(), version: VERSION };
    write_line(into, &head)?;
    let (mut rows, mut resources) = (0, 0);
    for shape in shapes() {
        let mut after: Option<Vec<Param>> = None;
        loop {
            let page = shape.page(&mut transaction, after.as_deref()).await?;
            for row in &page {
                write_line(into, &shape.line(row))?;
            }
            rows += page.len();
            told(rows);
            if shape.name == "resource" {
                resources += page.len();
            }
            match page.last() {
                Some(last) if page.len() == usize::try_from(PAGE).unwrap_or_default() => {
                    after = Some((0..shape.key).map(|column| last.param(column)).collect());
                }
                _ => break,
            }
        }
    }
    into.flush()?;
    transaction.rollback().await.map_err(StoreError::from)?;
    Ok(resources)
}

fn write_line(into: &mut impl Write, line: &impl Serialize) -> Result<(), DumpError> {
    serde_json::to_writer(&mut *into, line).map_err(std::io::Error::from)?;
    Ok(into.write_all(b"\n")?)
}

/// Reads an export into an empty database, all of it or nothing; answers how many resources there were.
pub async fn import(database: &Database, from: impl BufRead, mut told: impl FnMut(usize)) -> Result<usize, DumpError> {
    let shapes = shapes();
    let mut transaction = database.begin().await.map_err(StoreError::from)?;
    if greatest_id(&mut transaction).await? > 0 {
        return Err(DumpError::NotEmpty);
    }
    let (mut head, mut resources, mut last_change) = (false, 0, 0);
    for (index, text) in from.lines().enumerate() {
        let (line, text) = (index + 1, text?);
        let wrong = |reason: String| DumpError::Line { line, reason };
        if !head {
            check_head(&text)?;
            head = true;
            continue;
        }
        if text.trim().is_empty() {
            continue;
        }
        let Line { table, row } = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let shape = shapes.iter().find(|shape| shape.name == table);
        let shape = shape.ok_or_else(|| wrong(format!("there is no table `{table}`")))?;
        match shape.name {
            "resource" => resources += 1,
            "change_log" => last_change = row.get("seq").and_then(Json::as_i64).unwrap_or(0).max(last_change),
            _ => {}
        }
        let params = shape.params(row).map_err(wrong)?;
        let mut statement = transaction.statement(&format!("INSERT INTO {} ({}) VALUES (", shape.name, shape.names()));
        statement.bind_all(params).push(")");
        transaction.execute(statement).await.map_err(|error| wrong(error.to_string()))?;
        told(line);
    }
    if !head {
        return Err(DumpError::Head("it is empty".to_owned()));
    }
    go_on_after(&mut transaction, last_change).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(resources)
}

/// The greatest id of a resource; 0 if there is none.
pub(super) async fn greatest_id(transaction: &mut Transaction) -> Result<i64, StoreError> {
    let statement = transaction.statement("SELECT id FROM resource ORDER BY id DESC LIMIT 1");
    let rows = transaction.fetch(statement, &[Type::Integer]).await?;
    Ok(rows.first().and_then(|row| row.integer(0)).unwrap_or_default())
}

fn check_head(text: &str) -> Result<(), DumpError> {
    let head: Head = serde_json::from_str(text).map_err(|error| DumpError::Head(error.to_string()))?;
    if head == (Head { format: FORMAT.to_owned(), version: VERSION }) {
        Ok(())
    } else {
        Err(DumpError::Head(format!("format {}, version {}", head.format, head.version)))
    }
}

/// New ids and changes are to follow those that were read. SQLite and MySQL see to ids by themselves.
pub(super) async fn go_on_after(transaction: &mut Transaction, last_change: i64) -> Result<(), StoreError> {
    let mut statement = transaction.statement("UPDATE change_head SET last = ");
    statement.bind(last_change);
    transaction.execute(statement).await?;
    if transaction.dialect() == Dialect::Postgres {
        for table in ["resource", "metric_history"] {
            let statement = transaction.statement(&format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), GREATEST(1, (SELECT COALESCE(MAX(id), 0) FROM {table})))"
            ));
            transaction.fetch(statement, &[]).await?;
        }
    }
    Ok(())
}
