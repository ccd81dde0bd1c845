//! The clients against servers that behave as the Go services do, and as ours do.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use bridge_api::{ClientError, EntryKey, LocationClient, PostBody, ReconcilerType, StorageClient, Upserted};
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

/// What a peer was asked, and what it answers.
#[derive(Clone)]
struct Peer {
    answers: Arc<dyn Fn(&str) -> Response + Send + Sync>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    line: String,
    authorization: Option<String>,
    body: Value,
}

impl Peer {
    async fn start(answers: impl Fn(&str) -> Response + Send + Sync + 'static) -> (Self, Url) {
        let peer = Self { answers: Arc::new(answers), seen: Arc::default() };
        let router = Router::new().fallback(any(record)).with_state(peer.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (peer, format!("http://{address}").parse().unwrap())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

async fn record(State(peer): State<Peer>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let line = format!("{} {}", parts.method, parts.uri);
    let authorization = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    peer.seen.lock().unwrap().push(Seen { line: line.clone(), authorization, body });
    (peer.answers)(&line)
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn key(text: &str) -> EntryKey {
    text.parse().unwrap()
}

fn keys(count: usize) -> Vec<EntryKey> {
    (0..count).map(|n| key(&format!("a-registered-model-with-a-name-{n:05}_v1"))).collect()
}

fn go_storage(line: &str) -> Response {
    if line.contains("/list") { Json(json!({"keys": ["a_b"]})).into_response() } else { StatusCode::OK.into_response() }
}

fn our_storage(line: &str) -> Response {
    if line.contains("/list") {
        return Json(json!({"keys": ["a_b"], "entries": [{"key": "a_b", "digest": "d", "type": "kserve"}]}))
            .into_response();
    }
    StatusCode::OK.into_response()
}

#[tokio::test]
async fn an_upsert_names_key_and_type_and_tells_new_from_old() {
    let (peer, url) = Peer::start(|line| {
        if line.contains("new_one") { StatusCode::CREATED.into_response() } else { StatusCode::OK.into_response() }
    })
    .await;
    let client = StorageClient::new(url.clone(), http()).with_token(SecretString::from("s3cret"));
    let body = PostBody { body: b"{}".to_vec(), ..PostBody::default() };
    let created = client.upsert(&key("new_one"), ReconcilerType::Kubeflow, &body).await.unwrap();
    assert_eq!(created, Upserted::Created);
    let existed = client.upsert(&key("old_one"), ReconcilerType::Kserve, &body).await.unwrap();
    assert_eq!(existed, Upserted::Existed);
    assert_eq!(LocationClient::new(url, http()).upsert(&key("new_one"), &body).await.unwrap(), Upserted::Created);

    let lines = ["POST /upsert?key=new_one&type=kubeflow", "POST /upsert?key=old_one&type=kserve"];
    assert_eq!(peer.lines(), [lines[0], lines[1], "POST /upsert?key=new_one"]);
    assert_eq!(peer.seen()[0].body["body"], json!("e30="));
    assert_eq!(peer.seen()[0].authorization.as_deref(), Some("Bearer s3cret"));
    assert_eq!(peer.seen()[2].authorization, None);
}

#[tokio::test]
async fn a_token_that_rotates_is_asked_for_with_each_request() {
    let (peer, url) = Peer::start(|_| Json(json!({"keys": [], "uris": []})).into_response()).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let source = move || Some(SecretString::from(format!("token-{}", asked.fetch_add(1, Ordering::SeqCst))));
    let client = StorageClient::new(url, http()).with_token_source(Arc::new(source));
    client.list().await.unwrap();
    client.list().await.unwrap();
    let sent: Vec<_> = peer.seen().iter().map(|seen| seen.authorization.clone().unwrap()).collect();
    assert_eq!(sent, ["Bearer token-0", "Bearer token-1"]);
    assert!(!format!("{client:?}").contains("token-"));
}

#[tokio::test]
async fn a_refusal_of_the_caller_is_told_from_one_of_the_call_and_may_pass() {
    for (status, refusal) in [(401, true), (403, true), (400, false), (404, false), (503, false)] {
        let answer = StatusCode::from_u16(status).unwrap();
        let (_, url) = Peer::start(move |_| answer.into_response()).await;
        let error = StorageClient::new(url, http()).settle().await.unwrap_err();
        assert_eq!(error.is_refusal(), refusal, "{status}");
        assert_eq!(error.is_retryable(), refusal || status == 503, "{status}");
    }
}

#[tokio::test]
async fn a_base_with_a_path_keeps_it() {
    let (peer, url) = Peer::start(|_| Json(json!({"uris": []})).into_response()).await;
    LocationClient::new(url.join("/bridge/").unwrap(), http()).list().await.unwrap();
    LocationClient::new(url.join("/bridge").unwrap(), http()).list().await.unwrap();
    assert_eq!(peer.lines(), ["GET /bridge/list?details=true"; 2]);
}

#[tokio::test]
async fn lists_of_a_go_storage_and_of_ours() {
    let (_, go) = Peer::start(go_storage).await;
    let list = StorageClient::new(go, http()).list().await.unwrap();
    assert_eq!((list.keys.len(), list.entries), (1, None));
    let (peer, ours) = Peer::start(our_storage).await;
    let client = StorageClient::new(ours, http());
    for list in [client.list().await.unwrap(), client.list_digests().await.unwrap()] {
        assert_eq!(list.entries.unwrap()[0].digest.as_str(), "d");
    }
    assert_eq!(peer.lines(), ["GET /list?details=true", "GET /list?details=true&origins=false"]);
}

#[tokio::test]
async fn what_storage_does_not_hold_is_nothing() {
    let (peer, url) = Peer::start(|line| {
        if line.contains("gone") {
            return StatusCode::NOT_FOUND.into_response();
        }
        Json(json!({"body": "e30=", "reconcilerType": "kserve"})).into_response()
    })
    .await;
    let client = StorageClient::new(url, http());
    assert_eq!(client.fetch(&key("gone_v1")).await.unwrap(), None);
    assert_eq!(client.fetch(&key("here_v1")).await.unwrap().unwrap().body, b"{}");
    assert_eq!(peer.lines(), ["GET /fetch?key=gone_v1", "GET /fetch?key=here_v1"]);
}

#[tokio::test]
async fn many_entries_are_asked_for_at_once_and_what_is_too_much_is_left() {
    let (peer, url) = Peer::start(|_| {
        let answer = json!({"entries": {"a_b": {"body": "e30=", "reconcilerType": "kserve"}}, "rest": ["c_d"]});
        Json(answer).into_response()
    })
    .await;
    let client = StorageClient::new(url, http());
    let fetched = client.fetch_many(&[key("a_b"), key("c_d"), key("e_f")]).await.unwrap();
    assert_eq!(fetched.entries[&key("a_b")].body, b"{}");
    assert_eq!((fetched.entries.len(), fetched.rest), (1, vec![key("c_d")]));
    assert_eq!(peer.lines(), ["POST /fetch"]);
    assert_eq!(peer.seen()[0].body, json!({"keys": ["a_b", "c_d", "e_f"]}));

    let all = keys(1_003);
    let fetched = client.fetch_many(&all).await.unwrap();
    assert_eq!(peer.seen()[1].body["keys"].as_array().unwrap().len(), 1_000);
    assert_eq!(fetched.rest, [&[key("c_d")], &all[1_000..]].concat());
}

#[tokio::test]
async fn a_storage_that_gives_one_entry_at_a_time_is_an_error_to_who_asks_for_many() {
    let (_, url) = Peer::start(|_| StatusCode::METHOD_NOT_ALLOWED.into_response()).await;
    let error = StorageClient::new(url, http()).fetch_many(&[key("a_b")]).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::METHOD_NOT_ALLOWED));
    for text in ["{}", "[]", r#"{"entries": {"nokey": {}}}"#, r#"{"body": "e30="}"#] {
        let (_, url) = Peer::start(move |_| text.into_response()).await;
        let error = StorageClient::new(url, http()).fetch_many(&[key("a_b")]).await.unwrap_err();
        assert!(matches!(error, ClientError::Unexpected { .. }), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_removal_of_what_is_gone_succeeds() {
    let (peer, url) = Peer::start(|_| StatusCode::NOT_FOUND.into_response()).await;
    LocationClient::new(url, http()).remove(&key("gone_v1")).await.unwrap();
    assert_eq!(peer.lines(), ["DELETE /remove?key=gone_v1"]);
}

#[tokio::test]
async fn key_sets_travel_in_the_url_while_they_fit() {
    let (peer, url) = Peer::start(go_storage).await;
    let client = StorageClient::new(url, http());
    client.current_key_set(&[]).await.unwrap();
    client.current_key_set(&[key("a_b"), key("c_d")]).await.unwrap();
    assert_eq!(peer.lines(), ["POST /currentkeyset?key=", "POST /currentkeyset?key=a_b,c_d"]);
}

#[tokio::test]
async fn a_long_key_set_goes_to_our_storage_as_a_body() {
    let (peer, url) = Peer::start(our_storage).await;
    let keys = keys(5_000);
    StorageClient::new(url, http()).current_key_set(&keys).await.unwrap();
    assert_eq!(peer.lines(), ["GET /list?details=true", "POST /currentkeyset"]);
    assert_eq!(peer.seen()[1].body["keys"].as_array().unwrap().len(), keys.len());
}

#[tokio::test]
async fn a_long_key_set_goes_to_a_go_storage_in_the_url_or_not_at_all() {
    let (peer, url) = Peer::start(go_storage).await;
    let client = StorageClient::new(url, http());
    client.current_key_set(&keys(1_000)).await.unwrap();
    assert!(peer.lines()[1].starts_with("POST /currentkeyset?key=a-registered-model"));

    let error = client.current_key_set(&keys(5_000)).await.unwrap_err();
    assert!(matches!(error, ClientError::KeySetTooLong { keys: 5_000, .. }), "{error}");
    assert!(!error.is_retryable());
    let sets = peer.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(sets, 1, "nothing was sent that a Go storage would take for an empty set");
}

#[tokio::test]
async fn an_error_names_peer_url_status_and_what_the_peer_said() {
    let (_, url) = Peer::start(|line| {
        let status = if line.contains("busy") { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_REQUEST };
        (status, Json(json!({"error": "the key is no good"}))).into_response()
    })
    .await;
    let mut with_password = url.clone();
    with_password.set_username("someone").unwrap();
    with_password.set_password(Some("s3cret")).unwrap();
    let client = LocationClient::new(with_password, http());
    let error = client.upsert(&key("a_b"), &PostBody::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("location answered POST {url}upsert?key=a_b with 400 Bad Request: the key is no good")
    );
    assert!(!error.is_retryable());
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
    let error = client.remove(&key("busy_b")).await.unwrap_err();
    assert!(error.is_retryable());
}

#[tokio::test]
async fn what_is_no_list_is_an_error_and_not_an_empty_list() {
    for text in ["<html>Log in</html>", "{}", "[]", "null", "", r#"{"status": "up"}"#] {
        let (_, url) = Peer::start(move |_| text.into_response()).await;
        let error = StorageClient::new(url.clone(), http()).list().await.unwrap_err();
        assert!(matches!(error, ClientError::Unexpected { .. }), "{error}");
        assert!(error.is_retryable());
        assert!(LocationClient::new(url, http()).list().await.is_err());
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_worth_a_retry() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = StorageClient::new(url.clone(), http()).list().await.unwrap_err();
    assert!(error.is_retryable());
    assert!(error.to_string().starts_with(&format!("storage did not answer GET {url}list")), "{error}");

    let error = StorageClient::new("data:text/plain,x".parse().unwrap(), http()).list().await.unwrap_err();
    assert!(matches!(error, ClientError::BaseUrl { .. }), "{error}");
}
