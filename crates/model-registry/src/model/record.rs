//! A resource as it is kept, and what is given to make or to change one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Kind, Properties};

/// What identifies a resource: unique over all kinds, from 1 on, of at most nine digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(i64);

/// A text is no id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an id is a number of one to nine digits that does not begin with 0")]
pub struct IdError;

impl Id {
    /// As the database keeps it.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// From what the database keeps.
    pub const fn kept(id: i64) -> Self {
        Self(id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(id) if digits && !text.starts_with('0') => Ok(Self(id)),
            _ => Err(IdError),
        }
    }
}

/// The value of a field, in one of the forms of [`super::Form`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of `Text`, `Uri` and `Word`.
    Text(String),
    /// Of `Texts`.
    Texts(Vec<String>),
    /// Of `Id`, `Millis` and `Integer`.
    Integer(i64),
    /// Of `Number`.
    Number(f64),
}

/// Values by the names of their fields.
pub type Fields = BTreeMap<&'static str, Value>;

/// A resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is.
    pub kind: Kind,
    /// What identifies it.
    pub id: Id,
    /// What it belongs to. An artifact belongs to what it was made for, if anything.
    pub parent: Option<Id>,
    /// The run and its experiment that an artifact belongs to.
    pub run: Option<OfRun>,
    /// Its name, unique among those of its kind with the same parent.
    pub name: String,
    /// What others call it; unique in [`super::Table::scope`].
    pub external_id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// When it was changed last, in milliseconds since 1970; grows with every change.
    pub updated: i64,
    /// The values of its kind's fields.
    pub fields: Fields,
    /// What people attached to it.
    pub properties: Properties,
}

/// The run that an artifact belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfRun {
    /// The experiment of the run.
    pub experiment: Id,
    /// The run.
    pub run: Id,
}

/// What a new resource is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What it is.
    pub kind: Kind,
    /// What it belongs to.
    pub parent: Option<Id>,
    /// Its name; without one it is given a UUID, where its kind allows that.
    pub name: Option<String>,
    /// What others call it.
    pub external_id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Values of its kind's fields.
    pub fields: Fields,
    /// What people attach to it.
    pub properties: Properties,
}

impl Draft {
    /// A resource without anything.
    pub const fn new(kind: Kind) -> Self {
        Self {
            kind,
            parent: None,
            name: None,
            external_id: None,
            description: None,
            fields: Fields::new(),
            properties: Properties::new(),
        }
    }
}

/// What is changed of a resource; what is absent stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Patch {
    /// What others call it.
    pub external_id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Values of its kind's fields.
    pub fields: Fields,
    /// What takes the place of all of its custom properties.
    pub properties: Option<Properties>,
}
