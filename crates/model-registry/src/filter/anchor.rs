//! What of a query can lead to a list: custom properties that all of the list has to have, and that an index finds.

use super::condition::{Compared, Condition, TextTest, Value};
use super::sql::{Lookup, push_property};
use super::syntax::Operator;
use super::{Filter, Subject};
use crate::database::Statement;
use crate::model::Kind;

/// A custom property that everything that is looked for has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor<'f> {
    kind: Kind,
    name: &'f str,
    value: &'f Value,
    /// Which of the conditions it is.
    place: usize,
}

impl Filter {
    /// The custom properties that all resources of a kind have to have for which it holds.
    pub fn anchors(&self, kind: Kind) -> Vec<Anchor<'_>> {
        let mut anchors = Vec::new();
        for (place, part) in self.parts(kind).iter().enumerate() {
            if let Condition::Custom(kind, name, value) = part
                && is_found_by_index(value)
            {
                anchors.push(Anchor { kind: *kind, name, value, place });
            }
        }
        anchors
    }

    /// Goes on with ` AND ` and each of the conditions on resources of a kind, but for that of the anchor. Custom properties
    /// are looked up resource by resource, which pays where few resources are looked at.
    pub fn push_rest(&self, statement: &mut Statement, kind: Kind, anchor: Option<&Anchor>) {
        for (place, part) in self.parts(kind).iter().enumerate() {
            if anchor.is_none_or(|anchor| anchor.place != place) {
                statement.push(" AND ");
                part.push(statement, Lookup::OfEach);
            }
        }
    }

    /// The conditions of which all have to hold.
    fn parts(&self, kind: Kind) -> &[Condition] {
        const NEVER: &[Condition] = &[Condition::NEVER];
        let of_kind = self.conditions.iter().find(|(of, _)| *of == Subject::Resource(kind));
        match of_kind.map(|(_, condition)| condition) {
            Some(Condition::All(parts)) => parts,
            Some(other) => std::slice::from_ref(other),
            None => NEVER,
        }
    }
}

impl Anchor<'_> {
    /// The index that finds it.
    pub const fn index(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "property_by_text",
            Value::Number(..) => "property_by_number",
        }
    }

    /// Whether the index has those that it finds in the order of their ids.
    pub fn is_in_order_of_id(&self) -> bool {
        match self.value {
            Value::Text(TextTest::Compare(Compared::To(Operator::Equal, _))) => true,
            Value::Number(forms, Compared::To(Operator::Equal, _)) => forms.len() == 1,
            _ => false,
        }
    }

    /// Goes on with what has to hold of `property`, which has the alias `p` there.
    pub fn push_condition(&self, statement: &mut Statement) {
        statement.push("p.kind = '").push(self.kind.name()).push("' AND ");
        push_property(statement, self.name, self.value);
    }
}

/// Patterns and the order of texts are not: all properties of the name are read to find them.
fn is_found_by_index(value: &Value) -> bool {
    match value {
        Value::Text(TextTest::Compare(Compared::To(operator, _))) => !operator.is_of_order(),
        Value::Text(TextTest::Compare(Compared::OneOf(_))) | Value::Number(..) => true,
        Value::Text(TextTest::Like(_)) => false,
    }
}
