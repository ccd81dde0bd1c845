//! What is wrong, and where.

use std::fmt;

use serde::Serialize;

use super::source::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Backstage, or its provider, refuses it.
    Error,
    /// It depends on the Backstage.
    Warning,
}

/// Something to look at. Ordered by where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    pub(super) file: String,
    #[serde(flatten)]
    pub(super) place: Place,
    pub(super) severity: Severity,
    /// The field, as `metadata.tags[0]`; empty for the file itself.
    pub(super) field: String,
    pub(super) message: String,
}

impl Finding {
    /// About a whole file, or a place in it that is no field.
    pub(super) fn of_file(file: &str, place: Place, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), place, severity: Severity::Error, field: String::new(), message: message.into() }
    }

    /// About a field by its JSON pointer.
    pub(super) fn of_field(file: &str, place: Place, pointer: &str, message: impl Into<String>) -> Self {
        Self { field: field(pointer), ..Self::of_file(file, place, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, severity, field, message } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{file}:{}:{}: {severity}: ", place.line, place.column)?;
        if field.is_empty() { f.write_str(message) } else { write!(f, "{field}: {message}") }
    }
}

/// `/metadata/tags/0` as `metadata.tags[0]`.
fn field(pointer: &str) -> String {
    let mut field = String::new();
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if segment.bytes().all(|byte| byte.is_ascii_digit()) && !segment.is_empty() {
            field = format!("{field}[{segment}]");
        } else if field.is_empty() {
            field = segment;
        } else {
            field = format!("{field}.{segment}");
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_reads_as_a_field() {
        assert_eq!(field("/metadata/tags/0"), "metadata.tags[0]");
        assert_eq!(field("/annotations/rhdh.io~1owner"), "annotations.rhdh.io/owner");
        assert_eq!(field(""), "");
    }
}
