//! Requests that depend on what the caller has: `ETag`, `If-None-Match` and `If-Match`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::registry::{Answer, Registry};

async fn read(registry: &Registry, path: &str, known: &str) -> Answer {
    registry.send(Method::GET, path, &[("if-none-match", known)], Vec::new()).await
}

async fn change(registry: &Registry, path: &str, expected: &str, body: &Value) -> Answer {
    registry.send(Method::PATCH, path, &[("if-match", expected)], body.to_string().into_bytes()).await
}

pub(crate) async fn a_resource_is_sent_again_only_when_it_changed(registry: &Registry) {
    let answer = registry.post("registered_models", &json!({"name": "m"})).await;
    let (made, path) = (answer.header("etag"), format!("registered_models/{}", answer.body["id"].as_str().unwrap()));
    for path in [path.as_str(), "registered_model?name=m"] {
        assert_eq!(registry.get(path).await.header("etag"), made);
        for known in [&made, &format!("W/{made}"), &format!("\"other\", {made}"), "*"] {
            let answer = read(registry, path, known).await;
            assert_eq!((answer.status, answer.header("etag"), &answer.body), (304, made.clone(), &json!("")));
        }
        assert_eq!(read(registry, path, "\"other\"").await.status, 200);
    }
    let changed = registry.patch(&path, &json!({"owner": "o"})).await.header("etag");
    assert_ne!(changed, made);
    assert_eq!(read(registry, &path, &made).await.ok(200)["owner"], "o");
    assert_eq!(read(registry, &path, &changed).await.status, 304);
    // What is not there is not unchanged.
    assert_eq!(read(registry, "registered_models/999", "*").await.status, 404);
}

pub(crate) async fn a_list_is_sent_again_only_when_it_changed(registry: &Registry) {
    let model = registry.model("m").await;
    for path in ["registered_models".to_owned(), format!("registered_models/{model}/versions")] {
        let tag = registry.get(&path).await.header("etag");
        assert_eq!(read(registry, &path, &tag).await.status, 304, "{path}");
        assert_eq!(registry.get(&format!("{path}?pageSize=5")).await.status, 200);
        registry.version(&model, &path).await;
        registry.update(&format!("registered_models/{model}"), json!({"owner": path})).await;
        let answer = read(registry, &path, &tag).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_ne!(answer.header("etag"), tag);
    }
}

pub(crate) async fn a_change_goes_through_for_who_knows_the_current_state(registry: &Registry) {
    let model = registry.model("m").await;
    let path = format!("registered_models/{model}");
    let first = registry.get(&path).await.header("etag");
    let second = change(registry, &path, &first, &json!({"owner": "1"})).await.header("etag");
    for outdated in [first.as_str(), "\"nonsense\"", &format!("W/{second}")] {
        let answer = change(registry, &path, outdated, &json!({"owner": "lost"})).await;
        answer.error(412, "Precondition Failed");
    }
    assert_eq!(registry.read(&path).await["owner"], "1");
    change(registry, &path, &format!("{first}, {second}"), &json!({"owner": "2"})).await.ok(200);
    change(registry, &path, "*", &json!({"owner": "3"})).await.ok(200);
    change(registry, "registered_models/999", "*", &json!({})).await.is_not_found();
    // Of those who saw the same, one comes through.
    let seen = registry.get(&path).await.header("etag");
    let body = json!({"description": "mine"});
    let answers = futures::future::join_all((0..6).map(|_| change(registry, &path, &seen, &body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
}
