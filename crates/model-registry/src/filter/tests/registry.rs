//! A registry with rows as the store writes them, in each of the databases.

use std::str::FromStr as _;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use testkit::mariadb::MariaDbServer;
use testkit::postgres::PostgresServer;

use crate::database::{Database, Dialect, Param, Place, Statement, Type};
use crate::filter::Filter;
use crate::model::{Form, Id, Kind, Property, Record, Value};
use crate::store::{Query, Store};

/// How many are few, where all are.
pub(super) const ANY_NUMBER: i64 = 100;
/// How many are few, where none are.
pub(super) const NONE: i64 = -1;

pub(super) struct Registry {
    database: Database,
    store: Store,
    /// Of the file, if it is one.
    _directory: TempDir,
}

impl Registry {
    /// An empty one. `None` where there is no such server.
    pub(super) async fn on(dialect: Dialect) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let place = match dialect {
            Dialect::Sqlite => Place::Sqlite(directory.path().join("registry.db")),
            Dialect::Postgres => {
                let url = PostgresServer::shared()?.database().url();
                Place::Postgres(Box::new(PgConnectOptions::from_str(&url).unwrap()))
            }
            Dialect::MySql => {
                let url = MariaDbServer::shared()?.database();
                Place::MySql(Box::new(MySqlConnectOptions::from_str(&url).unwrap()))
            }
        };
        let database = Database::at(&place);
        database.migrate().await.unwrap();
        let registry = Self { store: Store::new(database.clone()), database, _directory: directory };
        // Names and external ids at random may come twice.
        for index in ["resource_by_name", "resource_by_external_id"] {
            let table = if dialect == Dialect::MySql { " ON resource" } else { "" };
            registry.execute([registry.statement(&format!("DROP INDEX {index}{table}"))]).await;
        }
        Some(registry)
    }

    pub(super) async fn in_sqlite() -> Self {
        Self::on(Dialect::Sqlite).await.unwrap()
    }

    pub(super) fn statement(&self, sql: &str) -> Statement {
        self.database.statement(sql)
    }

    pub(super) async fn execute(&self, statements: impl IntoIterator<Item = Statement>) {
        let mut transaction = self.database.begin().await.unwrap();
        for statement in statements {
            transaction.execute(statement).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// Holds these resources, and no others. Those that others belong to come first.
    pub(super) async fn hold(&self, records: &[Record]) {
        let tables = Kind::ALL.map(|kind| kind.table().name());
        let mut statements: Vec<_> =
            tables.iter().chain(&["property"]).map(|table| self.statement(&format!("DELETE FROM {table}"))).collect();
        let children_first = if self.database.dialect() == Dialect::MySql { " ORDER BY id DESC" } else { "" };
        statements.push(self.statement(&format!("DELETE FROM resource WHERE id > 0{children_first}")));
        for record in records {
            statements.extend([self.resource(record), self.fields(record)]);
            statements.extend(self.properties(record));
        }
        self.execute(statements).await;
    }

    /// The ids of the resources for which a filter holds.
    pub(super) async fn ids(&self, filter: &Filter, kinds: &[Kind]) -> Vec<i64> {
        let mut ids = Vec::new();
        for kind in kinds {
            ids.extend(self.numbers(self.list(filter, *kind)).await);
        }
        ids.sort_unstable();
        ids
    }

    /// The ids of what is listed, part by part, where so many are few.
    pub(super) async fn listed(&self, query: &Query, few: i64) -> Vec<i64> {
        let (mut query, mut ids) = (query.clone(), Vec::new());
        loop {
            let page = self.store.list_where_few_are(few, &query).await.unwrap_or_else(|error| panic!("{error:?}"));
            ids.extend(page.items.iter().map(|record| record.id.get()));
            query.page.after = page.next;
            if page.next.is_none() {
                return ids;
            }
        }
    }

    /// How SQLite looks for what is listed, where so many are few.
    pub(super) async fn plan(&self, query: &Query, few: i64) -> Vec<String> {
        let mut statement = self.statement("EXPLAIN QUERY PLAN ");
        self.store.push_list_where_few_are(few, &mut statement, query).await.unwrap();
        let types = [Type::Integer, Type::Integer, Type::Integer, Type::Text];
        let steps = self.database.fetch(statement, &types).await.unwrap();
        steps.into_iter().map(|mut step| step.take_text(3).unwrap()).collect()
    }

    /// Answers with a column of numbers.
    pub(super) async fn numbers(&self, statement: Statement) -> Vec<i64> {
        let sql = statement.sql().to_owned();
        let rows = self.database.fetch(statement, &[Type::Integer]).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
        rows.iter().map(|row| row.integer(0).unwrap()).collect()
    }

    fn list(&self, filter: &Filter, kind: Kind) -> Statement {
        let mut statement = self.statement("");
        Self::push_list(&mut statement, filter, kind);
        statement
    }

    fn push_list(statement: &mut Statement, filter: &Filter, kind: Kind) {
        statement.push("SELECT r.id FROM resource r JOIN ").push(kind.table().name());
        statement.push(" f ON f.id = r.id WHERE r.kind = ").bind(kind.name()).push(" AND ");
        filter.push_condition(statement, kind);
    }

    fn resource(&self, record: &Record) -> Statement {
        let columns = "id, kind, scope, parent_id, name, external_id, description, created, updated";
        self.insert(
            "resource",
            columns,
            vec![
                record.id.get().into(),
                record.kind.name().into(),
                record.kind.table().scope().into(),
                record.parent.map_or(0, Id::get).into(),
                record.name.as_str().into(),
                record.external_id.clone().into(),
                record.description.clone().into(),
                record.created.into(),
                record.updated.into(),
            ],
        )
    }

    fn fields(&self, record: &Record) -> Statement {
        let (mut columns, mut params) = (vec!["id"], vec![Param::Integer(record.id.get())]);
        for field in record.kind.fields() {
            let default = match field.form {
                Form::Word(words) => words.default.map(|word| Value::Text(word.to_owned())),
                _ => None,
            };
            let Some(value) = record.fields.get(field.name).cloned().or(default) else { continue };
            columns.push(field.column);
            params.push(match value {
                Value::Text(text) => text.into(),
                Value::Texts(texts) => serde_json::to_string(&texts).unwrap().into(),
                Value::Integer(number) => number.into(),
                Value::Number(number) => number.into(),
            });
        }
        self.insert(record.kind.table().name(), &columns.join(", "), params)
    }

    fn properties(&self, record: &Record) -> impl Iterator<Item = Statement> {
        record.properties.iter().map(move |(name, property)| {
            let (form, text, number) = match property {
                Property::Int(int) => ("int", None, Some(f64::from(*int))),
                Property::Double(double) => ("double", None, Some(*double)),
                Property::Bool(bool) => ("bool", None, Some(f64::from(u8::from(*bool)))),
                Property::String(string) => ("string", Some(string.clone()), None),
                Property::Struct(encoded) => ("struct", Some(encoded.clone()), None),
            };
            let key_text = text.as_ref().map(|text| text.chars().take(191).collect::<String>());
            self.insert(
                "property",
                "resource_id, kind, name, form, text, key_text, number",
                vec![
                    record.id.get().into(),
                    record.kind.name().into(),
                    name.as_str().into(),
                    form.into(),
                    text.into(),
                    key_text.into(),
                    number.into(),
                ],
            )
        })
    }

    fn insert(&self, table: &str, columns: &str, params: Vec<Param>) -> Statement {
        let mut statement = self.statement("INSERT INTO ");
        statement.push(table).push(" (").push(columns).push(") VALUES (").bind_all(params).push(")");
        statement
    }
}
