//! The SQL that queries become.

use rstest::rstest;

use super::cases;
use super::registry::{ANY_NUMBER, NONE, Registry};
use crate::database::{Dialect, Param, Statement};
use crate::filter::Filter;
use crate::model::{Id, Kind};
use crate::store::{OrderBy, PageQuery, Query};

fn condition(dialect: Dialect, query: &str) -> (String, Vec<Param>) {
    let mut statement = Statement::new(dialect, "");
    Filter::parse(query, &[Kind::RegisteredModel]).unwrap().push_condition(&mut statement, Kind::RegisteredModel);
    (statement.sql().to_owned(), statement.params().to_vec())
}

#[rstest]
#[case(Dialect::Sqlite, "(r.name GLOB ?)", "[*]a_*")]
#[case(Dialect::Postgres, "(r.name LIKE $1 ESCAPE '!')", "*a!_%")]
#[case(Dialect::MySql, "(r.name LIKE ? ESCAPE '!')", "*a!_%")]
fn like_keeps_case(#[case] dialect: Dialect, #[case] sql: &str, #[case] pattern: &str) {
    assert_eq!(condition(dialect, r"name LIKE '*a\_%'"), (sql.to_owned(), vec![pattern.into()]));
}

#[rstest]
#[case(Dialect::Sqlite, "(LOWER(f.owner) GLOB ?)", "anÄ?*")]
#[case(Dialect::Postgres, "(TRANSLATE(f.owner, 'AN', 'an') LIKE $1 ESCAPE '!')", "anÄ_%")]
#[case(Dialect::MySql, "(REPLACE(REPLACE(f.owner, 'A', 'a'), 'N', 'n') LIKE ? ESCAPE '!')", "anÄ_%")]
fn ilike_ignores_the_case_of_ascii(#[case] dialect: Dialect, #[case] sql: &str, #[case] pattern: &str) {
    assert_eq!(condition(dialect, "owner ILIKE 'AnÄ_%'"), (sql.to_owned(), vec![pattern.into()]));
}

#[rstest]
#[case(Dialect::Sqlite, "(f.owner < ?)")]
#[case(Dialect::Postgres, "(f.owner COLLATE \"C\" < $1)")]
#[case(Dialect::MySql, "(CAST(f.owner AS BINARY) < ?)")]
fn texts_are_ordered_by_character(#[case] dialect: Dialect, #[case] sql: &str) {
    assert_eq!(condition(dialect, "owner < 'b'"), (sql.to_owned(), vec!["b".into()]));
}

#[test]
fn values_are_bound() {
    let query = r#"(name = "'; DROP TABLE resource" OR `a' OR 1=1` > 0.5) AND id IN ('1', 2)"#;
    let (sql, params) = condition(Dialect::Postgres, query);
    assert_eq!(
        sql,
        "(((r.name = $1) OR (r.id IN (SELECT p.resource_id FROM property p WHERE p.kind = 'RegisteredModel' AND p.name = $2 \
         AND p.form IN ('int', 'double') AND p.number > $3))) AND (r.id IN ($4, $5)))"
    );
    let name = "'; DROP TABLE resource";
    assert_eq!(params, [name.into(), "a' OR 1=1".into(), 0.5.into(), Param::Integer(1), Param::Integer(2)]);
}

#[test]
fn a_filter_holds_for_no_other_kind() {
    let mut statement = Statement::new(Dialect::Sqlite, "");
    Filter::parse("", &[Kind::RegisteredModel]).unwrap().push_condition(&mut statement, Kind::ModelVersion);
    assert_eq!(statement.sql(), "(1 = 0)");
}

/// What an index tells from the others is found by it, whatever the order.
#[tokio::test]
async fn rare_custom_properties_are_found_by_an_index() {
    let registry = Registry::in_sqlite().await;
    for (query, index) in [
        ("stage = 'Production'", "property_by_text (kind=? AND name=? AND key_text=? AND form=?"),
        ("stage = 'Production' AND name LIKE 'a%'", "property_by_text (kind=? AND name=? AND key_text=? AND form=?"),
        ("stage IN ('a', 'b')", "property_by_text (kind=? AND name=? AND key_text=? AND form=?"),
        ("score > 0.5", "property_by_number (kind=? AND name=? AND number>?"),
        ("score = 5", "property_by_number (kind=? AND name=? AND number=?"),
        ("tested.bool_value = true", "property_by_number (kind=? AND name=? AND number=?"),
    ] {
        for order in ORDERS {
            let plan = registry.plan(&versions(query, order, None), ANY_NUMBER).await;
            let found = format!("SEARCH p USING INDEX {index}");
            assert!(has(&plan, &found) || has(&plan, &found.replace("INDEX", "COVERING INDEX")), "{query}: {plan:#?}");
            assert!(!has(&plan, "SCAN r"), "{query}: {plan:#?}");
        }
    }
}

/// Those of the text that many have are in the index in the order of their ids.
#[tokio::test]
async fn what_has_one_text_is_listed_in_the_order_of_the_index() {
    let registry = Registry::in_sqlite().await;
    for query in ["stage = 'Production'", "score.int_value = 5", "stage = 'a' AND score > 0.5"] {
        let plan = registry.plan(&versions(query, OrderBy::Id, None), NONE).await;
        assert!(has(&plan, "SEARCH p USING") && sorts(&plan) == 1, "{query}: {plan:#?}");
    }
}

/// Otherwise those that come first are looked at first, and each by its id.
#[tokio::test]
async fn common_custom_properties_are_looked_up_along_the_order_of_the_list() {
    let registry = Registry::in_sqlite().await;
    for (order, index) in
        [(OrderBy::CreateTime, "order_of_created (kind=?)"), (OrderBy::LastUpdateTime, "order_of_updated (kind=?)")]
    {
        let beneath = index.replace("kind=?", "parent_id=? AND kind=?");
        for (of, index) in
            [(None, format!("resource_in_{index}")), (Some(1), format!("resource_of_parent_in_{beneath}"))]
        {
            let plan = registry.plan(&versions("stage = 'Production'", order, of), NONE).await;
            assert!(has(&plan, &index) && sorts(&plan) == 1, "{plan:#?}");
            assert!(
                has(&plan, "SEARCH p USING INDEX sqlite_autoindex_property_1 (resource_id=? AND name=?)"),
                "{plan:#?}"
            );
        }
    }
}

const ORDERS: [OrderBy; 3] = [OrderBy::Id, OrderBy::CreateTime, OrderBy::LastUpdateTime];

fn versions(query: &str, order_by: OrderBy, of: Option<i64>) -> Query {
    Query {
        kinds: vec![Kind::ModelVersion],
        of: of.map(Id::kept),
        name: None,
        external_id: None,
        filter: Some(Filter::parse(query, &[Kind::ModelVersion]).unwrap()),
        page: PageQuery { size: Some(100), order_by, ..PageQuery::default() },
    }
}

fn has(plan: &[String], step: &str) -> bool {
    plan.iter().any(|own| own.contains(step))
}

/// How often a plan puts something in order; the hundred that are answered are, after their fields were joined.
fn sorts(plan: &[String]) -> usize {
    plan.iter().filter(|step| step.contains("USE TEMP B-TREE FOR ORDER BY")).count()
}

/// What databases allow of depth and of values is more than what a query may have.
#[rstest]
#[case(Dialect::Sqlite)]
#[case(Dialect::Postgres)]
#[case(Dialect::MySql)]
#[tokio::test]
async fn the_greatest_queries_are_answered(#[case] dialect: Dialect) {
    let Some(registry) = Registry::on(dialect).await else { return };
    let nested = (0..100).fold("a = 1".to_owned(), |inner, level| {
        format!("b = 2 {} ({inner})", if level % 2 == 0 { "AND" } else { "OR" })
    });
    let chain = vec!["a='b'"; 200].join(" OR ");
    let list = format!("a IN ({})", vec!["'b'"; 1_000].join(","));
    for query in [nested, chain, list] {
        let filter = Filter::parse(&query, &Kind::ARTIFACTS).unwrap();
        assert_eq!(registry.ids(&filter, &Kind::ARTIFACTS).await, [0; 0]);
        let mut statement = registry.statement("SELECT r.id FROM resource r JOIN artifact f ON f.id = r.id WHERE ");
        for (index, kind) in Kind::ARTIFACTS.into_iter().enumerate() {
            statement.push(if index > 0 { " OR " } else { "" });
            filter.push_condition(&mut statement, kind);
        }
        assert_eq!(registry.numbers(statement).await, [0; 0]);
    }
}

#[rstest]
#[case(Dialect::Sqlite)]
#[case(Dialect::Postgres)]
#[case(Dialect::MySql)]
#[tokio::test]
async fn metric_history_is_searched(#[case] dialect: Dialect) {
    let Some(registry) = Registry::on(dialect).await else { return };
    let records = cases::table().records();
    registry.hold(&records).await;
    let columns = "id, run_id, metric_id, name, value, step, timestamp, state, properties, created";
    let mut history = registry.statement(&format!("INSERT INTO metric_history ({columns}) VALUES "));
    let id = |name: &str| records.iter().find(|record| record.name == name).unwrap().id.get();
    for (start, run, rest) in [
        ("(1, ", "run-1", ", 'loss', 0.5, 1, 1000, 'LIVE', '{}', 5000)"),
        (", (2, ", "run-1", ", 'loss', 0.25, 2, 2000, 'LIVE', '{}', 6000)"),
        (", (3, ", "run-2", ", 'accuracy', NULL, NULL, NULL, 'UNKNOWN', '{}', 7000)"),
    ] {
        history.push(start).bind(id(run)).push(", ").bind(id("loss")).push(rest);
    }
    registry.execute([history]).await;
    for (query, ids) in [
        ("", vec![1, 2, 3]),
        ("name = 'loss' AND value < 0.5", vec![2]),
        ("step >= '2' OR state = 'UNKNOWN'", vec![2, 3]),
        ("timestamp > 1000", vec![2]),
        ("experimentRunId IN ('{run-1}')", vec![1, 2]),
        ("createTimeSinceEpoch > 5000 AND id < 3", vec![2]),
        ("value.double_value != 0.5", vec![2]),
    ] {
        let mut statement = registry.statement("SELECT h.id FROM metric_history h WHERE ");
        let filter = Filter::parse_for_history(&cases::filled(query, &records)).unwrap();
        filter.push_history_condition(&mut statement);
        statement.push(" ORDER BY h.id");
        assert_eq!(registry.numbers(statement).await, ids, "{query}");
    }
}
