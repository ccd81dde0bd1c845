//! What a query says, and where it is wrong.

use proptest::prelude::*;
use rstest::rstest;

use super::print::print;
use crate::filter::Filter;
use crate::filter::parse::parse;
use crate::filter::pattern::Case;
use crate::filter::syntax::{Comparison, Expression, Literal, Number, Operator, Property, Suffix, Test};
use crate::model::Kind;

/// Where things were written is left out.
fn read(text: &str) -> Expression {
    fn without_places(expression: Expression) -> Expression {
        match expression {
            Expression::Any(parts) => Expression::Any(parts.into_iter().map(without_places).collect()),
            Expression::All(parts) => Expression::All(parts.into_iter().map(without_places).collect()),
            Expression::Comparison(Comparison { property, test, .. }) => {
                Expression::Comparison(Comparison { property: Property { at: 0, ..property }, test, value_at: 0 })
            }
        }
    }
    without_places(parse(text).unwrap().unwrap())
}

fn property(name: &str) -> Property {
    Property { name: name.to_owned(), custom: false, suffix: None, at: 0 }
}

fn asked(property: Property, test: Test) -> Expression {
    Expression::Comparison(Comparison { property, test, value_at: 0 })
}

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

fn number(spelling: &str) -> Literal {
    Literal::Number(Number::spelled(spelling).unwrap())
}

fn is(literal: Literal) -> Test {
    Test::Compare(Operator::Equal, literal)
}

#[rstest]
#[case::apostrophes("name='a'", is(text("a")))]
#[case::quotes(r#"name = "it's""#, is(text("it's")))]
#[case::escapes(r#"name = 'it\'s \"\\n'"#, is(text(r#"it's "\n"#)))]
#[case::other_backslashes_stay(r"name = '50\% \n'", is(text(r"50\% \n")))]
#[case::empty("name = ''", is(text("")))]
#[case::injection("name = '\\' OR 1=1; --'", is(text("' OR 1=1; --")))]
#[case::not_equal("name != 1", Test::Compare(Operator::NotEqual, number("1")))]
#[case::not_equal_too("name <> 1", Test::Compare(Operator::NotEqual, number("1")))]
#[case::less("name<-1", Test::Compare(Operator::Less, number("-1")))]
#[case::at_most("name <= +1", Test::Compare(Operator::AtMost, number("+1")))]
#[case::greater("name > .5", Test::Compare(Operator::Greater, number(".5")))]
#[case::at_least("name >= 1.5e-3", Test::Compare(Operator::AtLeast, number("1.5e-3")))]
#[case::no_space("name>=1E3", Test::Compare(Operator::AtLeast, number("1E3")))]
#[case::yes("name = True", is(Literal::Bool(true)))]
#[case::no("name = FALSE", is(Literal::Bool(false)))]
#[case::like("name like 'a%'", Test::Like(Case::Kept, "a%".to_owned()))]
#[case::ilike("name\tILike\n\"a_\"", Test::Like(Case::Ignored, "a_".to_owned()))]
#[case::list("name IN ('a', 2,true , -3.5)", Test::OneOf(vec![text("a"), number("2"), Literal::Bool(true), number("-3.5")]))]
#[case::short_list("name in(1)", Test::OneOf(vec![number("1")]))]
#[case::in_parentheses("((name = 'a'))", is(text("a")))]
#[case::in_backticks(" `name` = 'a' ", is(text("a")))]
fn values_are_read(#[case] query: &str, #[case] expected: Test) {
    assert_eq!(read(query), asked(property("name"), expected));
}

#[rstest]
#[case::plain("_a1", property("_a1"))]
#[case::other_letters("größe", property("größe"))]
#[case::dotted("mlflow.source.type", property("mlflow.source.type"))]
#[case::backticks("`mlflow.source-type`", property("mlflow.source-type"))]
#[case::backticks_with_escapes(r"`a\.b\`c\\d\e`", property(r"a.b`c\d\e"))]
#[case::parts_in_backticks("a.`b c`.d", property("a.b c.d"))]
#[case::typed("a.b.int_value", Property { suffix: Some(Suffix::Int), ..property("a.b") })]
#[case::typed_in_capitals("`a b`.STRING_VALUE", Property { suffix: Some(Suffix::String), ..property("a b") })]
#[case::no_type_in_backticks("a.`bool_value`", property("a.bool_value"))]
#[case::not_only_a_type("double_value", property("double_value"))]
#[case::custom("customProperties.name.double_value", Property { custom: true, suffix: Some(Suffix::Double), ..property("name") })]
#[case::a_property_called_so("customProperties", property("customProperties"))]
#[case::in_backticks_not_custom("`customProperties`.name", property("customProperties.name"))]
#[case::a_word_of_the_language("in", property("in"))]
fn names_are_read(#[case] name: &str, #[case] expected: Property) {
    assert_eq!(read(&format!("{name} = 1")), asked(expected, is(number("1"))));
}

#[test]
fn and_binds_closer_than_or() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| asked(property(name), is(number("1"))));
    let either = Expression::Any(vec![a.clone(), Expression::All(vec![b.clone(), c.clone()]), d.clone()]);
    assert_eq!(read("a = 1 or b = 1 AND c = 1 OR d = 1"), either);
    let both = Expression::All(vec![Expression::Any(vec![a, b]), Expression::Any(vec![c, d])]);
    assert_eq!(read("(a = 1 OR b = 1)and(c = 1 OR d = 1)"), both);
}

#[rstest]
#[case("name", 5, "a comparison operator (=, !=, <>, <, <=, >, >=, LIKE, ILIKE or IN)")]
#[case("name 'a'", 6, "a comparison operator (=, !=, <>, <, <=, >, >=, LIKE, ILIKE or IN)")]
#[case("name LIKELY 'a'", 6, "a comparison operator (=, !=, <>, <, <=, >, >=, LIKE, ILIKE or IN)")]
#[case("name NOT LIKE 'a'", 6, "a comparison operator (=, !=, <>, <, <=, >, >=, LIKE, ILIKE or IN)")]
#[case("name = ", 8, "a value (a text in quotes, a number, true or false)")]
#[case("name === 'a'", 7, "a value (a text in quotes, a number, true or false)")]
#[case("name = other", 8, "a value (a text in quotes, a number, true or false)")]
#[case("name = truely", 8, "a value (a text in quotes, a number, true or false)")]
#[case("größe = 'über", 9, "a closing ' to what begins here")]
#[case("'ü' = 1", 1, "the name of a property or `(`")]
#[case("`a = 1", 1, "a closing ` to what begins here")]
#[case("a.`` = 1", 3, "a name between the backticks")]
#[case("a. = 1", 3, "the rest of the property's name")]
#[case("name = 'ü' x", 12, "AND, OR or the end")]
#[case("name = 'a')", 11, "AND, OR or the end")]
#[case("name = 'a' AND", 15, "the name of a property or `(`")]
#[case("name = 'a' OR OR name = 'b'", 18, "a comparison operator (=, !=, <>, <, <=, >, >=, LIKE, ILIKE or IN)")]
#[case("(name = 'a' name", 13, "AND, OR or `)`")]
#[case("()", 2, "the name of a property or `(`")]
#[case("name LIKE 5", 11, "a text in quotes")]
#[case("name IN 5", 9, "a list of values in parentheses")]
#[case("name IN ()", 10, "a value (a text in quotes, a number, true or false)")]
#[case("name IN (1 2)", 12, "`,` or `)`")]
#[case("name IN (1,)", 12, "a value (a text in quotes, a number, true or false)")]
#[case("x = 1e999", 5, "a number that a double can hold")]
#[case("x = 'a\0b'", 7, "no NUL character")]
#[case("id = 'x'", 6, "numbers, to compare `id` with")]
#[case("id = 'NaN'", 6, "numbers, to compare `id` with")]
#[case("id = true", 6, "numbers, to compare `id` with")]
#[case("id LIKE '1%'", 9, "numbers, to compare `id` with")]
#[case("id IN (1, 'x')", 7, "numbers, to compare `id` with")]
#[case("a = 1 AND name < 5", 18, "a text in quotes, to compare `name` with")]
#[case("name.int_value = 5", 1, "no type, or .string_value, after a field that holds text")]
#[case("id.bool_value = 5", 1, "no type, .int_value or .double_value after a field that holds numbers")]
#[case("tasks > 'a'", 1, "=, !=, IN, LIKE or ILIKE after a field that holds several texts")]
#[case("x.int_value LIKE 'a'", 18, "numbers, to compare `x` with")]
#[case("x.bool_value = 1", 16, "true or false, to compare `x` with")]
#[case("x.string_value > 1", 18, "a text in quotes, to compare `x` with")]
fn faults_are_told_with_their_place(#[case] query: &str, #[case] position: usize, #[case] expected: &str) {
    let error = Filter::parse(query, &[Kind::RegisteredModel]).unwrap_err();
    assert_eq!((error.position, error.expected.as_str()), (position, expected));
    assert_eq!(error.to_string(), format!("invalid filterQuery at position {position}: expected {expected}"));
}

#[test]
fn metric_history_has_no_custom_properties() {
    for query in ["x = 1", "customProperties.value = 1", "description = 'a'"] {
        let error = Filter::parse_for_history(query).unwrap_err();
        let names = "one of id, name, value, step, timestamp, state, createTimeSinceEpoch, experimentRunId";
        assert_eq!((error.position, error.expected.as_str()), (1, names), "{query}");
    }
}

#[test]
fn a_comparison_that_one_of_the_kinds_allows_is_allowed() {
    for query in ["value > 0.5", "value LIKE 'a%'", "step = 1", "digest = 'x'", "x = 1"] {
        assert!(Filter::parse(query, &Kind::ARTIFACTS).is_ok(), "{query}");
    }
    assert_eq!(Filter::parse("step = 'x'", &Kind::ARTIFACTS).unwrap_err().position, 8);
}

#[rstest]
#[case::characters(&format!("name = '{}'", "ü".repeat(9_990)), &format!("name = '{}'", "ü".repeat(9_993)), 10_001, "at most 10000 characters")]
#[case::levels(&nested(100), &nested(101), 101, "at most 100 levels of parentheses")]
#[case::comparisons(&chained(200), &chained(201), 200 * 8 + 1, "at most 200 comparisons")]
#[case::values(&listed(1_000), &listed(1_001), 6 + 1_000 * 2, "at most 1000 values")]
fn queries_are_bounded(#[case] within: &str, #[case] beyond: &str, #[case] position: usize, #[case] expected: &str) {
    Filter::parse(within, &[Kind::ModelVersion]).unwrap();
    let error = Filter::parse(beyond, &[Kind::ModelVersion]).unwrap_err();
    assert_eq!((error.position, error.expected.as_str()), (position, expected));
}

fn nested(levels: usize) -> String {
    format!("{}a=1{}", "(".repeat(levels), ")".repeat(levels))
}

fn chained(comparisons: usize) -> String {
    vec!["a=1"; comparisons].join(" AND ")
}

fn listed(values: usize) -> String {
    format!("a IN({})", vec!["1"; values].join(","))
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        "[^\0]{0,5}".prop_map(|value| text(&value)),
        any::<i64>().prop_map(|value| number(&value.to_string())),
        (-1e300..1e300).prop_map(|value: f64| number(&format!("{value:e}"))),
        any::<bool>().prop_map(Literal::Bool),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let operator = prop::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::AtMost,
        Operator::Greater,
        Operator::AtLeast,
    ]);
    prop_oneof![
        (operator, literal()).prop_map(|(operator, literal)| Test::Compare(operator, literal)),
        prop::collection::vec(literal(), 1..4).prop_map(Test::OneOf),
        (prop::sample::select(vec![Case::Kept, Case::Ignored]), "[^\0]{0,5}")
            .prop_map(|(case, text)| Test::Like(case, text)),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    let suffix =
        prop::option::of(prop::sample::select(vec![Suffix::String, Suffix::Double, Suffix::Int, Suffix::Bool]));
    let property = ("[^\0]{1,5}", any::<bool>(), suffix).prop_map(|(name, custom, suffix)| Property {
        name,
        custom,
        suffix,
        at: 0,
    });
    let comparison = (property, test()).prop_map(|(property, test)| asked(property, test));
    comparison.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Any),
            prop::collection::vec(inner, 2..4).prop_map(Expression::All),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(expression in expression()) {
        prop_assert_eq!(read(&print(&expression)), expression);
    }

    #[test]
    fn no_text_is_too_strange(text in any::<String>()) {
        let _ = parse(&text);
    }
}
