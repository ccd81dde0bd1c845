//! What is read of an InferenceService, and when it counts as ready.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn fixture(text: &str) -> InferenceService {
    InferenceService::from_json(serde_json::from_str(text).unwrap()).unwrap()
}

fn ready() -> InferenceService {
    fixture(include_str!("../../tests/fixtures/inference_service_ready.json"))
}

fn not_ready() -> InferenceService {
    fixture(include_str!("../../tests/fixtures/inference_service_not_ready.json"))
}

fn with(spec: &Value, status: &Value) -> Result<InferenceService, ParseError> {
    let metadata = json!({"name": "a", "namespace": "n"});
    InferenceService::from_json(json!({"metadata": metadata, "spec": spec, "status": status}))
}

fn conditions(all: &[(&str, &str)]) -> Value {
    all.iter().map(|(kind, status)| json!({"type": kind, "status": status})).collect()
}

#[test]
fn a_recorded_service_is_read_and_ready() {
    let service = ready();
    assert_eq!((service.namespace.as_str(), service.name.as_str()), ("ai-models", "mnist-v1"));
    assert_eq!(service.uid, "65b1c638-0698-4a33-9865-752267d658ce");
    assert_eq!(service.created.unwrap().to_string(), "2026-11-21T06:03:19Z");
    assert_eq!(service.url.as_ref().unwrap().as_str(), "https://mnist-v1-ai-models.apps.example.com/");
    assert_eq!(service.model.format.as_deref(), Some("onnx"));
    assert_eq!(service.model.format_version.as_deref(), Some("1"));
    assert_eq!(service.model.runtime.as_deref(), Some("mnist-v1"));
    assert!(service.model.storage_uri.as_ref().unwrap().starts_with("https://huggingface.co/"));
    assert_eq!(service.annotations["security.opendatahub.io/enable-auth"], "true");
    assert!(!service.annotations.contains_key("kubectl.kubernetes.io/last-applied-configuration"));
    assert_eq!((service.ready(), service.not_ready_reason()), (true, None));
    assert!(service.problems.is_empty());
}

#[test]
fn a_legacy_predictor_names_only_the_framework_that_is_there() {
    let service = not_ready();
    assert_eq!(service.model.format.as_deref(), Some("sklearn"));
    assert_eq!(service.model.format_version, None);
    assert_eq!(service.model.protocol_version.as_deref(), Some("v2"));
    assert_eq!(service.model.storage_key.as_deref(), Some("localMinIO"));
    assert_eq!(service.model.storage_path.as_deref(), Some("churn/v3"));
}

#[test]
fn component_addresses_are_read() {
    let service = not_ready();
    let predictor = &service.components["predictor"];
    assert_eq!(predictor.url.as_ref().unwrap().host_str(), Some("churn-predictor-fraud.example.com"));
    assert_eq!(predictor.grpc_url.as_deref(), Some("churn:9000"));
    assert_eq!(service.components["transformer"], ComponentUrls::default());
    assert_eq!(service.address_url.unwrap().host_str(), Some("churn-predictor.fraud.svc.cluster.local"));
}

#[test]
fn the_reason_is_the_part_that_fails() {
    let service = not_ready();
    assert!(!service.ready());
    assert_eq!(service.not_ready_reason().as_deref(), Some("IngressReady=False WaitingForGateway"));
}

#[rstest]
#[case::ready(&[("Ready", "True")], None)]
#[case::all(&[("Ready", "True"), ("PredictorReady", "True"), ("IngressReady", "True")], None)]
#[case::lower_case(&[("Ready", "true")], None)]
#[case::unknown(&[("Ready", "Unknown")], Some("Ready=Unknown"))]
#[case::predictor(&[("Ready", "True"), ("PredictorReady", "False")], Some("PredictorReady=False"))]
#[case::ingress(&[("Ready", "True"), ("IngressReady", "Unknown")], Some("IngressReady=Unknown"))]
#[case::stopped(&[("Ready", "True"), ("Stopped", "True")], Some("stopped"))]
#[case::not_stopped(&[("Ready", "True"), ("Stopped", "False")], None)]
#[case::no_conditions(&[], Some("Ready=Unknown (no such condition yet)"))]
fn readiness_follows_the_conditions(#[case] all: &[(&str, &str)], #[case] reason: Option<&str>) {
    let service = with(&json!({}), &json!({"conditions": conditions(all)})).unwrap();
    assert_eq!(service.not_ready_reason().as_deref(), reason);
}

#[rstest]
#[case::up_to_date(json!({"transitionStatus": "UpToDate"}), None)]
#[case::empty(json!({"transitionStatus": ""}), None)]
#[case::null(Value::Null, None)]
#[case::in_progress(json!({"transitionStatus": "InProgress"}), Some("transitionStatus=InProgress"))]
#[case::failed(
    json!({"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no such file"}}),
    Some("transitionStatus=BlockedByFailedLoad ModelLoadFailed")
)]
fn readiness_follows_the_model_status(#[case] model_status: Value, #[case] reason: Option<&str>) {
    let status = json!({"conditions": conditions(&[("Ready", "True")]), "modelStatus": model_status});
    let service = with(&json!({}), &status).unwrap();
    assert_eq!(service.not_ready_reason().as_deref(), reason);
}

#[test]
fn the_stop_annotation_and_a_deletion_end_readiness() {
    let mut service = ready();
    service.annotations.insert(STOP_ANNOTATION.to_owned(), "true".to_owned());
    assert!(service.stopped() && !service.ready());
    service.annotations.insert(STOP_ANNOTATION.to_owned(), "false".to_owned());
    assert!(!service.stopped() && service.ready());
    service.deleted = service.created;
    assert_eq!(service.not_ready_reason().as_deref(), Some("being deleted"));
}

#[test]
fn null_and_missing_sections_are_read_as_nothing() {
    for empty in [Value::Null, json!({}), json!({"predictor": null, "conditions": null, "components": null})] {
        let service = with(&empty, &empty).unwrap();
        assert_eq!(service.model, PredictorModel::default());
        assert!(!service.ready());
    }
    let bare = InferenceService::from_json(json!({"metadata": {"name": "a", "namespace": "n"}})).unwrap();
    assert_eq!(bare.url, None);
}

#[test]
fn an_invalid_url_is_left_out_and_told() {
    let service = with(&json!({}), &json!({"url": "not a url", "address": {"url": ""}})).unwrap();
    assert_eq!((service.url, service.address_url), (None, None));
    assert!(service.problems[0].contains("status.url"), "{:?}", service.problems);
}

#[test]
fn two_frameworks_are_ambiguous() {
    let predictor = json!({"predictor": {"sklearn": {"storageUri": "s3://a"}, "xgboost": {}}});
    let service = with(&predictor, &json!({})).unwrap();
    assert_eq!(service.model.format, None);
    assert!(service.problems[0].contains("sklearn") && service.problems[0].contains("xgboost"));
}

#[rstest]
#[case::status_text(json!({}), json!("broken"), "status")]
#[case::conditions_map(json!({}), json!({"conditions": {}}), "status")]
#[case::model_list(json!({"predictor": {"model": []}}), json!({}), "spec")]
#[case::url_number(json!({}), json!({"url": 5}), "status")]
fn a_wrong_type_is_an_error_of_that_object(#[case] spec: Value, #[case] status: Value, #[case] place: &str) {
    let error = with(&spec, &status).unwrap_err();
    assert_eq!((error.namespace.as_str(), error.name.as_str()), ("n", "a"));
    assert!(error.reason.starts_with(place), "{error}");
}

#[test]
fn an_object_without_metadata_is_an_error() {
    assert!(InferenceService::from_json(json!({})).is_err());
    assert!(InferenceService::from_json(json!("text")).is_err());
    let wrong = json!({"metadata": {"name": "a", "namespace": "n", "labels": 5}});
    assert_eq!(InferenceService::from_json(wrong).unwrap_err().name, "a");
}
