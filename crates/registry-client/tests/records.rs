//! Records are read tolerantly, and one that cannot be read does not take its page with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{client, registry_of};
use registry_client::{
    InferenceServiceRecord, ListQuery, ModelArtifact, ModelVersion, PropertyValue, Record, RegisteredModel, State,
};
use rstest::rstest;
use sample_registry::Kind;
use serde_json::{Value, json};

fn read<T: Record>(json: &Value) -> T {
    T::from_json(json).expect("a record of this kind").expect("a readable record")
}

#[rstest]
#[case::no_id(json!({"name": "x"}), "id is missing")]
#[case::null_id(json!({"id": null, "name": "x"}), "id is missing")]
#[case::no_name(json!({"id": "4"}), "name is missing")]
#[case::empty_name(json!({"id": "4", "name": ""}), "name is missing")]
#[case::name_of_a_wrong_type(json!({"id": "4", "name": {}}), "name is an object")]
#[case::properties_of_a_wrong_type(json!({"id": "4", "name": "x", "customProperties": []}), "customProperties is a list")]
#[case::no_object(json!(17), "a number")]
#[case::null(json!(null), "null")]
#[tokio::test]
async fn a_malformed_record_leaves_its_page_whole(#[case] record: Value, #[case] reason: &str) {
    let registry = registry_of(3).await;
    registry.edit().create_verbatim(Kind::RegisteredModel, None, record);
    registry.edit().create_model("last", json!({}));
    let list = client(&registry).registered_models(ListQuery::default().with_page_size(2));
    let listing = list.collect_all().await.unwrap();
    let names: Vec<_> = listing.records.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["model-0", "model-1", "model-2", "last"]);
    let [error] = listing.malformed.as_slice() else {
        panic!("one malformed record, not {:?}", listing.malformed);
    };
    assert_eq!(error.kind, "registered model");
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn a_malformed_record_is_named_as_far_as_it_can_be() {
    let error = ModelVersion::from_json(&json!({"id": "4", "name": "v1"})).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "model version \"v1\" (id 4) cannot be read: its registeredModelId is missing");
}

#[test]
fn null_and_missing_are_alike() {
    let bare: RegisteredModel = read(&json!({"id": "1", "name": "granite"}));
    let nulls: RegisteredModel = read(&json!({
        "id": "1", "name": "granite", "description": null, "owner": null, "state": null, "customProperties": null,
        "tasks": null, "createTimeSinceEpoch": null, "somethingNew": [1],
    }));
    assert_eq!(bare, nulls);
    assert!(bare.state.is_live());
}

#[test]
fn a_full_model_is_read() {
    let model: RegisteredModel = read(&json!({
        "id": 1, "name": "granite", "description": "", "owner": "ada", "state": "ARCHIVED", "license": "apache-2.0",
        "licenseLink": "https://example.com/license", "provider": "IBM", "tasks": ["text-generation"],
        "language": ["en", "de"], "readme": "# Granite", "maturity": "GA", "libraryName": "transformers",
        "createTimeSinceEpoch": "1700000000000", "lastUpdateTimeSinceEpoch": 1_700_000_000_001_i64,
    }));
    assert_eq!(model.id, "1");
    assert_eq!(model.description, None);
    assert_eq!(model.state, State::Archived);
    assert_eq!(model.language, ["en", "de"]);
    assert_eq!(model.create_time, Some(1_700_000_000_000));
    assert_eq!(model.last_update_time, Some(1_700_000_000_001));
}

#[test]
fn every_type_of_property_is_read() {
    let model: RegisteredModel = read(&json!({"id": "1", "name": "granite", "customProperties": {
        "License": {"metadataType": "MetadataStringValue", "string_value": "apache-2.0"},
        "label": {"metadataType": "MetadataStringValue", "string_value": ""},
        "bare label": {"metadataType": "MetadataStringValue"},
        "layers": {"metadataType": "MetadataIntValue", "int_value": "-40"},
        "score": {"metadataType": "MetadataDoubleValue", "double_value": 0.5},
        "gated": {"metadataType": "MetadataBoolValue", "bool_value": true},
        "limits": {"metadataType": "MetadataStructValue", "struct_value": "eyJhIjpbMV19"},
        "proto": {"metadataType": "MetadataProtoValue", "type": "x", "proto_value": "AA=="},
        "broken": {"metadataType": "MetadataIntValue", "int_value": "many"},
        "plain": "text",
    }}));
    let text = |key| model.properties.text(key);
    assert_eq!(text("License").as_deref(), Some("apache-2.0"));
    assert_eq!(text("label").as_deref(), Some(""));
    assert_eq!(text("bare label").as_deref(), Some(""));
    assert_eq!(text("layers").as_deref(), Some("-40"));
    assert_eq!(text("score").as_deref(), Some("0.5"));
    assert_eq!(text("gated").as_deref(), Some("true"));
    assert_eq!(text("limits").as_deref(), Some(r#"{"a":[1]}"#));
    assert_eq!(text("missing"), None);
    for key in ["proto", "broken", "plain"] {
        assert!(matches!(model.properties[key], PropertyValue::Other(_)), "{key}");
        assert_eq!(text(key), None);
    }
}

#[test]
fn an_artifact_leads_to_its_catalog_entry() {
    let artifact: ModelArtifact = read(&json!({
        "id": "3", "artifactType": "model-artifact", "uri": "oci://registry.example.com/granite:1", "state": "PENDING",
        "modelFormatName": "vLLM", "modelSourceKind": "catalog", "modelSourceClass": "redhat_ai_models",
        "modelSourceGroup": "RedHatAI", "modelSourceName": "granite", "serviceAccountName": "loader",
    }));
    assert_eq!(artifact.name, None);
    assert_eq!(artifact.source.class.as_deref(), Some("redhat_ai_models"));
    assert_eq!(artifact.source.group.as_deref(), Some("RedHatAI"));
    assert_eq!(artifact.state, State::Other("PENDING".to_owned()));
}

#[test]
fn a_service_record_may_leave_the_version_out() {
    let service: InferenceServiceRecord = read(&json!({
        "id": "7", "name": "isvc/2", "registeredModelId": "1", "servingEnvironmentId": "1", "desiredState": "UNDEPLOYED",
    }));
    assert_eq!(service.model_version_id, None);
    assert!(!service.is_deployed());
}
