//! Holds a service's OpenAPI document against the routes that the service has.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
const LIMIT: usize = 16 << 20;

/// Checks that the document describes each route of `app` but `pages`, and no other; that each path takes the methods
/// that it says, and no other; and that what is answered is described. Returns the document.
pub async fn assert_describes(app: &Router, pages: &[&str]) -> Value {
    let document = document_of(app).await;
    let paths = document["paths"].as_object().expect("a document has paths");
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    let debugged = format!("{app:?}");
    let routes: BTreeSet<&str> = routes(&debugged).into_iter().filter(|path| !pages.contains(path)).collect();
    assert_eq!(described, routes, "left: the paths of the document, right: the routes that there are");
    for (path, item) in paths {
        assert_methods(app, path, item).await;
    }
    assert_operations_are_named(paths.values());
    document
}

async fn document_of(app: &Router) -> Value {
    let answer = send(app, Method::GET, "/openapi.json").await;
    assert_eq!(answer.status(), StatusCode::OK);
    serde_json::from_slice(&body_of(answer).await).expect("the document is JSON")
}

/// The paths of a router. Only its debug form tells them.
fn routes(debugged: &str) -> BTreeSet<&str> {
    let own = debugged.split("fallback_router").next().unwrap_or_default();
    own.split("): \"/").skip(1).filter_map(|rest| rest.split_once('"')).map(|(path, _)| path_of(own, path)).collect()
}

/// The same with its slash.
fn path_of<'a>(text: &'a str, rest: &'a str) -> &'a str {
    let at = rest.as_ptr() as usize - text.as_ptr() as usize;
    &text[at - 1..at + rest.len()]
}

async fn assert_methods(app: &Router, path: &str, item: &Value) {
    let is_described = |method: &Method| item.get(method.as_str().to_lowercase()).is_some();
    let mut allowed: BTreeSet<String> = METHODS.iter().filter(|m| is_described(m)).map(ToString::to_string).collect();
    if allowed.contains("GET") {
        allowed.insert("HEAD".to_owned());
    }
    for method in METHODS {
        let answer = send(app, method.clone(), &filled(path)).await;
        if is_described(&method) {
            let operation = &item[method.as_str().to_lowercase()];
            assert_is_described(operation, answer, &format!("{method} {path}")).await;
        } else {
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path} is not described");
            let header = answer.headers().get(ALLOW).expect("a 405 says what is allowed").to_str().unwrap();
            let said: BTreeSet<String> = header.split(',').map(|method| method.trim().to_owned()).collect();
            assert_eq!(said, allowed, "{path}");
            assert_is_error(answer).await;
        }
    }
}

/// A path whose parameters have values.
fn filled(path: &str) -> String {
    let segment = |text: &str| if text.starts_with('{') { "x".to_owned() } else { text.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

async fn assert_is_described(operation: &Value, answer: Response<Body>, what: &str) {
    let status = answer.status();
    let described = &operation["responses"][status.as_str()];
    assert!(described.is_object(), "{what} answers {status}, which is not described");
    let content_type = answer.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
    let contents: BTreeMap<String, Value> =
        described.get("content").map(|value| serde_json::from_value(value.clone()).unwrap()).unwrap_or_default();
    match &content_type {
        Some(text) => {
            let essence = text.split(';').next().unwrap_or_default();
            assert!(contents.contains_key(essence), "{what} answers {status} with {essence}, which is not described");
        }
        None => assert!(contents.is_empty(), "{what} answers {status} without the content that is described"),
    }
    if status.is_client_error() || status.is_server_error() {
        assert_is_error(answer).await;
    }
}

async fn assert_is_error(answer: Response<Body>) {
    let error: Value = serde_json::from_slice(&body_of(answer).await).expect("an error is JSON");
    assert!(error["error"].is_string(), "{error}");
}

fn assert_operations_are_named<'a>(items: impl Iterator<Item = &'a Value>) {
    let operations: Vec<&Value> = items.flat_map(|item| item.as_object().unwrap().values()).collect();
    let names: BTreeSet<&str> = operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len(), "operations have names of their own: {names:?}");
    assert!(operations.iter().all(|operation| operation["summary"].is_string()), "each operation has a summary");
}

async fn send(app: &Router, method: Method, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn body_of(answer: Response<Body>) -> Vec<u8> {
    to_bytes(answer.into_body(), LIMIT).await.unwrap().to_vec()
}
