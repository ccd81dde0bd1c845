//! What the comparisons of a query are about, kind by kind: well-known fields or custom properties, and values of their
//! types.

use super::Subject;
use super::condition::{Compared, Condition, Form, TextTest, Value};
use super::error::Fault;
use super::known::{Column, Holds, Known};
use super::parse::number_in;
use super::pattern::Pattern;
use super::syntax::{Comparison, Expression, Literal, Number, Operator, Property, Suffix, Test, whole};
use crate::model::Kind;

/// A comparison can't hold for a subject, whatever its values are.
enum Mismatch {
    /// It has no such field.
    Absent(Fault),
    /// Its field holds something else.
    Type(Fault),
}

/// Refuses comparisons that can't hold for any of the subjects, and lists with values that can't be what is looked for.
pub(super) fn check(expression: &Expression, subjects: &[Subject]) -> Result<(), Fault> {
    expression.comparisons().into_iter().flat_map(value_by_value).try_for_each(|part| check_one(&part, subjects))
}

fn value_by_value(comparison: &Comparison) -> Vec<Comparison> {
    match &comparison.test {
        Test::OneOf(literals) => {
            let alone = |literal: &Literal| Test::OneOf(vec![literal.clone()]);
            literals.iter().map(|literal| Comparison { test: alone(literal), ..comparison.clone() }).collect()
        }
        _ => vec![comparison.clone()],
    }
}

fn check_one(comparison: &Comparison, subjects: &[Subject]) -> Result<(), Fault> {
    let mut refused = None;
    for subject in subjects {
        match (compare(comparison, *subject, subjects), &refused) {
            (Ok(_), _) => return Ok(()),
            (Err(mismatch @ Mismatch::Type(_)), _) | (Err(mismatch), None) => refused = Some(mismatch),
            (Err(_), Some(_)) => {}
        }
    }
    match refused {
        Some(Mismatch::Absent(fault) | Mismatch::Type(fault)) => Err(fault),
        None => Ok(()),
    }
}

/// What is asked of one of the subjects.
pub(super) fn resolve(expression: &Expression, subject: Subject, among: &[Subject]) -> Condition {
    let all = |parts: &[Expression]| parts.iter().map(|part| resolve(part, subject, among)).collect();
    match expression {
        Expression::Any(parts) => Condition::Any(all(parts)),
        Expression::All(parts) => Condition::All(all(parts)),
        Expression::Comparison(comparison) => compare(comparison, subject, among).unwrap_or(Condition::NEVER),
    }
}

fn compare(comparison: &Comparison, subject: Subject, among: &[Subject]) -> Result<Condition, Mismatch> {
    let Property { name, custom, at, .. } = &comparison.property;
    let known = |subject: Subject| if *custom { None } else { Known::of(subject, name) };
    match (known(subject), subject) {
        (Some(known), _) => field(comparison, known),
        (None, Subject::Resource(kind)) if !among.iter().any(|other| known(*other).is_some()) => {
            self::custom(comparison, kind)
        }
        _ => Err(Mismatch::Absent(Fault::new(*at, format!("one of {}", Known::names_of_history())))),
    }
}

fn field(comparison: &Comparison, known: Known) -> Result<Condition, Mismatch> {
    let suffix = comparison.property.suffix;
    let textual = matches!(suffix, None | Some(Suffix::String));
    let numeric = matches!(suffix, None | Some(Suffix::Int | Suffix::Double));
    match known {
        Known::Always(value) if textual => Ok(Condition::constant(text_test(comparison)?.holds(value))),
        Known::Column(column, Holds::Text) if textual => Ok(Condition::Text(column, text_test(comparison)?)),
        Known::Column(column, Holds::Texts) if textual => texts(comparison, column),
        Known::Column(column, Holds::Whole) if numeric => whole_numbers(comparison, column),
        Known::Column(column, Holds::Number) if numeric => Ok(Condition::Number(column, numbers(comparison)?)),
        Known::OfRun(column) if numeric => of_run(comparison, column),
        Known::Always(_) | Known::Column(_, Holds::Text | Holds::Texts) => {
            Err(at_name(comparison, "no type, or .string_value, after a field that holds text"))
        }
        Known::Column(_, Holds::Whole | Holds::Number) | Known::OfRun(_) => {
            Err(at_name(comparison, "no type, .int_value or .double_value after a field that holds numbers"))
        }
    }
}

fn at_name(comparison: &Comparison, expected: &str) -> Mismatch {
    Mismatch::Type(Fault::new(comparison.property.at, expected))
}

fn at_value(comparison: &Comparison, expected: &str) -> Mismatch {
    let name = &comparison.property.name;
    Mismatch::Type(Fault::new(comparison.value_at, format!("{expected}, to compare `{name}` with")))
}

/// A test of text. Numbers and bools that are compared with texts count as they are written, but have no order there.
fn text_test(comparison: &Comparison) -> Result<TextTest, Mismatch> {
    let spelling = |literal: &Literal| match literal {
        Literal::Text(text) => text.clone(),
        Literal::Number(number) => number.spelling.clone(),
        Literal::Bool(bool) => bool.to_string(),
    };
    Ok(match &comparison.test {
        Test::Like(case, pattern) => TextTest::Like(Pattern::new(*case, pattern)),
        Test::OneOf(literals) => TextTest::Compare(Compared::OneOf(literals.iter().map(spelling).collect())),
        Test::Compare(operator, literal) if operator.is_of_order() && !matches!(literal, Literal::Text(_)) => {
            return Err(at_value(comparison, "a text in quotes"));
        }
        Test::Compare(operator, literal) => TextTest::Compare(Compared::To(*operator, spelling(literal))),
    })
}

/// A field that holds several texts is equal to each of them.
fn texts(comparison: &Comparison, column: Column) -> Result<Condition, Mismatch> {
    Ok(match text_test(comparison)? {
        TextTest::Compare(Compared::To(Operator::NotEqual, text)) => {
            Condition::All(vec![Condition::Present(column), Condition::NoElement(column, text)])
        }
        TextTest::Compare(Compared::To(operator, _)) if operator.is_of_order() => {
            return Err(at_name(comparison, "=, !=, IN, LIKE or ILIKE after a field that holds several texts"));
        }
        test => Condition::Element(column, test),
    })
}

/// Numbers, some of which may have been written as texts.
fn written(comparison: &Comparison) -> Result<Compared<Number>, Mismatch> {
    let number = |literal: &Literal| match literal {
        Literal::Number(number) => Some(number.clone()),
        Literal::Text(text) => number_in(text),
        Literal::Bool(_) => None,
    };
    match &comparison.test {
        Test::Compare(operator, literal) => number(literal).map(|number| Compared::To(*operator, number)),
        Test::OneOf(literals) => some(literals.iter().filter_map(number)).map(Compared::OneOf),
        Test::Like(..) => None,
    }
    .ok_or_else(|| at_value(comparison, "numbers"))
}

/// The values of a list that can be what is looked for, if there are any.
fn some<T>(values: impl Iterator<Item = T>) -> Option<Vec<T>> {
    Some(values.collect()).filter(|values: &Vec<T>| !values.is_empty())
}

fn numbers(comparison: &Comparison) -> Result<Compared<f64>, Mismatch> {
    Ok(match written(comparison)? {
        Compared::To(operator, number) => Compared::To(operator, number.value),
        Compared::OneOf(numbers) => Compared::OneOf(numbers.into_iter().map(|number| number.value).collect()),
    })
}

fn whole_numbers(comparison: &Comparison, column: Column) -> Result<Condition, Mismatch> {
    Ok(match written(comparison)? {
        Compared::OneOf(numbers) => Condition::Whole(column, one_of(&numbers)),
        Compared::To(operator, number) => match rounded(operator, &number) {
            Rounded::Never => Condition::NEVER,
            Rounded::Always => Condition::Present(column),
            Rounded::To(operator, whole) => Condition::Whole(column, Compared::To(operator, whole)),
        },
    })
}

fn of_run(comparison: &Comparison, column: &'static str) -> Result<Condition, Mismatch> {
    let compared = match written(comparison)? {
        Compared::OneOf(numbers) => one_of(&numbers),
        Compared::To(operator, number) => match rounded(operator, &number) {
            Rounded::Never => return Ok(Condition::NEVER),
            Rounded::Always => Compared::To(Operator::AtLeast, 0),
            Rounded::To(operator, whole) => Compared::To(operator, whole),
        },
    };
    Ok(Condition::OfRun(column, compared))
}

fn one_of(numbers: &[Number]) -> Compared<i64> {
    Compared::OneOf(numbers.iter().filter_map(|number| number.whole).collect())
}

/// How whole numbers compare to one that may not be whole.
enum Rounded {
    Never,
    Always,
    To(Operator, i64),
}

/// Databases differ in how exactly they compare whole numbers with others, so they are never asked to.
fn rounded(operator: Operator, number: &Number) -> Rounded {
    if let Some(whole) = number.whole {
        return Rounded::To(operator, whole);
    }
    let below = whole(number.value.floor());
    match (operator, below) {
        (Operator::NotEqual, _) => Rounded::Always,
        (Operator::Less | Operator::AtMost, Some(below)) => Rounded::To(Operator::AtMost, below),
        (Operator::Greater | Operator::AtLeast, Some(below)) => Rounded::To(Operator::Greater, below),
        (Operator::Less | Operator::AtMost, None) if number.value > 0.0 => Rounded::Always,
        (Operator::Greater | Operator::AtLeast, None) if number.value < 0.0 => Rounded::Always,
        _ => Rounded::Never,
    }
}

/// Without a type, that of each value says which properties are looked at.
fn custom(comparison: &Comparison, kind: Kind) -> Result<Condition, Mismatch> {
    let name = &comparison.property.name;
    let value = match comparison.property.suffix {
        None => return Ok(of_each_type(comparison, kind)),
        Some(Suffix::String) => Value::Text(text_test(comparison)?),
        Some(Suffix::Int) => Value::Number(&[Form::Int], numbers(comparison)?),
        Some(Suffix::Double) => Value::Number(&[Form::Double], numbers(comparison)?),
        Some(Suffix::Bool) => Value::Number(&[Form::Bool], bools(comparison)?),
    };
    Ok(Condition::Custom(kind, name.clone(), value))
}

fn bools(comparison: &Comparison) -> Result<Compared<f64>, Mismatch> {
    let bool = |literal: &Literal| match literal {
        Literal::Bool(bool) => Some(number_of(*bool)),
        Literal::Text(text) if text.eq_ignore_ascii_case("true") => Some(number_of(true)),
        Literal::Text(text) if text.eq_ignore_ascii_case("false") => Some(number_of(false)),
        _ => None,
    };
    match &comparison.test {
        Test::Compare(operator, literal) => bool(literal).map(|bool| Compared::To(*operator, bool)),
        Test::OneOf(literals) => some(literals.iter().filter_map(bool)).map(Compared::OneOf),
        Test::Like(..) => None,
    }
    .ok_or_else(|| at_value(comparison, "true or false"))
}

/// The database holds bools as numbers.
fn number_of(bool: bool) -> f64 {
    f64::from(u8::from(bool))
}

fn of_each_type(comparison: &Comparison, kind: Kind) -> Condition {
    const NUMBERS: &[Form] = &[Form::Int, Form::Double];
    let of = |value: Value| Condition::Custom(kind, comparison.property.name.clone(), value);
    let text = |compared| of(Value::Text(TextTest::Compare(compared)));
    match &comparison.test {
        Test::Like(case, pattern) => of(Value::Text(TextTest::Like(Pattern::new(*case, pattern)))),
        Test::Compare(operator, Literal::Text(value)) => text(Compared::To(*operator, value.clone())),
        Test::Compare(operator, Literal::Number(number)) => {
            of(Value::Number(NUMBERS, Compared::To(*operator, number.value)))
        }
        Test::Compare(operator, Literal::Bool(bool)) => {
            of(Value::Number(&[Form::Bool], Compared::To(*operator, number_of(*bool))))
        }
        Test::OneOf(literals) => {
            let (mut texts, mut numbers, mut bools) = (Vec::new(), Vec::new(), Vec::new());
            for literal in literals {
                match literal {
                    Literal::Text(value) => texts.push(value.clone()),
                    Literal::Number(number) => numbers.push(number.value),
                    Literal::Bool(bool) => bools.push(number_of(*bool)),
                }
            }
            let number = |forms, values: Vec<f64>| {
                (!values.is_empty()).then(|| of(Value::Number(forms, Compared::OneOf(values))))
            };
            let texts = (!texts.is_empty()).then(|| text(Compared::OneOf(texts)));
            let mut parts: Vec<_> =
                [texts, number(NUMBERS, numbers), number(&[Form::Bool], bools)].into_iter().flatten().collect();
            if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) }
        }
    }
}
