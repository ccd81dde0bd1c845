//! Many entries with one request, over real HTTP.

use bridge_api::{ErrorBody, FetchedEntries, MAX_FETCHED_KEYS, StorageBody};
use http::StatusCode;
use serde_json::json;

use crate::support::{Storage, http, key};

async fn storage(directory: &tempfile::TempDir) -> Storage {
    Storage::start(directory.path(), &["--location-url", "http://127.0.0.1:9"]).await
}

async fn ask(storage: &Storage, content_type: &str, body: String) -> (StatusCode, String) {
    let request = http().post(storage.url.join("fetch").unwrap()).header("content-type", content_type).body(body);
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn each_entry_is_the_one_that_a_single_fetch_gives_and_unknown_keys_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    for name in ["a_1", "b_1", "c_1"] {
        storage.upsert(name, name).await;
    }
    let asked = ["b_1", "unknown_1", "a_1", "a_1"].map(key);
    let FetchedEntries { entries, rest } = storage.client.fetch_many(&asked).await.unwrap();
    assert_eq!((entries.len(), rest.len()), (2, 0));
    for (name, entry) in entries {
        assert_eq!(entry.body, name.as_str().as_bytes());
        let single: StorageBody = storage.client.fetch(&name).await.unwrap().unwrap();
        assert_eq!(entry, single);
    }
    let (status, nothing) = ask(&storage, "application/json", json!({"keys": []}).to_string()).await;
    assert_eq!((status, nothing.as_str()), (StatusCode::OK, r#"{"entries":{}}"#));
}

#[tokio::test]
async fn a_long_answer_ends_early_and_the_rest_is_asked_for_again() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    let names: Vec<String> = (0..200).map(|n| format!("model-{n:03}_v1")).collect();
    let document = "x".repeat(50_000);
    for name in &names {
        storage.upsert(name, &document).await;
    }
    let mut wanted: Vec<_> = names.iter().map(|name| key(name)).collect();
    let (mut requests, mut found) = (0, 0);
    while !wanted.is_empty() {
        let fetched = storage.client.fetch_many(&wanted).await.unwrap();
        assert!(fetched.entries.len() <= 100, "{} documents in one answer", fetched.entries.len());
        found += fetched.entries.len();
        requests += 1;
        wanted = fetched.rest;
    }
    assert_eq!((requests, found), (2, names.len()));
}

#[tokio::test]
async fn what_is_malformed_or_too_much_is_400_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    let json = "application/json";
    let many = |count: usize| json!({"keys": vec!["a_1"; count]}).to_string();
    for (content_type, body, reason) in [
        (json, String::new(), "not understood"),
        (json, "{}".to_owned(), "not understood"),
        (json, "[]".to_owned(), "not understood"),
        (json, r#"{"keys":null}"#.to_owned(), "not understood"),
        (json, r#"{"keys":["nokey"]}"#.to_owned(), "nokey"),
        (json, r#"{"keys":["../x_1"]}"#.to_owned(), "key"),
        (json, many(MAX_FETCHED_KEYS + 1), "1001 keys are too many"),
        ("text/plain", many(1), "application/json"),
    ] {
        let (status, answer) = ask(&storage, content_type, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let error = serde_json::from_str::<ErrorBody>(&answer).unwrap().error;
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(ask(&storage, json, many(MAX_FETCHED_KEYS)).await.0, StatusCode::OK);
}
