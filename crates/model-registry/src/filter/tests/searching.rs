//! What queries find in each of the databases: what the table of cases says, and what they mean on resources at random.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use rstest::rstest;

use super::cases::{filled, table};
use super::naive::World;
use super::print::print;
use super::registry::{ANY_NUMBER, NONE, Registry};
use crate::database::Dialect;
use crate::filter::Filter;
use crate::filter::parse::parse;
use crate::filter::pattern::Case;
use crate::filter::syntax::{Comparison, Expression, Literal, Number, Operator, Property as Named, Suffix, Test};
use crate::model::{Field, Fields, Form, Id, Kind, Parent, Properties, Property, Record, Value};
use crate::store::{OrderBy, PageQuery, Query, SortOrder};

#[rstest]
#[case(Dialect::Sqlite)]
#[case(Dialect::Postgres)]
#[case(Dialect::MySql)]
#[tokio::test]
async fn queries_find_what_the_table_says(#[case] dialect: Dialect) {
    let Some(registry) = Registry::on(dialect).await else { return };
    let table = table();
    let records = table.records();
    registry.hold(&records).await;
    for cases in &table.cases {
        for (query, names) in &cases.finds {
            let query = filled(query, &records);
            let filter = Filter::parse(&query, &cases.kinds()).unwrap_or_else(|error| panic!("{query}: {error}"));
            let found = registry.ids(&filter, &cases.kinds()).await;
            let mut found: Vec<_> = found.iter().map(|id| name_of(&records, *id)).collect();
            let mut expected: Vec<_> = names.iter().map(String::as_str).collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{query}");
        }
    }
}

fn name_of(records: &[Record], id: i64) -> &str {
    &records.iter().find(|record| record.id.get() == id).unwrap().name
}

/// The same table holds for what the random tests below are measured with.
#[test]
fn the_meaning_of_queries_is_that_of_the_table() {
    let table = table();
    let records = table.records();
    for cases in &table.cases {
        let kinds = cases.kinds();
        let world = World { records: &records, listed: &kinds };
        for (query, names) in &cases.finds {
            let Some(expression) = parse(&filled(query, &records)).unwrap() else { continue };
            let holds = |record: &&Record| kinds.contains(&record.kind) && world.holds(&expression, record);
            let mut found: Vec<_> = records.iter().filter(holds).map(|record| record.name.as_str()).collect();
            let mut expected: Vec<_> = names.iter().map(String::as_str).collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{query}");
        }
    }
}

/// Names of custom properties; some are those of fields.
const CUSTOM: [&str; 4] = ["p", "a.b", "name", "value"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[aAbB%_*?!é\\\\\\[\\]'\" -]{0,3}",
        1 => (190..194_usize).prop_map(|length| "x".repeat(length)),
        1 => (189..193_usize, select(vec!["a", "b", "a "])).prop_map(|(length, end)| "x".repeat(length) + end),
        1 => select(vec!["0", "1", "1.5", "-1", "true", "False", "LIVE", "metric", "NaN", "1e3"]).prop_map(str::to_owned),
    ]
}

fn value(form: Form) -> BoxedStrategy<Value> {
    match form {
        Form::Text | Form::Uri => text().prop_map(Value::Text).boxed(),
        Form::Word(words) => select(words.words).prop_map(|word| Value::Text(word.to_owned())).boxed(),
        Form::Texts => prop::collection::vec(text(), 0..3).prop_map(Value::Texts).boxed(),
        Form::Id => (1..6_i64).prop_map(Value::Integer).boxed(),
        Form::Millis | Form::Integer => {
            select(vec![-1, 0, 1, 2, 1000, i64::from(i32::MAX)]).prop_map(Value::Integer).boxed()
        }
        Form::Number => select(vec![-1.5, 0.0, 0.5, 1.0, 1000.0, 1e300]).prop_map(Value::Number).boxed(),
    }
}

fn property() -> impl Strategy<Value = Property> {
    prop_oneof![
        select(vec![-1, 0, 1, 1000]).prop_map(Property::Int),
        select(vec![-1.5, 0.0, 0.5, 1.0, 1e300]).prop_map(Property::Double),
        text().prop_map(Property::String),
        any::<bool>().prop_map(Property::Bool),
        text().prop_map(Property::Struct),
    ]
}

/// Some of the fields that a resource of that kind may have, and those that it has to.
fn fields(kind: Kind) -> impl Strategy<Value = Fields> {
    let field = |field: &'static Field| {
        let required = field.given == crate::model::Given::Required;
        (prop::bool::weighted(if required { 1.0 } else { 0.7 }), value(field.form))
            .prop_map(|(given, value)| given.then_some((field.name, value)))
    };
    let fields: Vec<_> = kind.fields().iter().map(field).collect();
    fields.prop_map(|fields| fields.into_iter().flatten().collect())
}

fn properties() -> impl Strategy<Value = Properties> {
    prop::collection::btree_map(select(&CUSTOM[..]).prop_map(str::to_owned), property(), 0..4)
}

fn record(kinds: &'static [Kind]) -> impl Strategy<Value = Record> {
    let common = (text(), prop::option::of(text()), prop::option::of(text()), 1..6_i64, properties());
    (select(kinds).prop_flat_map(fields_of), common).prop_map(|((kind, fields), common)| {
        let (name, external_id, description, parent, properties) = common;
        let parent = (kind.parent() != Parent::None).then_some(parent);
        Record { external_id, description, fields, properties, ..bare(kind, 0, parent, &name) }
    })
}

fn fields_of(kind: Kind) -> impl Strategy<Value = (Kind, Fields)> {
    fields(kind).prop_map(move |fields| (kind, fields))
}

fn bare(kind: Kind, id: i64, parent: Option<i64>, name: &str) -> Record {
    Record {
        kind,
        id: Id::kept(id),
        parent: parent.map(Id::kept),
        run: None,
        name: name.to_owned(),
        external_id: None,
        description: None,
        created: id * 1000,
        updated: id * 1000 + 1,
        fields: Fields::new(),
        properties: Properties::new(),
    }
}

/// Resources at random, after some for them to belong to.
fn records(kinds: &'static [Kind]) -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(record(kinds), 1..12).prop_map(|random| {
        let mut records = vec![
            bare(Kind::Experiment, 1, None, "a"),
            bare(Kind::Experiment, 2, None, "b"),
            bare(Kind::ExperimentRun, 3, Some(1), "a"),
            bare(Kind::ExperimentRun, 4, Some(2), "b"),
            bare(Kind::ModelVersion, 5, Some(1), "a"),
        ];
        for (id, record) in (6..).zip(random) {
            records.push(Record { id: Id::kept(id), created: id * 1000, updated: id * 1000 + 1, ..record });
        }
        records
    })
}

fn literal() -> impl Strategy<Value = Literal> {
    let numbers = vec![
        "0",
        "1",
        "+1",
        "-1",
        "1.0",
        ".5",
        "-1.5",
        "1e3",
        "6",
        "6000",
        "7000.5",
        "1e300",
        "-1e300",
        "99999999999999999999",
        "9223372036854775807",
    ];
    prop_oneof![
        4 => text().prop_map(Literal::Text),
        3 => select(numbers).prop_map(|number| Literal::Number(Number::spelled(number).unwrap())),
        1 => any::<bool>().prop_map(Literal::Bool),
    ]
}

fn asked() -> impl Strategy<Value = Test> {
    let operators = vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::AtMost,
        Operator::Greater,
        Operator::AtLeast,
    ];
    let case = select(vec![Case::Kept, Case::Ignored]);
    prop_oneof![
        4 => (select(operators), literal()).prop_map(|(operator, literal)| Test::Compare(operator, literal)),
        1 => prop::collection::vec(literal(), 1..4).prop_map(Test::OneOf),
        2 => (case, text()).prop_map(|(case, pattern)| Test::Like(case, pattern)),
    ]
}

/// Names that mean something to one of the kinds, and others.
fn names(kinds: &[Kind]) -> Vec<&'static str> {
    let mut names =
        vec!["id", "name", "description", "externalId", "createTimeSinceEpoch", "artifactType", "experimentId"];
    names.push("experimentRunId");
    names.extend(CUSTOM.iter().chain(&CUSTOM));
    names.extend(kinds.iter().flat_map(|kind| kind.fields()).map(|field| field.name));
    names
}

fn expression(kinds: &'static [Kind]) -> impl Strategy<Value = Expression> {
    let suffix = select(vec![Suffix::String, Suffix::Double, Suffix::Int, Suffix::Bool]);
    let property = (select(names(kinds)), prop::bool::weighted(0.2), prop::option::weighted(0.3, suffix))
        .prop_map(|(name, custom, suffix)| Named { name: name.to_owned(), custom, suffix, at: 0 });
    let comparison = (property, asked())
        .prop_map(|(property, test)| Expression::Comparison(Comparison { property, test, value_at: 0 }))
        .prop_filter("refused", |comparison| Filter::parse(&print(comparison), kinds).is_ok());
    comparison.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            prop::collection::vec(inner, 2..4).prop_map(Expression::All),
        ]
    })
}

const LISTS: [&[Kind]; 8] = [
    &[Kind::RegisteredModel],
    &[Kind::ModelVersion],
    &Kind::ARTIFACTS,
    &[Kind::Metric],
    &[Kind::ServingEnvironment],
    &[Kind::InferenceService],
    &[Kind::ServeModel],
    &[Kind::ExperimentRun],
];

/// Lists of these kinds in one of the orders each, on each way to them.
fn lists_of(kinds: &[Kind], filter: &Filter) -> Vec<(Query, i64)> {
    let list = |of, order_by, sort_order, size| Query {
        kinds: kinds.to_vec(),
        of,
        name: None,
        external_id: None,
        filter: Some(filter.clone()),
        page: PageQuery { size, order_by, sort_order, after: None },
    };
    let by_id = list(None, OrderBy::Id, SortOrder::Ascending, Some(2));
    let by_time = list(None, OrderBy::LastUpdateTime, SortOrder::Descending, Some(3));
    let children = list(Some(Id::kept(1)), OrderBy::CreateTime, SortOrder::Ascending, None);
    // Nothing is linked to these artifacts.
    let children = Some(children).filter(|_| kinds.iter().all(|kind| kind.parent() != Parent::Linked));
    [by_id, by_time].into_iter().chain(children).flat_map(|list| [(list.clone(), NONE), (list, ANY_NUMBER)]).collect()
}

/// What is expected of a list, in its order. The times of all are in the order of their ids.
fn in_order(records: &[Record], ids: &[i64], list: &Query) -> Vec<i64> {
    let is_listed =
        |record: &&Record| ids.contains(&record.id.get()) && (list.of.is_none() || (record.parent == list.of));
    let mut ids: Vec<_> = records.iter().filter(is_listed).map(|record| record.id.get()).collect();
    if list.page.sort_order == SortOrder::Descending {
        ids.reverse();
    }
    ids
}

#[rstest]
#[case(Dialect::Sqlite, 40)]
#[case(Dialect::Postgres, 15)]
#[case(Dialect::MySql, 15)]
fn queries_find_what_they_mean(#[case] dialect: Dialect, #[case] cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(registry) = runtime.block_on(Registry::on(dialect)) else { return };
    let lists = select(&LISTS[..])
        .prop_flat_map(|kinds| (Just(kinds), records(kinds), prop::collection::vec(expression(kinds), 1..30)));
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&lists, |(kinds, records, expressions)| {
        runtime.block_on(async {
            registry.hold(&records).await;
            let world = World { records: &records, listed: kinds };
            for expression in &expressions {
                let query = print(expression);
                let filter = Filter::parse(&query, kinds).unwrap();
                let holds = |record: &&Record| kinds.contains(&record.kind) && world.holds(expression, record);
                let expected: Vec<_> = records.iter().filter(holds).map(|record| record.id.get()).collect();
                prop_assert_eq!(registry.ids(&filter, kinds).await, &expected[..], "{}", query);
                for (list, few) in lists_of(kinds, &filter) {
                    let found = registry.listed(&list, few).await;
                    let expected = in_order(&records, &expected, &list);
                    prop_assert_eq!(found, expected, "{}: {:?}, {} are few", query, list.page, few);
                }
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
