//! Queries from text to what they find.

mod cases;
mod naive;
mod parsing;
mod print;
mod registry;
mod searching;
mod statements;

use testkit::fuzz::{fuzz, mutated};

use super::Filter;
use crate::database::{Dialect, Statement};
use crate::model::Kind;

/// Whatever a query is, it is refused with a place in it, or becomes SQL that holds nothing of it but bound values.
#[test]
fn fuzz_filter_query() {
    let seeds: Vec<Vec<u8>> = cases::queries().map(String::into_bytes).collect();
    fuzz(
        "filter-query",
        |rng| mutated(rng, &seeds),
        |input| {
            let text = String::from_utf8_lossy(input);
            let history = Filter::parse_for_history(&text);
            for filter in
                [Filter::parse(&text, &[Kind::RegisteredModel]), Filter::parse(&text, &Kind::ARTIFACTS), history]
            {
                match filter {
                    Ok(filter) => assert_is_sound(&filter),
                    Err(error) => {
                        assert!((1..=text.chars().count() + 1).contains(&error.position) && !error.expected.is_empty());
                    }
                }
            }
        },
    );
}

fn assert_is_sound(filter: &Filter) {
    for dialect in [Dialect::Sqlite, Dialect::Postgres, Dialect::MySql] {
        let mut statement = Statement::new(dialect, "");
        for kind in [Kind::RegisteredModel, Kind::Metric, Kind::Parameter] {
            filter.push_condition(&mut statement, kind);
        }
        filter.push_history_condition(&mut statement);
        let sql = statement.sql();
        let places = sql.matches(if dialect == Dialect::Postgres { '$' } else { '?' }).count();
        assert_eq!(places, statement.params().len(), "{sql}");
        assert_eq!(sql.matches('(').count(), sql.matches(')').count(), "{sql}");
        assert!(sql.is_ascii() && !sql.contains("--") && !sql.contains(';'), "{sql}");
    }
}
