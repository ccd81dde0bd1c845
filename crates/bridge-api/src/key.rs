//! What names an entry in storage and in the URIs of location.
//!
//! A key has two segments, joined by the first `_` in it: registered model and version for entries of a registry,
//! namespace and InferenceService for entries that only the cluster knows. The first segment therefore never holds a
//! `_`, the second may. No two keys share a URI.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use model_catalog::render::Format;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

/// The longest key that a ConfigMap can hold.
pub const MAX_LENGTH: usize = 253;

/// The form of a key, as a regular expression; besides, it is no longer than [`MAX_LENGTH`].
pub const PATTERN: &str = r"^\.?[-a-zA-Z0-9][-.a-zA-Z0-9]*_(\.{0,2}[-_a-zA-Z0-9]|\.{3})[-._a-zA-Z0-9]*$";

/// A valid key, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryKey {
    text: Arc<str>,
}

/// A text is no key: which one, and which rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{key}` is not a key: {rule}")]
pub struct KeyError {
    /// The text that was given, shortened.
    pub key: String,
    /// The rule that it breaks.
    pub rule: KeyRule,
}

/// The rules for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyRule {
    /// Nothing was given.
    #[error("it is empty; a key looks like `<model>_<version>` or `<namespace>_<inference service>`")]
    Empty,
    /// Longer than a ConfigMap's keys may be.
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// A character that a ConfigMap's keys may not have.
    #[error("only letters, digits, `-`, `.` and `_` are allowed")]
    Characters,
    /// There is nothing to split it at.
    #[error("it has no `_` between its two segments")]
    NoSeparator,
    /// Nothing before or after the first `_`.
    #[error("there must be something on both sides of its first `_`")]
    EmptySegment,
    /// A segment that means something else in a URL's path.
    #[error("it must not begin with `..`, and no segment may be `.` or `..`")]
    DotSegment,
}

impl EntryKey {
    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Model and version, or namespace and InferenceService.
    pub fn segments(&self) -> (&str, &str) {
        self.text.split_once('_').unwrap_or((&self.text, ""))
    }

    /// The path under which location serves this entry's document.
    pub fn uri(&self, format: Format) -> String {
        let (first, second) = self.segments();
        format!("/{first}/{second}/{}", format.file_name())
    }

    /// The key whose segments these are.
    pub fn from_segments(first: &str, second: &str) -> Result<Self, KeyError> {
        let text = format!("{first}_{second}");
        let key = Self::from_str(&text)?;
        if key.segments() == (first, second) {
            return Ok(key);
        }
        Err(KeyError { key: shortened(&text), rule: KeyRule::EmptySegment })
    }
}

fn check(text: &str) -> Result<(), KeyRule> {
    if text.is_empty() {
        return Err(KeyRule::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(KeyRule::TooLong);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !text.bytes().all(allowed) {
        return Err(KeyRule::Characters);
    }
    let (first, second) = text.split_once('_').ok_or(KeyRule::NoSeparator)?;
    if first.is_empty() || second.is_empty() {
        return Err(KeyRule::EmptySegment);
    }
    // Kubernetes refuses keys that begin with two dots, and URLs resolve such segments away.
    if text.starts_with("..") || [first, second].iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(KeyRule::DotSegment);
    }
    Ok(())
}

/// Foreign text in a message: not more of it than helps.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        return text.escape_debug().to_string();
    }
    let head: String = text.chars().take(SHOWN).collect();
    format!("{}…", head.escape_debug())
}

impl FromStr for EntryKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text).map_err(|rule| KeyError { key: shortened(text), rule })?;
        Ok(Self { text: text.into() })
    }
}

impl TryFrom<String> for EntryKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EntryKey> for String {
    fn from(key: EntryKey) -> Self {
        key.text.as_ref().to_owned()
    }
}

impl std::borrow::Borrow<str> for EntryKey {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for EntryKey {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl ToSchema for EntryKey {}

impl PartialSchema for EntryKey {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What names an entry: `<model>_<version>` or `<namespace>_<inference service>`"))
            .pattern(Some(PATTERN))
            .max_length(Some(MAX_LENGTH))
            .examples(["granite-8b_v1"])
            .into()
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryKey({})", self.text)
    }
}
