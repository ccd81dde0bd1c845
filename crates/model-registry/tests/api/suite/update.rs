//! Changes: what they change, and what stays.

use serde_json::{Map, Value, json};

use crate::registry::{Registry, id, property, text};

fn time(value: &Value, field: &str) -> i64 {
    text(value, field).parse().unwrap()
}

pub(crate) async fn every_field_that_may_change_changes(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let next = registry.version(&model, "w").await;
    let environment = registry.environment("e").await;
    let service = registry.service(&environment, &model).await;
    let experiment = registry.experiment("x").await;
    let run = registry.run(&experiment).await;
    let mut changes = vec![
        (
            format!("registered_models/{model}"),
            json!({
                "readme": "r", "maturity": "m", "language": ["en", "de"], "tasks": [], "provider": "p", "logo": "l",
                "license": "li", "licenseLink": "ll", "libraryName": "ln", "owner": "o", "state": "ARCHIVED",
            }),
        ),
        (format!("model_versions/{version}"), json!({"author": "a", "state": "ARCHIVED"})),
        (format!("serving_environments/{environment}"), json!({})),
        (
            format!("inference_services/{service}"),
            json!({"modelVersionId": next, "runtime": "r", "desiredState": "UNDEPLOYED"}),
        ),
        (format!("experiments/{experiment}"), json!({"owner": "o", "state": "ARCHIVED"})),
        (
            format!("experiment_runs/{run}"),
            json!({"endTimeSinceEpoch": "123", "status": "FINISHED", "owner": "o", "state": "ARCHIVED"}),
        ),
    ];
    for body in [
        json!({
            "artifactType": "model-artifact", "modelFormatName": "f", "modelFormatVersion": "1", "storageKey": "k",
            "storagePath": "p", "serviceAccountName": "s", "modelSourceKind": "k", "modelSourceClass": "c",
            "modelSourceGroup": "g", "modelSourceId": "i", "modelSourceName": "n", "uri": "u", "state": "LIVE",
        }),
        json!({"artifactType": "doc-artifact", "uri": "u", "state": "PENDING"}),
        json!({
            "artifactType": "dataset-artifact", "digest": "d", "sourceType": "t", "source": "s", "schema": "sc",
            "profile": "p", "uri": "u", "state": "DELETED",
        }),
        json!({"artifactType": "metric", "value": -0.5, "timestamp": "9", "step": 3, "state": "ABANDONED"}),
        json!({"artifactType": "parameter", "value": "v", "parameterType": "number", "state": "REFERENCE"}),
    ] {
        let made = registry.create("artifacts", json!({"artifactType": body["artifactType"]})).await;
        changes.push((format!("artifacts/{}", id(&made)), body));
    }
    for (index, (path, body)) in changes.into_iter().enumerate() {
        let before = registry.read(&path).await;
        let mut body = body.as_object().unwrap().clone();
        body.insert("description".to_owned(), json!("d"));
        body.insert("externalId".to_owned(), json!(format!("ext {index}")));
        body.insert("customProperties".to_owned(), json!({"p": property("a")}));
        let answered = registry.update(&path, Value::Object(body.clone())).await;
        let mut expected: Map<String, Value> = before.as_object().unwrap().clone();
        expected.extend(body);
        expected.insert("lastUpdateTimeSinceEpoch".to_owned(), answered["lastUpdateTimeSinceEpoch"].clone());
        assert_eq!(answered, Value::Object(expected), "{path}");
        assert_eq!(registry.read(&path).await, answered, "{path}");
    }
}

pub(crate) async fn what_is_absent_or_null_stays(registry: &Registry) {
    let body = json!({
        "name": "m", "description": "d", "externalId": "e", "owner": "o", "language": ["en"], "state": "ARCHIVED",
        "customProperties": {"p": property("a")},
    });
    let made = registry.create("registered_models", body).await;
    let path = format!("registered_models/{}", id(&made));
    for change in [
        json!({}),
        json!({
            "description": null, "externalId": null, "owner": null, "language": null, "state": null,
            "customProperties": null,
        }),
    ] {
        let mut after = registry.update(&path, change).await;
        assert_ne!(after["lastUpdateTimeSinceEpoch"], made["lastUpdateTimeSinceEpoch"]);
        after["lastUpdateTimeSinceEpoch"] = made["lastUpdateTimeSinceEpoch"].clone();
        assert_eq!(after, made);
    }
    let after = registry.update(&path, json!({"description": "", "language": []})).await;
    assert_eq!((&after["description"], &after["language"], &after["owner"]), (&json!(""), &json!([]), &json!("o")));
}

pub(crate) async fn custom_properties_are_replaced_as_a_whole(registry: &Registry) {
    let properties = json!({"a": property("1"), "b": property("2")});
    let made = registry.create("registered_models", json!({"name": "m", "customProperties": properties})).await;
    let path = format!("registered_models/{}", id(&made));
    let after = registry.update(&path, json!({"owner": "o"})).await;
    assert_eq!(after["customProperties"], properties);
    let after = registry.update(&path, json!({"customProperties": {"c": property("3")}})).await;
    assert_eq!(after["customProperties"], json!({"c": property("3")}));
    let after = registry.update(&path, json!({"customProperties": {}})).await;
    assert_eq!(after["customProperties"], json!({}));
    assert_eq!(registry.read(&path).await["customProperties"], json!({}));
}

pub(crate) async fn identities_do_not_change(registry: &Registry) {
    let (model, other) = (registry.model("m").await, registry.model("o").await);
    let version = registry.version(&model, "v").await;
    for (path, field, value) in [
        (format!("registered_models/{model}"), "name", "n"),
        (format!("registered_models/{model}"), "id", "7"),
        (format!("registered_models/{model}"), "createTimeSinceEpoch", "7"),
        (format!("model_versions/{version}"), "registeredModelId", other.as_str()),
    ] {
        let answer = registry.patch(&path, &json!({field: value})).await;
        assert_eq!(answer.error(400, "Bad Request"), format!("json: unknown field \"{field}\""));
    }
    let made = registry.create("artifacts", json!({"artifactType": "doc-artifact", "name": "a"})).await;
    let path = format!("artifacts/{}", id(&made));
    let body = json!({"artifactType": "doc-artifact", "name": "b", "id": "7", "createTimeSinceEpoch": "7", "uri": "u"});
    let after = registry.update(&path, body).await;
    for field in ["id", "name", "createTimeSinceEpoch", "artifactType"] {
        assert_eq!(after[field], made[field], "{field}");
    }
    assert_eq!(after["uri"], "u");
    registry.patch(&path, &json!({"uri": "u"})).await.is_bad();
    registry.patch(&path, &json!({"artifactType": "metric", "value": 1})).await.is_not_found();
    registry.patch("artifacts/999", &json!({"artifactType": "metric"})).await.is_not_found();
    registry.patch("registered_models/999", &json!({})).await.is_not_found();
    // What was refused left no trace.
    assert_eq!(registry.read(&path).await, after);
}

pub(crate) async fn times_grow_with_every_change(registry: &Registry) {
    let made = registry.create("registered_models", json!({"name": "m"})).await;
    let path = format!("registered_models/{}", id(&made));
    let created = time(&made, "createTimeSinceEpoch");
    assert!(created > 1_700_000_000_000, "{created} are milliseconds since 1970");
    let mut last = time(&made, "lastUpdateTimeSinceEpoch");
    assert!(last >= created);
    for _ in 0..10 {
        let after = registry.update(&path, json!({})).await;
        let updated = time(&after, "lastUpdateTimeSinceEpoch");
        assert!(updated > last, "{updated} > {last}");
        assert_eq!(time(&after, "createTimeSinceEpoch"), created);
        last = updated;
    }
    assert_eq!(time(&registry.read(&path).await, "lastUpdateTimeSinceEpoch"), last);
}

pub(crate) async fn archiving_is_a_state(registry: &Registry) {
    let model = registry.model("m").await;
    let path = format!("registered_models/{model}");
    assert_eq!(registry.read(&path).await["state"], "LIVE");
    registry.update(&path, json!({"state": "ARCHIVED"})).await;
    assert_eq!(registry.read("registered_model?name=m").await["state"], "ARCHIVED");
    assert_eq!(registry.names("registered_models").await, ["m"]);
    registry.post("registered_models", &json!({"name": "m"})).await.is_conflict();
    assert_eq!(registry.update(&path, json!({"owner": "o"})).await["state"], "ARCHIVED");
    registry.patch(&path, &json!({"state": "DELETED"})).await.is_bad();
    assert_eq!(registry.update(&path, json!({"state": "LIVE"})).await["state"], "LIVE");
}
