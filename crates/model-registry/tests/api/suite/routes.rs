//! Which paths there are, in both versions, and what the others answer.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::registry::{Registry, V1, V1ALPHA3, id};

pub(crate) async fn version_1_has_no_experiments_and_steps_as_texts(registry: &Registry) {
    let model = registry.model("m").await;
    assert_eq!(registry.read(&format!("{V1}/registered_models/{model}")).await["name"], "m");
    let made = registry.create(&format!("{V1}/registered_models"), json!({"name": "n"})).await;
    assert_eq!(registry.read(&format!("registered_models/{}", id(&made))).await["name"], "n");
    for path in ["experiment", "experiments", "experiments/1", "experiment_runs", "experiment_runs/metric_history"] {
        registry.get(&format!("{V1}/{path}")).await.is_not_found();
    }
    let (old, new) = ("artifacts".to_owned(), format!("{V1}/artifacts"));
    let metric = |step: Value| json!({"artifactType": "metric", "value": 0.5, "step": step});
    let made = registry.create(&new, metric(json!("7"))).await;
    assert_eq!(made["step"], "7");
    assert_eq!(registry.read(&format!("{old}/{}", id(&made))).await["step"], 7);
    let made = registry.create(&old, metric(json!(8))).await;
    assert_eq!(registry.read(&format!("{new}/{}", id(&made))).await["step"], "8");
    registry.post(&new, &metric(json!(7))).await.is_bad();
    registry.post(&old, &metric(json!("7"))).await.is_bad();
}

pub(crate) async fn there_is_nothing_to_delete(registry: &Registry) {
    let model = registry.model("m").await;
    for prefix in [V1ALPHA3, V1] {
        for path in ["registered_models".to_owned(), format!("registered_models/{model}"), "artifacts/1".to_owned()] {
            let answer = registry.send(Method::DELETE, &format!("{prefix}/{path}"), &[], Vec::new()).await;
            answer.error(405, "Method Not Allowed");
        }
    }
    registry.read(&format!("registered_models/{model}")).await;
}

pub(crate) async fn unknown_paths_and_methods_are_refused_in_one_shape(registry: &Registry) {
    for path in
        ["/", "/nonsense", "/api", "/api/model_registry/v2/registered_models", "nonsense", "", "registered_models/"]
    {
        registry.get(path).await.is_not_found();
        registry.post(path, &json!({})).await.is_not_found();
    }
    for (method, path) in [
        (Method::PUT, "registered_models"),
        (Method::PATCH, "registered_models"),
        (Method::POST, "registered_model"),
        (Method::POST, "registered_models/1"),
        (Method::PATCH, "registered_models/1/versions"),
        (Method::POST, "experiment_runs/metric_history"),
        (Method::POST, "inference_services/1/version"),
    ] {
        let answer = registry.send(method, path, &[], b"{}".to_vec()).await;
        answer.error(405, "Method Not Allowed");
        assert!(!answer.header("allow").is_empty());
    }
}

pub(crate) async fn health_is_answered_at_every_path_that_ends_so(registry: &Registry) {
    let paths = ["/readyz/isDirty", "/readyz/health", "/any/where/readyz/isDirty", "readyz/health"];
    for path in paths {
        assert_eq!(registry.read(path).await, "OK", "{path}");
        let checks = registry.read(&format!("{path}?format=json")).await;
        assert_eq!(checks["status"], "pass");
        assert_eq!(checks["checks"]["database"]["status"], "pass");
    }
    registry.send(Method::POST, "/readyz/health", &[], Vec::new()).await.error(405, "Method Not Allowed");
    registry.get("/readyz/healthy").await.is_not_found();
    registry.readiness.set_not_ready("the database is away");
    for path in paths {
        assert_eq!(registry.get(path).await.error(503, "Service Unavailable"), "the database is away", "{path}");
        let checks = registry.get(&format!("{path}?format=json")).await.ok(503);
        assert_eq!(checks["checks"]["database"], json!({"status": "fail", "message": "the database is away"}));
    }
}

pub(crate) async fn the_document_describes_every_operation_that_there_is(registry: &Registry) {
    let document = registry.read("/openapi.json").await;
    assert_eq!(document["components"]["schemas"]["Error"]["required"], json!(["code", "message"]));
    let mut operations = BTreeSet::new();
    // The feed of changes is beyond the API that is compared here.
    let of_api = |path: &str| path.starts_with("/api/") && !path.ends_with("/changes");
    for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| of_api(path)) {
        for method in item.as_object().unwrap().keys() {
            let filled: Vec<&str> =
                path.split('/').map(|segment| if segment.starts_with('{') { "nonsense" } else { segment }).collect();
            let method_sent = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = registry.send(method_sent, &filled.join("/"), &[], Vec::new()).await;
            assert!(![404, 405].contains(&answer.status), "{method} {path} is described and not there: {answer:?}");
            let described = &item[method.as_str()]["responses"][answer.status.to_string()];
            assert!(described.is_object() || answer.status == 404, "{method} {path}: {answer:?} is not described");
            operations.insert(format!("{method} {path}"));
        }
    }
    let of = |prefix: &str| operations.iter().filter(|operation| operation.contains(&format!("{prefix}/"))).count();
    assert_eq!(of(V1ALPHA3), 56);
    assert_eq!(of(V1), of(V1ALPHA3) - operations.iter().filter(|operation| operation.contains("/experiment")).count());
}

pub(crate) async fn the_pages_need_nothing_from_elsewhere(registry: &Registry) {
    let answer = registry.get("/docs").await;
    assert_eq!((answer.status, answer.header("location")), (308, "docs/".to_owned()));
    let page = registry.send(Method::GET, "/docs/", &[("accept-encoding", "identity")], Vec::new()).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    let html = page.body.as_str().unwrap().to_owned();
    let sources: Vec<&str> =
        html.split("src=\"").chain(html.split("href=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let files: Vec<&str> = sources.into_iter().filter_map(|source| source.strip_prefix("./")).collect();
    assert!(files.len() >= 3, "{html}");
    for file in files {
        assert_eq!(registry.get(&format!("/docs/{file}")).await.status, 200, "{file}");
    }
    assert!(!html.contains("//"), "{html}");
    let start = registry.get("/docs/swagger-initializer.js").await;
    assert!(start.body.as_str().unwrap().contains("../openapi.json"), "{start:?}");
    registry.get("/docs/nonsense").await.is_not_found();
}
