//! Artifacts: five types, which versions and runs are given, and share.

use serde_json::{Value, json};

use crate::registry::{Registry, id, text};

const TYPES: [&str; 5] = ["model-artifact", "doc-artifact", "dataset-artifact", "metric", "parameter"];

/// The id of a new version, and where its artifacts are.
async fn version(registry: &Registry, name: &str) -> (String, String) {
    let model = registry.model(name).await;
    let version = registry.version(&model, "v").await;
    let path = format!("model_versions/{version}/artifacts");
    (version, path)
}

pub(crate) async fn all_five_types_keep_what_they_are_given(registry: &Registry) {
    for body in [
        json!({"artifactType": "model-artifact", "uri": "s3://b/k", "modelFormatName": "onnx", "storageKey": "k"}),
        json!({"artifactType": "doc-artifact", "uri": "https://docs", "description": "d"}),
        json!({"artifactType": "dataset-artifact", "digest": "sha256:1", "schema": "{}", "profile": "p"}),
        json!({"artifactType": "metric", "value": 0.1, "timestamp": "1700000000000", "step": -4}),
        json!({"artifactType": "metric", "value": 1e300}),
        json!({"artifactType": "parameter", "value": "0.1", "parameterType": "number"}),
    ] {
        let made = registry.create("artifacts", body.clone()).await;
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&made[field], value, "{field}");
        }
        assert_eq!(made["customProperties"], json!({}));
        assert_eq!(made["state"], "UNKNOWN");
        assert_eq!(registry.read(&format!("artifacts/{}", id(&made))).await, made);
    }
}

pub(crate) async fn artifacts_say_of_which_type_they_are(registry: &Registry) {
    for body in [json!({}), json!({"name": "n"}), json!({"artifactType": "nonsense"}), json!({"artifactType": null})] {
        registry.post("artifacts", &body).await.is_bad();
        let (_, path) = version(registry, &body.to_string()).await;
        registry.post(&path, &body).await.is_bad();
    }
    for kind in TYPES {
        assert_eq!(registry.create("artifacts", json!({"artifactType": kind})).await["artifactType"], kind);
    }
}

pub(crate) async fn model_artifacts_are_model_artifacts(registry: &Registry) {
    let made = registry.create("model_artifacts", json!({"name": "a", "uri": "u"})).await;
    assert_eq!(made["artifactType"], "model-artifact");
    assert_eq!(registry.read(&format!("artifacts/{}", id(&made))).await, made);
    let after = registry.update(&format!("model_artifacts/{}", id(&made)), json!({"uri": "v"})).await;
    assert_eq!(after["uri"], "v");
    registry.post("model_artifacts", &json!({"artifactType": "metric"})).await.is_bad();
}

pub(crate) async fn the_status_tells_new_models_and_documents_from_the_rest(registry: &Registry) {
    let (_, of_version) = version(registry, "m").await;
    let experiment = registry.experiment("x").await;
    let of_run = format!("experiment_runs/{}/artifacts", registry.run(&experiment).await);
    for path in [of_version, of_run] {
        for (kind, status) in TYPES.into_iter().zip([201, 201, 200, 200, 200]) {
            let made = registry.post(&path, &json!({"artifactType": kind, "name": "a"})).await.ok(status);
            let again = json!({"artifactType": kind, "name": "a", "id": id(&made), "description": "d"});
            let after = registry.post(&path, &again).await.ok(200);
            assert_eq!((id(&after), &after["description"]), (id(&made), &json!("d")));
        }
        assert_eq!(registry.items(&path).await.len(), 5);
    }
}

pub(crate) async fn an_artifact_of_a_version_needs_the_version(registry: &Registry) {
    let model = registry.model("m").await;
    for path in ["model_versions/999/artifacts".to_owned(), format!("model_versions/{model}/artifacts")] {
        registry.post(&path, &json!({"artifactType": "doc-artifact"})).await.is_not_found();
    }
    registry.post("experiment_runs/999/artifacts", &json!({"artifactType": "metric"})).await.is_not_found();
    assert_eq!(registry.items("artifacts").await, Vec::<Value>::new());
    let (_, path) = version(registry, "n").await;
    registry.post(&path, &json!({"artifactType": "doc-artifact", "id": "999"})).await.is_not_found();
    registry.post(&path, &json!({"artifactType": "doc-artifact", "id": "x"})).await.is_bad();
}

pub(crate) async fn an_id_links_an_artifact_once_more_and_changes_it(registry: &Registry) {
    let (_, first) = version(registry, "m").await;
    let (_, second) = version(registry, "n").await;
    let body = json!({"artifactType": "model-artifact", "name": "a", "uri": "u", "description": "d"});
    let made = registry.create(&first, body).await;
    let again = json!({"artifactType": "model-artifact", "id": id(&made), "uri": "v"});
    let after = registry.post(&second, &again).await.ok(200);
    assert_eq!((id(&after), &after["uri"], &after["description"]), (id(&made), &json!("v"), &json!("d")));
    assert_eq!(registry.items(&first).await, std::slice::from_ref(&after));
    assert_eq!(registry.items(&second).await, std::slice::from_ref(&after));
    assert_eq!(registry.items("artifacts").await.len(), 1);
    // One that belongs to nothing, too.
    let alone = registry.create("artifacts", json!({"artifactType": "doc-artifact", "name": "b"})).await;
    registry.post(&first, &json!({"artifactType": "doc-artifact", "id": id(&alone)})).await.ok(200);
    assert_eq!(registry.names(&first).await, ["a", "b"]);
    let listed = registry.read(&first.replace("artifacts", "artifacts?name=b")).await;
    assert_eq!(id(&listed["items"][0]), id(&alone));
}

pub(crate) async fn metrics_and_parameters_are_known_by_their_names(registry: &Registry) {
    let (_, first) = version(registry, "m").await;
    let (_, second) = version(registry, "n").await;
    for (kind, before, after) in [("metric", json!(0.5), json!(0.75)), ("parameter", json!("before"), json!("after"))] {
        let offer = |value: &Value| json!({"artifactType": kind, "name": "lr", "value": value});
        let made = registry.post(&first, &offer(&before)).await.ok(200);
        let changed = registry.post(&first, &offer(&after)).await.ok(200);
        assert_eq!((id(&changed), &changed["value"]), (id(&made), &after), "{kind}");
        let other = registry.post(&second, &offer(&before)).await.ok(200);
        assert_ne!(id(&other), id(&made), "another parent has its own");
        assert_eq!(registry.items(&format!("{first}?artifactType={kind}")).await.len(), 1);
    }
}

pub(crate) async fn artifacts_of_another_type_may_have_the_same_name(registry: &Registry) {
    let (_, path) = version(registry, "m").await;
    for kind in TYPES {
        let answer = registry.post(&path, &json!({"artifactType": kind, "name": "same"})).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        registry.create("artifacts", json!({"artifactType": kind, "name": "same"})).await;
    }
    assert_eq!(registry.names(&path).await, ["same"; 5]);
}

pub(crate) async fn one_name_is_taken_once_within_a_version(registry: &Registry) {
    let (version, path) = version(registry, "m").await;
    let body = json!({"artifactType": "model-artifact", "name": "a"});
    let made = registry.create(&path, body.clone()).await;
    registry.post(&path, &body).await.is_conflict();
    let found = registry.read(&format!("model_artifact?name=a&parentResourceId={version}")).await;
    assert_eq!(text(&found, "id"), id(&made));
}
