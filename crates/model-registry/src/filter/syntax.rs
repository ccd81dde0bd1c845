//! A `filterQuery` as it is written: which comparisons it is made of, whatever they are about.

use super::pattern::Case;

/// What has to hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// One of these: `OR`.
    Any(Vec<Expression>),
    /// All of these: `AND`.
    All(Vec<Expression>),
    /// This.
    Comparison(Comparison),
}

/// A property and what is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub(super) property: Property,
    pub(super) test: Test,
    /// Where the value is.
    pub(super) value_at: usize,
}

/// The name of a property.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub(super) name: String,
    /// Whether only a custom property can be meant: it was written after `customProperties.`.
    pub(super) custom: bool,
    /// The type of value that was asked for.
    pub(super) suffix: Option<Suffix>,
    /// Where it is.
    pub(super) at: usize,
}

/// A type that is written after a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    String,
    Double,
    Int,
    Bool,
}

/// What is asked of a property.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Compare(Operator, Literal),
    OneOf(Vec<Literal>),
    /// The pattern is as it was written.
    Like(Case, String),
}

/// How a value compares to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(Number),
    Bool(bool),
}

/// A number, of which it matters in two ways how it was written: as a text, and as a whole number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    pub(super) spelling: String,
    /// Finite.
    pub(super) value: f64,
    /// The same, where it is whole and small enough.
    pub(super) whole: Option<i64>,
}

impl Suffix {
    const ALL: [(Self, &str); 4] = [
        (Self::String, "string_value"),
        (Self::Double, "double_value"),
        (Self::Int, "int_value"),
        (Self::Bool, "bool_value"),
    ];

    /// The one of that name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(suffix, _)| suffix)
    }
}

impl Operator {
    /// What SQL calls it.
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Equal => " = ",
            Self::NotEqual => " <> ",
            Self::Less => " < ",
            Self::AtMost => " <= ",
            Self::Greater => " > ",
            Self::AtLeast => " >= ",
        }
    }

    /// Whether it asks which of two values comes first.
    pub(super) const fn is_of_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether it holds of two values.
    pub(super) fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
        }
    }
}

impl Number {
    /// A number by its digits; none where a double can't hold it.
    pub(super) fn spelled(spelling: &str) -> Option<Self> {
        let value: f64 = spelling.parse().ok().filter(|value: &f64| value.is_finite())?;
        Some(Self { spelling: spelling.to_owned(), value, whole: spelling.parse().ok().or_else(|| whole(value)) })
    }
}

/// The whole number that a double is.
pub(super) fn whole(value: f64) -> Option<i64> {
    /// 2^63: the first whole number that is too large.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and within the range")]
    (value.fract() == 0.0 && (-BEYOND..BEYOND).contains(&value)).then_some(value as i64)
}

impl Expression {
    /// Its comparisons, in the order in which they are written.
    pub(super) fn comparisons(&self) -> Vec<&Comparison> {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().flat_map(Self::comparisons).collect(),
            Self::Comparison(comparison) => vec![comparison],
        }
    }
}
