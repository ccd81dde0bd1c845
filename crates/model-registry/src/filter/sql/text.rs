//! Tests of text, which each database has a way of its own to do exactly: some ignore case or trailing spaces, or order
//! texts as a language does.

use super::push_compared;
use crate::database::{Dialect, Statement};
use crate::filter::condition::{Compared, TextTest};
use crate::filter::pattern::{Case, Pattern};
use crate::filter::syntax::Operator;

/// Goes on with a test of `text`, which is an expression.
pub(super) fn push(statement: &mut Statement, text: &str, test: &TextTest) {
    match (test, statement.dialect()) {
        (TextTest::Like(pattern), dialect) => push_like(statement, dialect, text, pattern),
        (TextTest::Compare(Compared::To(operator, value)), Dialect::Postgres) if operator.is_of_order() => {
            statement.push(text).push(" COLLATE \"C\"").push(operator.sql()).bind(value.as_str());
        }
        (TextTest::Compare(compared), Dialect::Sqlite | Dialect::Postgres) => push_compared(statement, text, compared),
        (TextTest::Compare(compared), Dialect::MySql) => push_bytes(statement, text, compared),
    }
}

/// MySQL and MariaDB compare texts as if the shorter one went on with spaces, but bytes as they are. Only texts are
/// indexed, so what has to be equal is looked for both ways.
fn push_bytes(statement: &mut Statement, text: &str, compared: &Compared<String>) {
    if matches!(compared, Compared::To(Operator::Equal, _) | Compared::OneOf(_)) {
        push_compared(statement, text, compared);
        statement.push(" AND ");
    }
    push_compared(statement, &format!("CAST({text} AS BINARY)"), compared);
}

fn push_like(statement: &mut Statement, dialect: Dialect, text: &str, pattern: &Pattern) {
    match (dialect, pattern.case) {
        (Dialect::Sqlite, Case::Kept) => statement.push(text),
        (Dialect::Sqlite, Case::Ignored) => statement.push(&format!("LOWER({text})")),
        (Dialect::Postgres | Dialect::MySql, _) => statement.push(&folded(dialect, text, pattern)),
    };
    match dialect {
        Dialect::Sqlite => statement.push(" GLOB ").bind(pattern.glob()),
        Dialect::Postgres | Dialect::MySql => statement.push(" LIKE ").bind(pattern.like()).push(" ESCAPE '!'"),
    };
}

/// A text in which the letters of the pattern are in lower case, if their case does not matter. `LOWER` would change more
/// letters than those of ASCII, and not the same in each database.
fn folded(dialect: Dialect, text: &str, pattern: &Pattern) -> String {
    let letters = if pattern.case == Case::Ignored { pattern.letters() } else { Vec::new() };
    match dialect {
        _ if letters.is_empty() => text.to_owned(),
        Dialect::MySql => letters.into_iter().fold(text.to_owned(), |text, letter| {
            format!("REPLACE({text}, '{}', '{letter}')", letter.to_ascii_uppercase())
        }),
        Dialect::Sqlite | Dialect::Postgres => {
            let lower: String = letters.iter().collect();
            format!("TRANSLATE({text}, '{}', '{lower}')", lower.to_ascii_uppercase())
        }
    }
}
