//! The fields of a kind: how each is called, what it holds, and when it is given.

/// A field that a kind has beyond those of every resource.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in JSON and in `filterQuery`.
    pub name: &'static str,
    /// The column of the kind's table that keeps it.
    pub column: &'static str,
    /// What it holds.
    pub form: Form,
    /// When it is given.
    pub given: Given,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any text.
    Text,
    /// A text that should be a URI; nothing is refused because of it.
    Uri,
    /// Texts in an order.
    Texts,
    /// The id of a resource, which JSON holds as a string.
    Id,
    /// Milliseconds since 1970, which JSON holds as a string.
    Millis,
    /// A whole number; the API's version 1 holds it as a string.
    Integer,
    /// A number.
    Number,
    /// One of a few words.
    Word(&'static Words),
}

/// The words that a field may hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// What the API calls this enumeration.
    pub schema: &'static str,
    /// The words.
    pub words: &'static [&'static str],
    /// What a new resource has when nothing else is said.
    pub default: Option<&'static str>,
}

/// When a field is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// With a new resource, and it has to be; never changed.
    Required,
    /// With a new resource; never changed.
    AtFirst,
    /// With a new resource, and changed by updates.
    Always,
}

impl Field {
    pub(super) const fn new(name: &'static str, column: &'static str, form: Form, given: Given) -> Self {
        Self { name, column, form, given }
    }

    pub(super) const fn text(name: &'static str, column: &'static str) -> Self {
        Self::new(name, column, Form::Text, Given::Always)
    }
}
