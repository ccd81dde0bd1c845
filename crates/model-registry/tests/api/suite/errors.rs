//! Requests that are wrong.

use reqwest::Method;
use serde_json::{Value, json};

use crate::registry::{Registry, V1, id};

/// A resource of each kind with strict bodies, by the path where it is made.
async fn strict(registry: &Registry) -> Vec<(String, Value)> {
    let model = registry.model("for strict bodies").await;
    let version = registry.version(&model, "v").await;
    let environment = registry.environment("for strict bodies").await;
    let service = registry.service(&environment, &model).await;
    let experiment = registry.experiment("for strict bodies").await;
    let service_body = json!({"name": "n", "servingEnvironmentId": environment, "registeredModelId": model});
    vec![
        ("registered_models".to_owned(), json!({"name": "n"})),
        (format!("{V1}/registered_models"), json!({"name": "n1"})),
        ("model_versions".to_owned(), json!({"name": "n", "registeredModelId": model})),
        (format!("registered_models/{model}/versions"), json!({"name": "n2", "registeredModelId": model})),
        ("serving_environments".to_owned(), json!({"name": "n"})),
        ("inference_services".to_owned(), service_body.clone()),
        (format!("serving_environments/{environment}/inference_services"), with(&service_body, "name", json!("n2"))),
        (format!("inference_services/{service}/serves"), json!({"name": "n", "modelVersionId": version})),
        ("experiments".to_owned(), json!({"name": "n"})),
        ("experiment_runs".to_owned(), json!({"name": "n", "experimentId": experiment})),
        (format!("experiments/{experiment}/experiment_runs"), json!({"name": "n2", "experimentId": experiment})),
    ]
}

fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[field] = value;
    body
}

pub(crate) async fn unknown_fields_are_named(registry: &Registry) {
    for (path, body) in strict(registry).await {
        let answer = registry.post(&path, &with(&body, "nonsense", json!(1))).await;
        assert_eq!(answer.error(400, "Bad Request"), r#"json: unknown field "nonsense""#, "{path}");
        let made = registry.create(&path, body).await;
        // There is no way to one serve.
        if !path.ends_with("/serves") {
            let collection = match path.rsplit('/').next().unwrap() {
                "versions" => "model_versions",
                other => other,
            };
            let answer = registry.patch(&format!("{collection}/{}", id(&made)), &json!({"nonsense": 1})).await;
            assert_eq!(answer.error(400, "Bad Request"), r#"json: unknown field "nonsense""#, "{collection}");
        }
    }
}

pub(crate) async fn required_fields_are_named_when_they_are_missing(registry: &Registry) {
    for (path, body) in strict(registry).await {
        // A name that may be omitted is not asked for.
        let optional = ["inference_services", "serves", "experiment_runs"].iter().any(|end| path.ends_with(end));
        for field in body.as_object().unwrap().keys().filter(|field| !(optional && *field == "name")) {
            for missing in [Value::Null, json!("")] {
                let answer = registry.post(&path, &with(&body, field, missing)).await;
                let expected = format!("required field '{field}' is zero value.");
                assert_eq!(answer.error(422, "Bad Request"), expected, "{path}");
            }
        }
    }
    let answer = registry.post("registered_models", &json!({})).await;
    assert_eq!(answer.error(422, "Bad Request"), "required field 'name' is zero value.");
}

pub(crate) async fn names_of_fields_match_without_regard_to_case(registry: &Registry) {
    let made =
        registry.create("registered_models", json!({"NAME": "m", "Description": "d", "CUSTOMPROPERTIES": {}})).await;
    assert_eq!((&made["name"], &made["description"]), (&json!("m"), &json!("d")));
    let body = br#"{"name": "first", "Name": "last"}"#.to_vec();
    let answer = registry.send(Method::POST, "registered_models", &[], body).await;
    assert_eq!(answer.ok(201)["name"], "last");
    let made = registry.create("artifacts", json!({"ARTIFACTTYPE": "doc-artifact", "URI": "u"})).await;
    assert_eq!((&made["artifactType"], &made["uri"]), (&json!("doc-artifact"), &json!("u")));
}

pub(crate) async fn artifacts_may_have_fields_that_nobody_knows(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let body = json!({"artifactType": "model-artifact", "nonsense": {"a": [1]}, "experimentId": "7"});
    let made = registry.create("artifacts", body.clone()).await;
    assert!(made.get("nonsense").is_none() && made.get("experimentId").is_none());
    registry.create("model_artifacts", body.clone()).await;
    registry.create(&format!("model_versions/{version}/artifacts"), body.clone()).await;
    registry.update(&format!("artifacts/{}", id(&made)), body.clone()).await;
    registry.update(&format!("model_artifacts/{}", id(&made)), body).await;
}

pub(crate) async fn a_field_of_another_type_is_refused_by_its_name(registry: &Registry) {
    for (path, field, value) in [
        ("registered_models", "name", json!(5)),
        ("registered_models", "description", json!(true)),
        ("registered_models", "language", json!("en")),
        ("registered_models", "tasks", json!([1])),
        ("registered_models", "customProperties", json!([])),
        ("model_versions", "registeredModelId", json!(1)),
        ("artifacts", "uri", json!({})),
        ("experiment_runs", "startTimeSinceEpoch", json!(1)),
        ("experiment_runs", "startTimeSinceEpoch", json!("soon")),
    ] {
        let body = with(&json!({"name": "n", "artifactType": "doc-artifact"}), field, value);
        let body = if path == "artifacts" { body } else { without_type(body) };
        let answer = registry.post(path, &body).await;
        answer.is_bad();
        assert!(answer.error(400, "Bad Request").contains(field), "{answer:?}");
    }
    let metric = |field: &str, value: Value| with(&json!({"artifactType": "metric"}), field, value);
    for (field, value) in [("value", json!("1")), ("step", json!(1.5)), ("timestamp", json!(1)), ("state", json!(1))] {
        registry.post("artifacts", &metric(field, value)).await.is_bad();
    }
}

fn without_type(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("artifactType");
    body
}

pub(crate) async fn words_are_those_that_there_are(registry: &Registry) {
    for (path, body) in strict(registry).await {
        let field = match path.rsplit('/').next().unwrap() {
            "inference_services" => "desiredState",
            "serves" => "lastKnownState",
            "serving_environments" => continue,
            _ => "state",
        };
        for word in ["nonsense", "live", ""] {
            registry.post(&path, &with(&body, field, json!(word))).await.is_bad();
        }
    }
    let states = ["UNKNOWN", "PENDING", "LIVE", "MARKED_FOR_DELETION", "DELETED", "ABANDONED", "REFERENCE"];
    for state in states {
        let made = registry.create("artifacts", json!({"artifactType": "doc-artifact", "state": state})).await;
        assert_eq!(made["state"], state);
    }
    registry.post("artifacts", &json!({"artifactType": "doc-artifact", "state": "ARCHIVED"})).await.is_bad();
}

pub(crate) async fn a_body_that_is_no_json_object_is_refused(registry: &Registry) {
    let model = registry.model("m").await;
    for body in ["[]", "\"text\"", "null", "{", "{\"name\": }", "name=m", "{\"name\": \"a\"} trailing", "\u{feff}{}"] {
        for (method, path) in [
            (Method::POST, "registered_models".to_owned()),
            (Method::POST, "artifacts".to_owned()),
            (Method::PATCH, format!("registered_models/{model}")),
        ] {
            registry.send(method, &path, &[], body.as_bytes().to_vec()).await.is_bad();
        }
    }
    registry.send(Method::POST, "registered_models", &[], Vec::new()).await.is_bad();
    registry.send(Method::POST, "registered_models", &[], b"{\"name\": \"\xff\"}".to_vec()).await.is_bad();
    let deep = "[".repeat(100_000);
    registry.send(Method::POST, "registered_models", &[], format!("{{\"name\": {deep}").into_bytes()).await.is_bad();
}

pub(crate) async fn a_body_that_is_too_large_is_refused(registry: &Registry) {
    let body = json!({"name": "m", "description": "x".repeat(17 << 20)}).to_string().into_bytes();
    let answer = registry.send(Method::POST, "registered_models", &[], body).await;
    answer.error(413, "Payload Too Large");
}

pub(crate) async fn ids_have_one_to_nine_digits(registry: &Registry) {
    for id in ["0", "01", "-1", "x", "1234567890", "1.0", "%20", "1%00", "9999999999999999999999"] {
        for path in [
            format!("registered_models/{id}"),
            format!("registered_models/{id}/versions"),
            format!("model_versions/{id}"),
            format!("model_versions/{id}/artifacts"),
            format!("artifacts/{id}"),
            format!("model_artifacts/{id}"),
            format!("serving_environments/{id}"),
            format!("inference_services/{id}/version"),
            format!("inference_services/{id}/serves"),
            format!("experiments/{id}/experiment_runs"),
            format!("experiment_runs/{id}/metric_history"),
        ] {
            registry.get(&path).await.is_bad();
        }
        registry.patch(&format!("registered_models/{id}"), &json!({})).await.is_bad();
    }
    for id in ["0", "x", "1234567890"] {
        registry.post("model_versions", &json!({"name": "v", "registeredModelId": id})).await.is_bad();
        registry.get(&format!("model_version?name=v&parentResourceId={id}")).await.is_bad();
    }
    registry.get("registered_models/999999999").await.is_not_found();
}

pub(crate) async fn the_id_of_another_kind_is_not_found(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let document = id(&registry.create("artifacts", json!({"artifactType": "doc-artifact"})).await);
    for path in [
        format!("model_versions/{model}"),
        format!("registered_models/{version}"),
        format!("artifacts/{model}"),
        format!("model_artifacts/{document}"),
        format!("serving_environments/{model}"),
        format!("inference_services/{model}"),
        format!("experiments/{model}"),
        format!("experiment_runs/{model}"),
        format!("inference_services/{model}/model"),
    ] {
        registry.get(&path).await.is_not_found();
    }
    registry.patch(&format!("registered_models/{version}"), &json!({"owner": "o"})).await.is_not_found();
    registry.patch(&format!("model_artifacts/{document}"), &json!({"uri": "u"})).await.is_not_found();
    registry.post("model_versions", &json!({"name": "w", "registeredModelId": version})).await.is_not_found();
}

pub(crate) async fn nul_bytes_are_refused_everywhere(registry: &Registry) {
    let model = registry.model("m").await;
    for path in [
        "registered_models/1%00".to_owned(),
        "nonsense%00".to_owned(),
        "registered_model?name=a%00b".to_owned(),
        "registered_models?filterQuery=name%20%3D%20%27a%00%27".to_owned(),
        "registered_models?nonsense=%00".to_owned(),
        "registered_models?%00=1".to_owned(),
        format!("registered_models/{model}?a=%00"),
    ] {
        registry.get(&path).await.is_bad();
    }
    for body in [
        json!({"name": "a\0b"}),
        json!({"name": "n", "description": "\0"}),
        json!({"name": "n", "customProperties": {"a\0": {"metadataType": "MetadataStringValue", "string_value": "s"}}}),
        json!({"name": "n", "customProperties": {"a": {"metadataType": "MetadataStringValue", "string_value": "\0"}}}),
        json!({"name": "n", "tasks": ["\0"]}),
        json!({"name": "n", "nonsense\0": 1}),
    ] {
        registry.post("registered_models", &body).await.is_bad();
        registry.patch(&format!("registered_models/{model}"), &body).await.is_bad();
    }
    registry.post("artifacts", &json!({"artifactType": "doc-artifact", "nonsense": ["\0"]})).await.is_bad();
    let raw = b"{\"name\": \"a\0\"}".to_vec();
    registry.send(Method::POST, "registered_models", &[], raw).await.is_bad();
}
