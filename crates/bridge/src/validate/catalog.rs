//! Catalog documents: the published schema, and what the bridge's own types hold besides.

use std::sync::LazyLock;

use jsonschema::error::{ValidationError, ValidationErrorKind};
use model_catalog::document::Catalog;
use serde_json::Value;

use super::entities::{Known, remember};
use super::finding::Finding;
use super::source::{self, Document, escaped};

const SCHEMA: &str = include_str!("../../../../schema/model-catalog.schema.json");

static VALIDATOR: LazyLock<Option<jsonschema::Validator>> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(SCHEMA).ok()?;
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).ok()
});

/// What is wrong with one document.
pub(super) fn check(file: &str, text: &str, known: &mut Known) -> Vec<Finding> {
    let document = match source::json(text) {
        Ok(document) => document,
        Err(unparsed) => return vec![Finding::of_file(file, unparsed.place, unparsed.message)],
    };
    let mut findings = by_schema(file, &document);
    if findings.is_empty() {
        findings.extend(by_types(file, &document));
    }
    findings.extend(doubles(file, &document, known));
    findings
}

fn by_schema(file: &str, document: &Document) -> Vec<Finding> {
    let Some(validator) = VALIDATOR.as_ref() else { return Vec::new() };
    validator.iter_errors(&document.value).flat_map(|error| of_error(file, document, &error)).collect()
}

fn of_error(file: &str, document: &Document, error: &ValidationError<'_>) -> Vec<Finding> {
    let pointer = error.instance_path().to_string();
    let at = |message: String| vec![Finding::of_field(file, document.place(&pointer), &pointer, message)];
    let at_key = |key: &str, message: &str| {
        let inner = format!("{pointer}/{}", escaped(key));
        Finding::of_field(file, document.key_place(&inner), &inner, message)
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|key| at_key(key, "there is no such field in catalog documents")).collect()
        }
        ValidationErrorKind::PropertyNames { error } => {
            let key = error.instance().as_str().unwrap_or_default();
            vec![at_key(key, &format!("this key must be {}", super::rules::KEY.expected))]
        }
        ValidationErrorKind::Required { property } => {
            at(format!("the field {} is missing", property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::Type { kind } if error.instance().is_null() => {
            at(format!("this is null, which stops RHDH's whole synchronisation: leave the field out ({kind:?})"))
        }
        ValidationErrorKind::OneOfNotValid { .. } => {
            at(format!("{} is none of the values allowed here", error.instance()))
        }
        _ => at(expected(&pointer).map_or_else(|| error.to_string(), |rule| format!("this must be {rule}"))),
    }
}

/// What the texts must be that the schema restricts by patterns, in words.
fn expected(pointer: &str) -> Option<&'static str> {
    let segments: Vec<&str> = pointer.split('/').collect();
    match segments.as_slice() {
        [.., "tags", index] if index.parse::<usize>().is_ok() => Some(super::rules::TAG.expected),
        [.., "name"] => Some("letters and digits, with single `-`, `_` or `.` between them, at most 63 characters"),
        [.., "owner"] => Some("a name, or user: or group: with an optional namespace/ and a name"),
        [.., "lifecycle" | "spec"] => Some(super::rules::TEXT.expected),
        [.., "license" | "howToUseURL" | "homepageURL" | "url"] => Some("a URL that begins with http:// or https://"),
        [.., "artifactLocationURL"] => Some("an absolute URL, such as s3://bucket/path"),
        _ => None,
    }
}

/// What only the types know, such as which URLs are any.
fn by_types(file: &str, document: &Document) -> Option<Finding> {
    let error = serde_path_to_error::deserialize::<_, Catalog>(&document.value).err()?;
    let pointer: String = error
        .path()
        .iter()
        .map(|segment| match segment {
            serde_path_to_error::Segment::Map { key } => format!("/{}", escaped(key)),
            serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
            _ => String::new(),
        })
        .collect();
    Some(Finding::of_field(file, document.place(&pointer), &pointer, error.into_inner().to_string()))
}

/// Each model becomes a Resource, the server a Component and its API an API: by names that must not be taken.
fn doubles(file: &str, document: &Document, known: &mut Known) -> Vec<Finding> {
    let models = document.value["models"].as_array().map_or(0, Vec::len);
    let models = (0..models).map(|index| ("resource", format!("/models/{index}/name")));
    let server = std::iter::once(("component", "/modelServer/name".to_owned()));
    models
        .chain(server)
        .filter_map(|(kind, pointer)| {
            let name = document.value.pointer(&pointer)?.as_str()?;
            let reference = format!("{kind}:default/{}", name.to_lowercase());
            remember(file, document.place(&pointer), &pointer, reference, known)
        })
        .collect()
}
