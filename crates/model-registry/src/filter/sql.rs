//! From [`Condition`] to SQL. All that comes from a query is bound.

mod text;

use super::condition::{Compared, Condition, Form, TextTest, Value};
use super::known::Column;
use super::syntax::Operator;
use crate::database::{Dialect, Param, Statement};
use crate::model::Kind;
use crate::store::INDEXED;

/// How custom properties are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// All resources with such a property, in the indexes of those.
    OfAll,
    /// The property of each resource, by its id.
    OfEach,
}

impl Condition {
    /// Goes on with this condition, in parentheses.
    pub(super) fn push(&self, statement: &mut Statement, lookup: Lookup) {
        statement.push("(");
        match self {
            Self::Any(parts) => push_parts(statement, parts, lookup, " OR ", "1 = 0"),
            Self::All(parts) => push_parts(statement, parts, lookup, " AND ", "1 = 1"),
            Self::Present(column) => {
                statement.push(&column.sql()).push(" IS NOT NULL");
            }
            Self::Text(column, test) => text::push(statement, &column.sql(), test),
            Self::Element(column, test) => push_elements(statement, *column, test),
            Self::NoElement(column, value) => push_no_element(statement, *column, value),
            Self::Whole(column, compared) => push_compared(statement, &column.sql(), compared),
            Self::Number(column, compared) => push_compared(statement, &column.sql(), compared),
            Self::OfRun(column, compared) => push_of_run(statement, column, compared),
            Self::Custom(kind, name, value) => match lookup {
                Lookup::OfAll => push_custom_of_all(statement, *kind, name, value),
                Lookup::OfEach => push_custom_of_each(statement, name, value),
            },
        }
        statement.push(")");
    }
}

fn push_parts(statement: &mut Statement, parts: &[Condition], lookup: Lookup, between: &str, none: &str) {
    if parts.is_empty() {
        statement.push(none);
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            statement.push(between);
        }
        part.push(statement, lookup);
    }
}

fn push_compared<T: Clone + Into<Param>>(statement: &mut Statement, expression: &str, compared: &Compared<T>) {
    match compared {
        Compared::To(operator, value) => {
            statement.push(expression).push(operator.sql()).bind(value.clone());
        }
        Compared::OneOf(values) if values.is_empty() => {
            statement.push("1 = 0");
        }
        Compared::OneOf(values) => {
            statement.push(expression).push(" IN (").bind_all(values.iter().cloned()).push(")");
        }
    }
}

/// The elements of the JSON array in a column, as rows of one text.
fn push_elements(statement: &mut Statement, column: Column, test: &TextTest) {
    let column = column.sql();
    let (elements, element) = match statement.dialect() {
        Dialect::Sqlite => (format!("json_each({column}) e"), "e.value"),
        Dialect::Postgres => (format!("json_array_elements_text(CAST({column} AS json)) AS e (item)"), "e.item"),
        Dialect::MySql => (
            format!("JSON_TABLE({column}, '$[*]' COLUMNS (item LONGTEXT PATH '$')) AS e"),
            "CONVERT(e.item USING utf8mb4) COLLATE utf8mb4_bin",
        ),
    };
    statement.push("EXISTS (SELECT 1 FROM ").push(&elements).push(" WHERE ");
    text::push(statement, element, test);
    statement.push(")");
}

fn push_no_element(statement: &mut Statement, column: Column, value: &str) {
    statement.push("NOT ");
    push_elements(statement, column, &TextTest::Compare(Compared::OneOf(vec![value.to_owned()])));
}

/// An artifact belongs to the run that is its parent.
fn push_of_run(statement: &mut Statement, column: &str, compared: &Compared<i64>) {
    statement.push("r.parent_id IN (SELECT o.id FROM resource o WHERE o.kind = '");
    statement.push(Kind::ExperimentRun.name()).push("' AND ");
    push_compared(statement, &["o.", column].concat(), compared);
    statement.push(")");
}

/// By the indexes of custom properties, which begin with kind, name, and text or number.
fn push_custom_of_all(statement: &mut Statement, kind: Kind, name: &str, value: &Value) {
    statement.push("r.id IN (SELECT p.resource_id FROM property p WHERE p.kind = '").push(kind.name()).push("' AND ");
    push_property(statement, name, value);
    statement.push(")");
}

/// By the primary key. Databases make a join of `EXISTS`, and then may begin with the properties; of a count they do not.
fn push_custom_of_each(statement: &mut Statement, name: &str, value: &Value) {
    statement.push("0 < (SELECT COUNT(*) FROM property p WHERE p.resource_id = r.id AND ");
    push_property(statement, name, value);
    statement.push(")");
}

/// Goes on with what has to hold of `property`, which has the alias `p` there.
pub(super) fn push_property(statement: &mut Statement, name: &str, value: &Value) {
    statement.push("p.name = ").bind(name).push(" AND ");
    match value {
        Value::Text(test) => {
            statement.push("p.form = 'string' AND ");
            push_property_text(statement, test);
        }
        Value::Number(forms, compared) => {
            push_forms(statement, forms);
            push_compared(statement, "p.number", compared);
        }
    }
}

fn push_forms(statement: &mut Statement, forms: &[Form]) {
    let forms: Vec<_> = forms.iter().map(|form| format!("'{}'", form.name())).collect();
    statement.push("p.form IN (").push(&forms.join(", ")).push(") AND ");
}

/// The beginning of a text is looked up in the index; all of it is only looked at where it is longer than that.
fn push_property_text(statement: &mut Statement, test: &TextTest) {
    let beginning = |text: &String| text.chars().take(INDEXED).collect::<String>();
    let all_of_it = |text: &String| text.chars().count() < INDEXED;
    let indexed = match test {
        TextTest::Compare(Compared::To(Operator::Equal, text)) => vec![text.clone()],
        TextTest::Compare(Compared::OneOf(texts)) => texts.clone(),
        _ => return text::push(statement, "p.text", test),
    };
    let beginnings = match indexed.as_slice() {
        [one] => Compared::To(Operator::Equal, beginning(one)),
        several => Compared::OneOf(several.iter().map(beginning).collect()),
    };
    text::push(statement, "p.key_text", &TextTest::Compare(beginnings));
    if !indexed.iter().all(all_of_it) {
        statement.push(" AND ");
        text::push(statement, "p.text", test);
    }
}
