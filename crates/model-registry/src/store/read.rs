//! Reading: one resource, and the custom properties of any.

use super::columns::{Columns, PROPERTIES, PROPERTY_TYPES, ROOT, broken, properties};
use super::{Store, StoreError, Whom};
use crate::database::{Database, Row, Statement, Transaction, Type};
use crate::model::{Id, Kind, Parent, Record, Table};

/// How many resources' custom properties are asked for at a time.
const AT_ONCE: usize = 1000;

/// Whoever answers statements: a database, or a transaction that has seen its own changes.
pub(super) trait Reader {
    fn statement(&self, sql: &str) -> Statement;
    async fn fetch(&mut self, statement: Statement, types: &[Type]) -> Result<Vec<Row>, StoreError>;
}

impl Reader for &Database {
    fn statement(&self, sql: &str) -> Statement {
        Database::statement(self, sql)
    }

    async fn fetch(&mut self, statement: Statement, types: &[Type]) -> Result<Vec<Row>, StoreError> {
        Ok(Database::fetch(self, statement, types).await?)
    }
}

impl Reader for &mut Transaction {
    fn statement(&self, sql: &str) -> Statement {
        Transaction::statement(self, sql)
    }

    async fn fetch(&mut self, statement: Statement, types: &[Type]) -> Result<Vec<Row>, StoreError> {
        Ok(Transaction::fetch(self, statement, types).await?)
    }
}

impl Store {
    /// The resource of one of these kinds that has that id.
    pub async fn get(&self, kinds: &[Kind], id: Id) -> Result<Record, StoreError> {
        get(&self.database, kinds, id).await
    }

    /// Whether there is a resource of one of these kinds that has that id; an error says that there is none.
    pub async fn check(&self, kinds: &[Kind], id: Id) -> Result<(), StoreError> {
        known(&self.database, kinds, id).await.map(drop)
    }

    /// The resource of one of these kinds that has that name or external id.
    pub async fn find(&self, kinds: &[Kind], whom: &Whom) -> Result<Record, StoreError> {
        find(&self.database, kinds, whom).await?.ok_or_else(|| missing(kinds, whom))
    }
}

pub(super) async fn get(reader: impl Reader, kinds: &[Kind], id: Id) -> Result<Record, StoreError> {
    let by_id = |statement: &mut Statement| {
        statement.push(" AND r.id = ").bind(id.get());
    };
    one(reader, kinds, "", by_id).await?.ok_or_else(|| no_such(kinds, id))
}

/// What a resource is and what it belongs to, which is all that those need to know who refer to it.
pub(super) async fn known(mut reader: impl Reader, kinds: &[Kind], id: Id) -> Result<(Kind, Option<Id>), StoreError> {
    let mut statement = reader.statement("SELECT kind, parent_id FROM resource WHERE id = ");
    statement.bind(id.get()).push(" AND kind IN (").bind_all(kinds.iter().map(|kind| kind.name())).push(")");
    let rows = reader.fetch(statement, &[Type::Text, Type::Integer]).await?;
    let row = rows.first().ok_or_else(|| no_such(kinds, id))?;
    let kind = row.text(0).and_then(Kind::named).ok_or_else(|| broken("a resource of no known kind"))?;
    Ok((kind, row.integer(1).filter(|parent| *parent != ROOT).map(Id::kept)))
}

fn no_such(kinds: &[Kind], id: Id) -> StoreError {
    StoreError::NotFound { what: title(kinds), key: format!("id {id}") }
}

pub(super) async fn find(reader: impl Reader, kinds: &[Kind], whom: &Whom) -> Result<Option<Record>, StoreError> {
    let scope = kinds.first().map_or("", |kind| kind.table().scope());
    let linked = kinds.first().is_some_and(|kind| kind.parent() == Parent::Linked);
    match whom {
        Whom::ExternalId(external_id) => {
            let by_external_id = |statement: &mut Statement| {
                statement.push(" AND r.scope = ").bind(scope).push(" AND r.external_id = ").bind(external_id.as_str());
            };
            one(reader, kinds, "", by_external_id).await
        }
        Whom::Name { name, parent: Some(owner) } if linked => {
            let by_link = |statement: &mut Statement| {
                statement.push(" AND l.owner_id = ").bind(owner.get()).push(" AND r.name = ").bind(name.as_str());
            };
            one(reader, kinds, " JOIN artifact_link l ON l.artifact_id = r.id", by_link).await
        }
        Whom::Name { name, parent } => {
            let parent = parent.map_or(ROOT, Id::get);
            let by_name = |statement: &mut Statement| {
                statement.push(" AND r.parent_id = ").bind(parent).push(" AND r.name = ").bind(name.as_str());
            };
            one(reader, kinds, "", by_name).await
        }
    }
}

/// The first resource for which that holds.
async fn one(
    mut reader: impl Reader,
    kinds: &[Kind],
    join: &str,
    condition: impl FnOnce(&mut Statement),
) -> Result<Option<Record>, StoreError> {
    let Some(columns) = kinds.first().map(|kind| Columns::of(kind.table())) else { return Ok(None) };
    let mut statement = reader.statement(&columns.select());
    statement.push("FROM resource r").push(&columns.joins()).push(join).push(" WHERE r.kind IN (");
    statement.bind_all(kinds.iter().map(|kind| kind.name())).push(")");
    condition(&mut statement);
    statement.push(" ORDER BY r.id LIMIT 1");
    let mut rows = reader.fetch(statement, &columns.types()).await?;
    let Some(row) = rows.pop() else { return Ok(None) };
    let mut records = [columns.record(row)?];
    attach_properties(&mut reader, &mut records).await?;
    Ok(records.into_iter().next())
}

pub(super) async fn attach_properties(reader: &mut impl Reader, records: &mut [Record]) -> Result<(), StoreError> {
    for part in records.chunks_mut(AT_ONCE) {
        let mut statement = reader.statement(PROPERTIES);
        statement.push("WHERE resource_id IN (").bind_all(part.iter().map(|record| record.id.get())).push(")");
        let mut found = properties(reader.fetch(statement, &PROPERTY_TYPES).await?)?;
        for record in part {
            record.properties = found.remove(&record.id.get()).unwrap_or_default();
        }
    }
    Ok(())
}

/// What to call resources of these kinds.
pub(super) fn title(kinds: &[Kind]) -> &'static str {
    match kinds {
        [kind] => kind.title(),
        [kind, ..] if kind.table() == Table::Artifact => "artifact",
        _ => "resource",
    }
}

fn missing(kinds: &[Kind], whom: &Whom) -> StoreError {
    let key = match whom {
        Whom::ExternalId(external_id) => format!("externalId {external_id}"),
        Whom::Name { name, parent: Some(parent) } => format!("name {name} and parentResourceId {parent}"),
        Whom::Name { name, parent: None } => format!("name {name}"),
    };
    StoreError::NotFound { what: title(kinds), key }
}
