//! What is wrong with a `filterQuery`, and where.

use thiserror::Error;
use winnow::error::ParserError;
use winnow::stream::{Location, Stream};

/// A text is no `filterQuery` for what is listed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid filterQuery at position {position}: expected {expected}")]
pub struct FilterError {
    /// The character at which it is wrong; the first one is 1.
    pub position: usize,
    /// What should be there.
    pub expected: String,
}

/// The same while it is looked for: places are bytes as yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) expected: String,
}

impl Fault {
    pub(super) fn new(at: usize, expected: impl Into<String>) -> Self {
        Self { at, expected: expected.into() }
    }

    pub(super) fn in_text(self, text: &str) -> FilterError {
        let before = text.char_indices().take_while(|(at, _)| *at < self.at).count();
        FilterError { position: before + 1, expected: self.expected }
    }
}

/// Where a parser stops that says nothing else. What is expected is filled in by [`super::parse`], which knows.
impl<I: Stream + Location> ParserError<I> for Fault {
    type Inner = Self;

    fn from_input(input: &I) -> Self {
        Self::new(input.current_token_start(), String::new())
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}
