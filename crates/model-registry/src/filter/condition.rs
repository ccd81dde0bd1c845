//! What a query asks of the resources of one kind, in the terms of the schema: each value is of the type of its column.

use super::known::Column;
use super::pattern::Pattern;
use super::syntax::Operator;
use crate::model::Kind;

/// What has to hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    /// One of these.
    Any(Vec<Condition>),
    /// All of these.
    All(Vec<Condition>),
    /// There is a value in a column.
    Present(Column),
    /// Of the text in a column.
    Text(Column, TextTest),
    /// Of one of the texts in a column.
    Element(Column, TextTest),
    /// None of the texts in a column is that.
    NoElement(Column, String),
    /// Of the whole number in a column.
    Whole(Column, Compared<i64>),
    /// Of the number in a column.
    Number(Column, Compared<f64>),
    /// Of the whole number in a column of the run that an artifact belongs to.
    OfRun(&'static str, Compared<i64>),
    /// Of a custom property.
    Custom(Kind, String, Value),
}

/// What a value is compared to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Compared<T> {
    /// One value.
    To(Operator, T),
    /// Several, of which it has to be one.
    OneOf(Vec<T>),
}

/// What is asked of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextTest {
    /// How it compares, character by character in the order of Unicode.
    Compare(Compared<String>),
    /// What it is like.
    Like(Pattern),
}

/// What is asked of a custom property. One that holds something else is none of those that are looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// It is a text, of which this holds.
    Text(TextTest),
    /// It is of one of these types, and this holds of it.
    Number(&'static [Form], Compared<f64>),
}

/// How the column `form` tells types of numbers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Int,
    Double,
    Bool,
}

impl Condition {
    /// What never holds.
    pub(super) const NEVER: Self = Self::Any(Vec::new());

    /// What always holds.
    pub(super) const ALWAYS: Self = Self::All(Vec::new());

    /// What is the same for all.
    pub(super) const fn constant(holds: bool) -> Self {
        if holds { Self::ALWAYS } else { Self::NEVER }
    }
}

impl Form {
    /// What the database keeps of it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Double => "double",
            Self::Bool => "bool",
        }
    }
}

impl TextTest {
    /// Whether it holds of a text.
    pub(super) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Compare(Compared::To(operator, other)) => operator.holds(text, other.as_str()),
            Self::Compare(Compared::OneOf(others)) => others.iter().any(|other| other == text),
            Self::Like(pattern) => pattern.matches(text),
        }
    }
}
