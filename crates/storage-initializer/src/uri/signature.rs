//! A credential within a URI.

use std::fmt;

/// A shared access signature of Azure: the query of a URL, without its `?`. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(String);

impl Signature {
    /// The signature `query`.
    pub fn new(query: impl Into<String>) -> Self {
        Self(query.into())
    }

    /// It.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(***)")
    }
}
