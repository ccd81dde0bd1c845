//! What is read of an LLMInferenceService: models, addresses, readiness, authentication.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn with(spec: &Value, status: &Value) -> Result<LlmInferenceService, ParseError> {
    let metadata = json!({"name": "qwen", "namespace": "n"});
    LlmInferenceService::from_json(json!({"metadata": metadata, "spec": spec, "status": status}))
}

fn models(service: &LlmInferenceService) -> Vec<(&str, Option<&str>, ModelRole)> {
    service.served_models().iter().map(|model| (model.name.as_str(), model.uri.as_deref(), model.role)).collect()
}

fn addresses(all: &[(&str, &str)]) -> Value {
    all.iter().map(|(name, url)| json!({"name": name, "url": url, "models": [{"name": "m"}]})).collect()
}

const EXTERNAL: &str = "https://gateway.example.com/n/qwen";
const INTERNAL_GATEWAY: &str = "http://gateway.ingress.svc.cluster.local/n/qwen";
const WORKLOAD: &str = "https://qwen-workload.n.svc.cluster.local:8000/";

#[test]
fn the_base_model_comes_before_its_adapters() {
    let spec = json!({"model": {
        "uri": "hf://org/qwen", "name": "org/qwen", "criticality": "Critical",
        "lora": {"adapters": [{"name": "legal", "uri": "s3://bucket/legal"}, {"name": "medical"}]},
    }, "replicas": 2});
    let service = with(&spec, &Value::Null).unwrap();
    let expected = [
        ("org/qwen", Some("hf://org/qwen"), ModelRole::Base),
        ("legal", Some("s3://bucket/legal"), ModelRole::Adapter),
        ("medical", None, ModelRole::Adapter),
    ];
    assert_eq!(models(&service), expected);
    assert!(service.problems.is_empty());
}

#[rstest]
#[case::missing(json!({"model": {"uri": "hf://org/qwen"}}), Some("hf://org/qwen"))]
#[case::blank(json!({"model": {"uri": " ", "name": " "}}), None)]
#[case::null(json!({"model": {"uri": null, "name": null, "lora": null}}), None)]
#[case::no_model(json!({}), None)]
#[case::no_spec(Value::Null, None)]
fn without_a_name_of_its_own_the_model_has_the_services(#[case] spec: Value, #[case] uri: Option<&str>) {
    assert_eq!(models(&with(&spec, &Value::Null).unwrap()), [("qwen", uri, ModelRole::Base)]);
}

#[test]
fn adapters_that_cannot_be_told_apart_are_left_out_and_told() {
    let adapters = json!([{"uri": "s3://nameless"}, {"name": "a"}, {"name": "a"}, {"name": "qwen"}, null]);
    let service = with(&json!({"model": {"lora": {"adapters": adapters}}}), &Value::Null).unwrap();
    assert_eq!(models(&service), [("qwen", None, ModelRole::Base), ("a", None, ModelRole::Adapter)]);
    assert_eq!(service.problems.len(), 3);
    assert!(service.problems[0].contains("adapters[0]"), "{:?}", service.problems);
}

#[rstest]
#[case::all(json!({"url": "https://status.example.com/", "addresses": addresses(&[("internal", WORKLOAD), ("gateway-internal", INTERNAL_GATEWAY), ("gateway-external", EXTERNAL)])}), Some(EXTERNAL), Some(INTERNAL_GATEWAY))]
#[case::no_external(json!({"url": "https://status.example.com/", "addresses": addresses(&[("gateway-internal", INTERNAL_GATEWAY)])}), Some("https://status.example.com/"), Some(INTERNAL_GATEWAY))]
#[case::internal_only(json!({"addresses": addresses(&[("internal", WORKLOAD), ("gateway-internal", INTERNAL_GATEWAY)])}), Some(INTERNAL_GATEWAY), Some(INTERNAL_GATEWAY))]
#[case::workload_only(json!({"addresses": addresses(&[("internal", WORKLOAD)])}), Some(WORKLOAD), Some(WORKLOAD))]
#[case::unnamed(json!({"addresses": [{"url": WORKLOAD}, {"url": EXTERNAL}]}), Some(EXTERNAL), Some(WORKLOAD))]
#[case::one_address(json!({"address": {"url": EXTERNAL}}), Some(EXTERNAL), None)]
#[case::unknown_name(json!({"addresses": addresses(&[("something", EXTERNAL)])}), None, None)]
#[case::invalid(json!({"url": "nonsense", "addresses": [{"name": "gateway-external", "url": ""}, null]}), None, None)]
#[case::none(json!({}), None, None)]
fn the_url_follows_its_order(#[case] status: Value, #[case] url: Option<&str>, #[case] internal: Option<&str>) {
    let service = with(&Value::Null, &status).unwrap();
    assert_eq!(service.url().map(Url::as_str), url);
    assert_eq!(service.internal_url().map(Url::as_str), internal);
}

#[test]
fn an_address_names_what_is_served_there() {
    let service = with(&Value::Null, &json!({"addresses": addresses(&[("internal", WORKLOAD)])})).unwrap();
    assert_eq!(service.addresses[0].models, ["m"]);
    let broken = with(&Value::Null, &json!({"url": "nonsense"})).unwrap();
    assert!(broken.problems[0].contains("status.url"), "{:?}", broken.problems);
}

#[rstest]
#[case::ready(json!([{"type": "Ready", "status": "True"}, {"type": "WorkloadReady", "status": "Unknown", "reason": "Old"}]), None)]
#[case::a_part(json!([{"type": "Ready", "status": "False", "reason": "NotReady"}, {"type": "RouterReady", "status": "False", "reason": "GatewayNotFound"}]), Some("RouterReady=False GatewayNotFound"))]
#[case::failed_before_unknown(json!([{"type": "Ready", "status": "False"}, {"type": "A", "status": "Unknown", "reason": "Waits"}, {"type": "B", "status": "False", "message": "no GPU"}]), Some("B=False no GPU"))]
#[case::nothing_better(json!([{"type": "Ready", "status": "Unknown"}, {"type": "WorkloadReady", "status": "Unknown"}]), Some("Ready=Unknown"))]
#[case::stopped(json!([{"type": "Ready", "status": "False"}, {"type": "Stopped", "status": "True"}]), Some("stopped"))]
#[case::no_conditions(Value::Null, Some("Ready=Unknown (no such condition yet)"))]
fn readiness_is_said_with_its_reason(#[case] conditions: Value, #[case] reason: Option<&str>) {
    let service = with(&Value::Null, &json!({"conditions": conditions})).unwrap();
    assert_eq!(service.not_ready_reason().as_deref(), reason);
    assert_eq!(service.ready(), reason.is_none());
}

#[test]
fn the_stop_annotation_and_a_deletion_end_readiness() {
    let mut service = with(&Value::Null, &json!({"conditions": [{"type": "Ready", "status": "True"}]})).unwrap();
    service.annotations.insert(crate::kserve::STOP_ANNOTATION.to_owned(), "true".to_owned());
    assert_eq!(service.not_ready_reason().as_deref(), Some("stopped"));
    service.annotations.clear();
    assert!(service.ready());
    service.deleted = Some(Timestamp::UNIX_EPOCH);
    assert_eq!(service.not_ready_reason().as_deref(), Some("being deleted"));
}

#[rstest]
#[case::unset(None, true)]
#[case::on(Some("true"), true)]
#[case::off(Some("false"), false)]
#[case::off_in_capitals(Some(" False "), false)]
#[case::nonsense(Some("maybe"), true)]
fn authentication_is_on_unless_switched_off(#[case] annotation: Option<&str>, #[case] expected: bool) {
    let mut service = with(&Value::Null, &Value::Null).unwrap();
    service.annotations.extend(annotation.map(|value| (AUTH_ANNOTATION.to_owned(), value.to_owned())));
    assert_eq!(service.authentication(), expected);
}

#[rstest]
#[case::model_list(json!({"model": []}), Value::Null, "spec")]
#[case::adapters_map(json!({"model": {"lora": {"adapters": {}}}}), Value::Null, "spec")]
#[case::addresses_text(Value::Null, json!({"addresses": "x"}), "status")]
fn a_wrong_type_is_an_error_of_that_object(#[case] spec: Value, #[case] status: Value, #[case] place: &str) {
    let error = with(&spec, &status).unwrap_err();
    assert_eq!(
        (error.kind, error.namespace.as_str(), error.name.as_str()),
        (ServiceKind::LlmInferenceService, "n", "qwen")
    );
    assert!(error.reason.starts_with(place), "{error}");
    assert!(error.to_string().starts_with("LLMInferenceService n/qwen"), "{error}");
}
