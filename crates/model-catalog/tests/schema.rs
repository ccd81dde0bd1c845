//! The JSON Schema, its examples and the Rust types say the same of what a catalog document is.

#![allow(clippy::unwrap_used, reason = "a test whose files cannot be read should stop at once")]

use std::fs;
use std::path::{Path, PathBuf};

use model_catalog::document::Catalog;
use serde_json::Value;

fn schema_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema")
}

fn examples(kind: &str) -> Vec<(String, Value)> {
    let mut found: Vec<_> = fs::read_dir(schema_dir().join("tests").join(kind))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), json)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty(), "no {kind} examples");
    found
}

fn validator() -> jsonschema::Validator {
    let schema: Value =
        serde_json::from_slice(&fs::read(schema_dir().join("model-catalog.schema.json")).unwrap()).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

#[test]
fn the_schema_itself_is_valid_draft_2020_12() {
    let schema: Value =
        serde_json::from_slice(&fs::read(schema_dir().join("model-catalog.schema.json")).unwrap()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::meta::is_valid(&schema));
}

#[test]
fn valid_examples_pass_the_schema_and_survive_the_rust_types_unchanged() {
    let validator = validator();
    for (name, json) in examples("valid") {
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let catalog: Catalog = serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&catalog).unwrap(), json, "{name}");
    }
}

#[test]
fn invalid_examples_are_refused_by_the_schema() {
    let validator = validator();
    for (name, json) in examples("invalid") {
        assert!(!validator.is_valid(&json), "the schema accepts {name}");
    }
}

#[test]
fn invalid_examples_are_refused_by_the_rust_types() {
    for (name, json) in examples("invalid") {
        // A set folds a doubled tag: nothing that the types write can hold one.
        if !name.starts_with("018") {
            assert!(serde_json::from_value::<Catalog>(json).is_err(), "the types accept {name}");
        }
    }
}
