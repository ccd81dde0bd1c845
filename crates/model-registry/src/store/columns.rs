//! How a resource lies in the database: its row, its kind's row, and its custom properties.

use std::collections::BTreeMap;

use crate::database::{Param, Row, Type};
use crate::model::{Field, Fields, Form, Id, Kind, OfRun, Properties, Property, Record, Table, Value};

use super::StoreError;

/// The id of the resource that everything belongs to which belongs to nothing.
pub(super) const ROOT: i64 = 0;
/// How much of a text the index of custom properties holds, in characters.
pub(crate) const INDEXED: usize = 191;

/// What every resource has, in the order of [`Common`]; `r` is the resource, `p` its parent.
const COMMON: &str =
    "r.id, r.kind, r.parent_id, r.name, r.external_id, r.description, r.created, r.updated, p.kind, p.parent_id";
const COMMON_TYPES: [Type; 10] = [
    Type::Integer,
    Type::Text,
    Type::Integer,
    Type::Text,
    Type::Text,
    Type::Text,
    Type::Integer,
    Type::Integer,
    Type::Text,
    Type::Integer,
];

/// The columns of a table's resources.
pub(super) struct Columns {
    table: Table,
    own: Vec<(&'static str, Form)>,
}

impl Columns {
    /// Those of a table; kinds that share it may share columns.
    pub(super) fn of(table: Table) -> Self {
        let mut own: Vec<(&'static str, Form)> = Vec::new();
        for field in Kind::ALL.into_iter().filter(|kind| kind.table() == table).flat_map(Kind::fields) {
            if !own.iter().any(|(column, _)| *column == field.column) {
                own.push((field.column, field.form));
            }
        }
        Self { table, own }
    }

    /// The kind's own columns, and what they hold.
    pub(super) fn own(&self) -> impl Iterator<Item = (&'static str, Type)> + '_ {
        self.own.iter().map(|(column, form)| (*column, kept_as(*form)))
    }

    /// What to select, and from where.
    pub(super) fn select(&self) -> String {
        let own: Vec<&str> = self.own.iter().map(|(column, _)| *column).collect();
        if own.is_empty() { format!("SELECT {COMMON} ") } else { format!("SELECT {COMMON}, f.{} ", own.join(", f.")) }
    }

    /// The tables to go on with after one that has the ids under the name `page`, or after the resource itself.
    pub(super) fn joins(&self) -> String {
        format!(" JOIN {} f ON f.id = r.id JOIN resource p ON p.id = r.parent_id", self.table.name())
    }

    pub(super) fn types(&self) -> Vec<Type> {
        COMMON_TYPES.into_iter().chain(self.own.iter().map(|(_, form)| kept_as(*form))).collect()
    }

    /// What a row holds, still without custom properties.
    pub(super) fn record(&self, mut row: Row) -> Result<Record, StoreError> {
        let id = row.integer(0).ok_or_else(|| broken("a row without an id"))?;
        let kind = row.text(1).and_then(Kind::named).ok_or_else(|| broken("a resource of no known kind"))?;
        let parent = row.integer(2).filter(|id| *id != ROOT);
        let run = match (row.text(8).and_then(Kind::named), row.integer(9), parent) {
            (Some(Kind::ExperimentRun), Some(experiment), Some(run)) => {
                Some(OfRun { experiment: Id::kept(experiment), run: Id::kept(run) })
            }
            _ => None,
        };
        let mut fields = Fields::new();
        for field in kind.fields() {
            let column = self.own.iter().position(|(column, _)| *column == field.column);
            if let Some(value) = column.and_then(|column| value(&mut row, COMMON_TYPES.len() + column, field)) {
                fields.insert(field.name, value);
            }
        }
        Ok(Record {
            kind,
            id: Id::kept(id),
            parent: parent.map(Id::kept),
            run,
            name: row.take_text(3).unwrap_or_default(),
            external_id: row.take_text(4),
            description: row.take_text(5),
            created: row.integer(6).unwrap_or_default(),
            updated: row.integer(7).unwrap_or_default(),
            fields,
            properties: Properties::new(),
        })
    }
}

const fn kept_as(form: Form) -> Type {
    match form {
        Form::Text | Form::Uri | Form::Texts | Form::Word(_) => Type::Text,
        Form::Id | Form::Millis | Form::Integer => Type::Integer,
        Form::Number => Type::Number,
    }
}

fn value(row: &mut Row, column: usize, field: &Field) -> Option<Value> {
    match field.form {
        Form::Text | Form::Uri | Form::Word(_) => row.take_text(column).map(Value::Text),
        Form::Texts => row.text(column).and_then(|texts| serde_json::from_str(texts).ok()).map(Value::Texts),
        Form::Id | Form::Millis | Form::Integer => row.integer(column).map(Value::Integer),
        Form::Number => row.number(column).map(Value::Number),
    }
}

/// What a column is given for a field.
pub(super) fn param(field: &Field, value: Option<&Value>) -> Param {
    match (kept_as(field.form), value) {
        (Type::Text, Some(Value::Text(text))) => Param::Text(text.clone()),
        (Type::Text, Some(Value::Texts(texts))) => Param::Text(serde_json::Value::from(texts.clone()).to_string()),
        (Type::Integer, Some(Value::Integer(number))) => Param::Integer(*number),
        (Type::Number, Some(Value::Number(number))) => Param::Number(*number),
        (Type::Text, _) => Param::NoText,
        (Type::Integer, _) => Param::NoInteger,
        (Type::Number, _) => Param::NoNumber,
    }
}

/// A custom property as its row holds it: form, text, the beginning of the text, number.
pub(super) fn property_params(property: &Property) -> [Param; 4] {
    let number = |form: &str, number: f64| [form.into(), Param::NoText, Param::NoText, number.into()];
    let text = |form: &str, text: &str| {
        let beginning: String = text.chars().take(INDEXED).collect();
        [form.into(), text.into(), beginning.into(), Param::NoNumber]
    };
    match property {
        Property::Int(int) => number("int", f64::from(*int)),
        Property::Double(double) => number("double", *double),
        Property::Bool(bool) => number("bool", f64::from(u8::from(*bool))),
        Property::String(string) => text("string", string),
        Property::Struct(encoded) => text("struct", encoded),
    }
}

/// What to select of custom properties, and its types.
pub(super) const PROPERTIES: &str = "SELECT resource_id, name, form, text, number FROM property ";
pub(super) const PROPERTY_TYPES: [Type; 5] = [Type::Integer, Type::Text, Type::Text, Type::Text, Type::Number];

/// The custom properties in rows, by the ids of their resources.
pub(super) fn properties(rows: Vec<Row>) -> Result<BTreeMap<i64, Properties>, StoreError> {
    let mut found = BTreeMap::<i64, Properties>::new();
    for mut row in rows {
        let id = row.integer(0).ok_or_else(|| broken("a custom property of nothing"))?;
        let name = row.take_text(1).unwrap_or_default();
        let property = property(&mut row).ok_or_else(|| broken("a custom property of no known form"))?;
        found.entry(id).or_default().insert(name, property);
    }
    Ok(found)
}

fn property(row: &mut Row) -> Option<Property> {
    let number = row.number(4);
    Some(match row.text(2)? {
        // An int was put there from an i32, which every double can hold.
        #[allow(clippy::cast_possible_truncation, reason = "an i32 comes back as it was")]
        "int" => Property::Int(number? as i32),
        "double" => Property::Double(number?),
        "bool" => Property::Bool(number? != 0.0),
        "string" => Property::String(row.take_text(3)?),
        "struct" => Property::Struct(row.take_text(3)?),
        _ => return None,
    })
}

/// The database holds what this program never puts there.
pub(super) fn broken(what: &str) -> StoreError {
    StoreError::Database(sqlx::Error::Decode(what.into()))
}
