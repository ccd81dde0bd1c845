//! The well-known fields: those that a query finds in columns of their own, rather than among the custom properties.

use super::Subject;
use crate::model::{Form, Kind, Parent};

/// Where a well-known field is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// In a column.
    Column(Column, Holds),
    /// In a column of the run that an artifact belongs to.
    OfRun(&'static str),
    /// Nowhere: it is the same for all of a kind.
    Always(&'static str),
}

/// A column, with the alias of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    table: &'static str,
    name: &'static str,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    /// A JSON array of texts.
    Texts,
    Whole,
    Number,
}

const COMMON: [(&str, &str, Holds); 6] = [
    ("id", "id", Holds::Whole),
    ("name", "name", Holds::Text),
    ("description", "description", Holds::Text),
    ("externalId", "external_id", Holds::Text),
    ("createTimeSinceEpoch", "created", Holds::Whole),
    ("lastUpdateTimeSinceEpoch", "updated", Holds::Whole),
];
const OF_HISTORY: [(&str, &str, Holds); 8] = [
    ("id", "id", Holds::Whole),
    ("name", "name", Holds::Text),
    ("value", "value", Holds::Number),
    ("step", "step", Holds::Whole),
    ("timestamp", "timestamp", Holds::Whole),
    ("state", "state", Holds::Text),
    ("createTimeSinceEpoch", "created", Holds::Whole),
    ("experimentRunId", "run_id", Holds::Whole),
];

impl Known {
    /// The field of that name.
    pub(super) fn of(subject: Subject, name: &str) -> Option<Self> {
        match subject {
            Subject::MetricHistory => among(&OF_HISTORY, "h.", name),
            Subject::Resource(kind) => among(&COMMON, "r.", name).or_else(|| of_kind(kind, name)),
        }
    }

    /// The names of what is known of metrics over time.
    pub(super) fn names_of_history() -> String {
        OF_HISTORY.map(|(name, ..)| name).join(", ")
    }
}

fn among(fields: &[(&str, &'static str, Holds)], table: &'static str, name: &str) -> Option<Known> {
    let (_, column, holds) = fields.iter().find(|(known, ..)| *known == name)?;
    Some(Known::Column(Column { table, name: column }, *holds))
}

fn of_kind(kind: Kind, name: &str) -> Option<Known> {
    if let Some(field) = kind.field(name) {
        return Some(Known::Column(Column { table: "f.", name: field.column }, holds(field.form)));
    }
    match (kind.parent(), name) {
        (Parent::Named(_, parent), _) if parent == name => {
            Some(Known::Column(Column { table: "r.", name: "parent_id" }, Holds::Whole))
        }
        (Parent::Linked, "experimentRunId") => Some(Known::OfRun("id")),
        (Parent::Linked, "experimentId") => Some(Known::OfRun("parent_id")),
        (_, "artifactType") => kind.artifact_type().map(Known::Always),
        _ => None,
    }
}

const fn holds(form: Form) -> Holds {
    match form {
        Form::Text | Form::Uri | Form::Word(_) => Holds::Text,
        Form::Texts => Holds::Texts,
        Form::Id | Form::Millis | Form::Integer => Holds::Whole,
        Form::Number => Holds::Number,
    }
}

impl Column {
    /// What SQL calls it.
    pub(super) fn sql(self) -> String {
        [self.table, self.name].concat()
    }
}
