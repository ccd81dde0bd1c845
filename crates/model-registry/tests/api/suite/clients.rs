//! What the Python clients ask, in their order and words.

use serde_json::{Value, json};

use crate::registry::{Registry, V1, V1ALPHA3, id, property, text};

pub(crate) async fn an_older_client_registers_a_model(registry: &Registry) {
    registers_a_model(registry, V1ALPHA3).await;
}

pub(crate) async fn the_newer_client_registers_a_model(registry: &Registry) {
    registers_a_model(registry, V1).await;
}

async fn registers_a_model(registry: &Registry, prefix: &str) {
    let at = |path: &str| format!("{prefix}/{path}");
    // Whoever connects looks whether somebody is there.
    assert_eq!(registry.read(&at("registered_models?pageSize=1&sortOrder=ASC")).await["size"], 0);
    registry.get(&at("registered_model?name=my-model")).await.is_not_found();
    let body = json!({"customProperties": {}, "name": "my-model", "state": "LIVE", "owner": "me"});
    let model = id(&registry.create(&at("registered_models"), body).await);
    let find = at(&format!("model_version?name=1.0&parentResourceId={model}"));
    registry.get(&find).await.is_not_found();
    let body = json!({
        "customProperties": {"accuracy": {"double_value": 0.9, "metadataType": "MetadataDoubleValue"}},
        "name": "1.0", "state": "LIVE", "author": "me", "registeredModelId": model,
    });
    let version = registry.create(&at("model_versions"), body).await;
    assert_eq!(registry.read(&find).await, version);
    let artifacts = at(&format!("model_versions/{}/artifacts", id(&version)));
    let artifact = json!({
        "customProperties": {}, "name": "my-model", "artifactType": "model-artifact", "modelFormatName": "onnx",
        "modelFormatVersion": "1", "uri": "s3://bucket/key?endpoint=https%3A%2F%2Fs3&defaultRegion=r", "state": "UNKNOWN",
        "modelSourceKind": "transfer_job",
    });
    let artifact = registry.create(&artifacts, artifact).await;
    registry.post(&at("registered_models"), &json!({"name": "my-model"})).await.is_conflict();
    let found = registry.read(&at(&format!("model_artifact?name=my-model&parentResourceId={}", id(&version)))).await;
    assert_eq!(found, artifact);
    // It lists page by page, and says each time in which direction.
    let list = registry.read(&at(&format!("registered_models/{model}/versions?pageSize=100&sortOrder=ASC"))).await;
    assert_eq!(list["items"], json!([version]));
    let list = registry.read(&format!("{artifacts}?artifactType=model-artifact&pageSize=100&sortOrder=DESC")).await;
    assert_eq!(list["items"], json!([artifact]));
    updates(registry, prefix, &version, &artifact).await;
}

async fn updates(registry: &Registry, prefix: &str, version: &Value, artifact: &Value) {
    let path = format!("{prefix}/model_versions/{}", id(version));
    let body = json!({"customProperties": {"stage": property("prod")}, "description": "new", "state": "ARCHIVED", "author": "me"});
    let after = registry.update(&path, body).await;
    assert_eq!((text(&after, "description"), text(&after, "state")), ("new".to_owned(), "ARCHIVED".to_owned()));
    let path = format!("{prefix}/model_artifacts/{}", id(artifact));
    let body = json!({"customProperties": {}, "artifactType": "model-artifact", "uri": "s3://moved", "state": "LIVE"});
    let after = registry.update(&path, body).await;
    assert_eq!((text(&after, "uri"), text(&after, "modelFormatName")), ("s3://moved".to_owned(), "onnx".to_owned()));
}
