//! What queries mean, worked out on resources themselves instead of in a database.

use crate::filter::pattern::Case;
use crate::filter::syntax::{Comparison, Expression, Literal, Operator, Suffix, Test};
use crate::model::{Form, Kind, Parent, Property, Record, Value};

/// Resources of which some are listed.
pub(super) struct World<'r> {
    pub(super) records: &'r [Record],
    pub(super) listed: &'r [Kind],
}

/// What a name stands for.
enum Found {
    Text(Option<String>),
    Texts(Option<Vec<String>>),
    Whole(Option<i64>),
    Number(Option<f64>),
}

impl World<'_> {
    /// Whether an expression holds of one of the resources.
    pub(super) fn holds(&self, expression: &Expression, record: &Record) -> bool {
        match expression {
            Expression::Any(parts) => parts.iter().any(|part| self.holds(part, record)),
            Expression::All(parts) => parts.iter().all(|part| self.holds(part, record)),
            Expression::Comparison(comparison) => self.compares(comparison, record),
        }
    }

    fn compares(&self, Comparison { property, test, .. }: &Comparison, record: &Record) -> bool {
        let suffix = property.suffix;
        if !property.custom {
            if let Some(found) = self.field(record, &property.name) {
                return field_is(&found, suffix, test);
            }
            if self.listed.iter().any(|kind| names(*kind).contains(&property.name.as_str())) {
                return false;
            }
        }
        record.properties.get(&property.name).is_some_and(|value| property_is(value, suffix, test))
    }

    fn field(&self, record: &Record, name: &str) -> Option<Found> {
        if !names(record.kind).contains(&name) {
            return None;
        }
        let parent = self.records.iter().find(|other| Some(other.id) == record.parent);
        let run = parent.filter(|parent| parent.kind == Kind::ExperimentRun);
        Some(match name {
            "id" => Found::Whole(Some(record.id.get())),
            "name" => Found::Text(Some(record.name.clone())),
            "description" => Found::Text(record.description.clone()),
            "externalId" => Found::Text(record.external_id.clone()),
            "createTimeSinceEpoch" => Found::Whole(Some(record.created)),
            "lastUpdateTimeSinceEpoch" => Found::Whole(Some(record.updated)),
            "artifactType" => Found::Text(record.kind.artifact_type().map(str::to_owned)),
            "experimentRunId" => Found::Whole(run.map(|run| run.id.get())),
            "experimentId" if record.kind != Kind::ExperimentRun => {
                Found::Whole(run.and_then(|run| run.parent).map(crate::model::Id::get))
            }
            name if matches!(record.kind.parent(), Parent::Named(_, parent) if parent == name) => {
                Found::Whole(record.parent.map(crate::model::Id::get))
            }
            name => kept(record, name),
        })
    }
}

fn names(kind: Kind) -> Vec<&'static str> {
    let mut names = vec!["id", "name", "description", "externalId", "createTimeSinceEpoch", "lastUpdateTimeSinceEpoch"];
    names.extend(kind.fields().iter().map(|field| field.name));
    match kind.parent() {
        Parent::Named(_, name) => names.push(name),
        Parent::Linked => names.extend(["artifactType", "experimentId", "experimentRunId"]),
        Parent::None | Parent::OfPath(_) => {}
    }
    names
}

fn kept(record: &Record, name: &str) -> Found {
    let value = record.fields.get(name);
    match (record.kind.field(name).unwrap().form, value) {
        (Form::Word(words), None) => Found::Text(words.default.map(str::to_owned)),
        (_, Some(Value::Text(text))) => Found::Text(Some(text.clone())),
        (_, Some(Value::Texts(texts))) => Found::Texts(Some(texts.clone())),
        (_, Some(Value::Integer(number))) => Found::Whole(Some(*number)),
        (_, Some(Value::Number(number))) => Found::Number(Some(*number)),
        (Form::Text | Form::Uri, None) => Found::Text(None),
        (Form::Texts, None) => Found::Texts(None),
        (Form::Id | Form::Millis | Form::Integer, None) => Found::Whole(None),
        (Form::Number, None) => Found::Number(None),
    }
}

fn field_is(found: &Found, suffix: Option<Suffix>, test: &Test) -> bool {
    let textual = matches!(suffix, None | Some(Suffix::String));
    let numeric = matches!(suffix, None | Some(Suffix::Int | Suffix::Double));
    match found {
        Found::Text(Some(text)) => textual && text_is(text, test),
        Found::Texts(Some(texts)) if textual => match test {
            Test::Compare(Operator::NotEqual, literal) => !texts.contains(&spelled(literal)),
            Test::Compare(Operator::Equal, _) | Test::OneOf(_) | Test::Like(..) => {
                texts.iter().any(|text| text_is(text, test))
            }
            Test::Compare(..) => false,
        },
        Found::Whole(Some(number)) => numeric && whole_is(*number, test),
        Found::Number(Some(number)) => numeric && number_is(*number, test, Some(true)),
        _ => false,
    }
}

fn property_is(property: &Property, suffix: Option<Suffix>, test: &Test) -> bool {
    let quoted = suffix.map(|_| true);
    match (property, suffix) {
        (Property::String(text), Some(Suffix::String)) => text_is(text, test),
        (Property::String(text), None) => match test {
            Test::Compare(_, literal) => matches!(literal, Literal::Text(_)) && text_is(text, test),
            Test::OneOf(literals) => literals.contains(&Literal::Text(text.clone())),
            Test::Like(..) => text_is(text, test),
        },
        (Property::Int(int), None | Some(Suffix::Int)) => number_is(f64::from(*int), test, quoted),
        (Property::Double(double), None | Some(Suffix::Double)) => number_is(*double, test, quoted),
        (Property::Bool(bool), None | Some(Suffix::Bool)) => bool_is(*bool, test, quoted),
        _ => false,
    }
}

fn spelled(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => text.clone(),
        Literal::Number(number) => number.spelling.clone(),
        Literal::Bool(bool) => bool.to_string(),
    }
}

fn text_is(text: &str, test: &Test) -> bool {
    match test {
        Test::Compare(operator, literal) => {
            let ordered =
                matches!(literal, Literal::Text(_)) || matches!(operator, Operator::Equal | Operator::NotEqual);
            ordered && operator.holds(text, spelled(literal).as_str())
        }
        Test::OneOf(literals) => literals.iter().any(|literal| spelled(literal) == text),
        Test::Like(Case::Kept, pattern) => like(&characters(pattern), &characters(text)),
        Test::Like(Case::Ignored, pattern) => {
            like(&characters(&pattern.to_ascii_lowercase()), &characters(&text.to_ascii_lowercase()))
        }
    }
}

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|taken| like(rest, &text[taken..])),
        ['_', rest @ ..] => !text.is_empty() && like(rest, &text[1..]),
        ['\\', just, rest @ ..] | [just, rest @ ..] => text.first() == Some(just) && like(rest, &text[1..]),
    }
}

/// The number of a literal; of a text only where those are read.
fn number(literal: &Literal, quoted: Option<bool>) -> Option<f64> {
    match literal {
        Literal::Number(number) => Some(number.value),
        Literal::Text(text) if quoted == Some(true) => {
            let digits = text.chars().all(|character| character.is_ascii_digit() || "+-.eE".contains(character));
            text.parse().ok().filter(|_| digits && !text.ends_with('.'))
        }
        _ => None,
    }
}

fn number_is(value: f64, test: &Test, quoted: Option<bool>) -> bool {
    match test {
        Test::Compare(operator, literal) => number(literal, quoted).is_some_and(|other| operator.holds(&value, &other)),
        Test::OneOf(literals) => literals.iter().any(|literal| number(literal, quoted) == Some(value)),
        Test::Like(..) => false,
    }
}

fn whole_is(value: i64, test: &Test) -> bool {
    let compare = |operator: Operator, literal: &Literal| {
        let spelled = spelled(literal);
        match (spelled.parse::<i64>(), number(literal, Some(true))) {
            (Ok(other), Some(_)) => operator.holds(&value, &other),
            // Small numbers and huge ones: a double tells them apart.
            #[allow(clippy::cast_precision_loss, reason = "the numbers here are small or far apart")]
            (Err(_), Some(other)) => operator.holds(&(value as f64), &other),
            _ => false,
        }
    };
    match test {
        Test::Compare(operator, literal) => compare(*operator, literal),
        Test::OneOf(literals) => literals.iter().any(|literal| compare(Operator::Equal, literal)),
        Test::Like(..) => false,
    }
}

fn bool_is(value: bool, test: &Test, quoted: Option<bool>) -> bool {
    let bool = |literal: &Literal| match literal {
        Literal::Bool(bool) => Some(*bool),
        Literal::Text(text) if quoted == Some(true) => text.to_lowercase().parse().ok(),
        _ => None,
    };
    match test {
        Test::Compare(operator, literal) => bool(literal).is_some_and(|other| operator.holds(&value, &other)),
        Test::OneOf(literals) => literals.iter().any(|literal| bool(literal) == Some(value)),
        Test::Like(..) => false,
    }
}
