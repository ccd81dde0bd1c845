//! An SQL statement that grows, with its parameters: values never become part of the text.

use super::Dialect;

/// A value for a place in a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// No text.
    NoText,
    /// No whole number.
    NoInteger,
    /// No number.
    NoNumber,
}

/// A statement.
#[derive(Debug, Clone)]
pub struct Statement {
    dialect: Dialect,
    sql: String,
    params: Vec<Param>,
}

impl Statement {
    /// One that begins with `sql`.
    pub fn new(dialect: Dialect, sql: &str) -> Self {
        Self { dialect, sql: sql.to_owned(), params: Vec::new() }
    }

    /// Several as one, for databases that run them so.
    pub(super) fn joined(dialect: Dialect, statements: Vec<Self>) -> Self {
        let mut all = Self::new(dialect, "");
        for statement in statements {
            all.sql.push_str(&statement.sql);
            all.sql.push(';');
            all.params.extend(statement.params);
        }
        all
    }

    /// For which databases it is.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Goes on with text of ours. Nothing that somebody gave may be in it: that is what [`Self::bind`] is for.
    pub fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Goes on with a place for a value.
    pub fn bind(&mut self, param: impl Into<Param>) -> &mut Self {
        self.params.push(param.into());
        match self.dialect {
            Dialect::Sqlite | Dialect::MySql => self.sql.push('?'),
            Dialect::Postgres => {
                self.sql.push('$');
                self.sql.push_str(&self.params.len().to_string());
            }
        }
        self
    }

    /// Goes on with places for values, parted by commas.
    pub fn bind_all<P: Into<Param>>(&mut self, params: impl IntoIterator<Item = P>) -> &mut Self {
        for (index, param) in params.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.bind(param);
        }
        self
    }

    /// Its text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Its values, in the order of their places.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    pub(super) fn into_parts(self) -> (String, Vec<Param>) {
        (self.sql, self.params)
    }
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Param {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Param {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::NoText, Self::Text)
    }
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Option<i64>> for Param {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::NoInteger, Self::Integer)
    }
}

impl From<f64> for Param {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<Option<f64>> for Param {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::NoNumber, Self::Number)
    }
}
