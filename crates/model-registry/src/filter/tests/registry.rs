//! A registry in memory, with rows as the store writes them.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, Sqlite, SqliteConnection};

use crate::database::{Dialect, Param, Statement};
use crate::filter::Filter;
use crate::model::{Form, Kind, Property, Record, Value};

pub(super) struct Registry(SqliteConnection);

impl Registry {
    pub(super) async fn with(records: &[Record]) -> Self {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(false);
        let mut connection = options.connect().await.unwrap();
        sqlx::migrate!("migrations/sqlite").run(&mut connection).await.unwrap();
        // Names and external ids at random may come twice.
        for index in ["resource_by_name", "resource_by_external_id"] {
            sqlx::query(AssertSqlSafe(format!("DROP INDEX {index}"))).execute(&mut connection).await.unwrap();
        }
        let mut transaction = connection.begin().await.unwrap();
        for record in records {
            for statement in [resource(record), fields(record)].into_iter().chain(properties(record)) {
                bound(&statement, statement.sql().to_owned()).execute(&mut *transaction).await.unwrap();
            }
        }
        transaction.commit().await.unwrap();
        Self(connection)
    }

    /// The ids of the resources for which a filter holds.
    pub(super) async fn ids(&mut self, filter: &Filter, kinds: &[Kind]) -> Vec<i64> {
        let mut ids = Vec::new();
        for kind in kinds {
            let statement = list(filter, *kind);
            let rows = bound(&statement, statement.sql().to_owned()).fetch_all(&mut self.0).await.unwrap();
            ids.extend(rows.iter().map(|row| row.get::<i64, _>(0)));
        }
        ids.sort_unstable();
        ids
    }

    /// How SQLite looks for the first hundred.
    pub(super) async fn plan(&mut self, filter: &Filter, kind: Kind) -> Vec<String> {
        let mut statement = list(filter, kind);
        statement.push(" ORDER BY r.id LIMIT 100");
        let explained = format!("EXPLAIN QUERY PLAN {}", statement.sql());
        let rows = bound(&statement, explained).fetch_all(&mut self.0).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect()
    }

    /// Answers with the first column, which holds numbers.
    pub(super) async fn numbers(&mut self, statement: &Statement) -> Vec<i64> {
        let rows = bound(statement, statement.sql().to_owned()).fetch_all(&mut self.0).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(super) async fn execute(&mut self, sql: &'static str) {
        sqlx::query(sql).execute(&mut self.0).await.unwrap();
    }
}

fn list(filter: &Filter, kind: Kind) -> Statement {
    let mut statement = Statement::new(Dialect::Sqlite, "SELECT r.id FROM resource r JOIN ");
    statement.push(kind.table().name()).push(" f ON f.id = r.id WHERE r.kind = ").bind(kind.name()).push(" AND ");
    filter.push_condition(&mut statement, kind);
    statement
}

fn bound(statement: &Statement, sql: String) -> Query<'static, Sqlite, SqliteArguments> {
    statement.params().iter().cloned().fold(sqlx::query(AssertSqlSafe(sql)), |query, param| match param {
        Param::Text(text) => query.bind(text),
        Param::Integer(number) => query.bind(number),
        Param::Number(number) => query.bind(number),
        Param::NoText | Param::NoInteger | Param::NoNumber => query.bind(None::<String>),
    })
}

fn resource(record: &Record) -> Statement {
    let columns = "id, kind, scope, parent_id, name, external_id, description, created, updated";
    insert(
        "resource",
        columns,
        vec![
            record.id.get().into(),
            record.kind.name().into(),
            record.kind.table().scope().into(),
            record.parent.map_or(0, crate::model::Id::get).into(),
            record.name.as_str().into(),
            record.external_id.clone().into(),
            record.description.clone().into(),
            record.created.into(),
            record.updated.into(),
        ],
    )
}

fn fields(record: &Record) -> Statement {
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
    insert(record.kind.table().name(), &columns.join(", "), params)
}

fn properties(record: &Record) -> impl Iterator<Item = Statement> {
    record.properties.iter().map(|(name, property)| {
        let (form, text, number) = match property {
            Property::Int(int) => ("int", None, Some(f64::from(*int))),
            Property::Double(double) => ("double", None, Some(*double)),
            Property::Bool(bool) => ("bool", None, Some(f64::from(u8::from(*bool)))),
            Property::String(string) => ("string", Some(string.clone()), None),
            Property::Struct(encoded) => ("struct", Some(encoded.clone()), None),
        };
        let key_text = text.as_ref().map(|text| text.chars().take(191).collect::<String>());
        insert(
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

fn insert(table: &str, columns: &str, params: Vec<Param>) -> Statement {
    let mut statement = Statement::new(Dialect::Sqlite, "INSERT INTO ");
    statement.push(table).push(" (").push(columns).push(") VALUES (").bind_all(params).push(")");
    statement
}
