//! The routes over real HTTP, with the shapes that were recorded from the Go services.

use bridge_api::messages::Origin;
use bridge_api::{ErrorBody, KeyList, PostBody, ReconcilerType, StorageBody, Upserted, content_digest};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Storage, http, key, post};

/// Nobody listens there, which is no business of the routes.
const NOWHERE: [&str; 2] = ["--location-url", "http://127.0.0.1:9"];

async fn storage(directory: &tempfile::TempDir) -> Storage {
    Storage::start(directory.path(), &NOWHERE).await
}

async fn post_raw(storage: &Storage, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
    send(http().post(storage.url.join(path).unwrap()).body(body)).await
}

async fn post_json(storage: &Storage, path: &str, body: &str) -> (StatusCode, String) {
    let request = http().post(storage.url.join(path).unwrap()).header("content-type", "application/json");
    send(request.body(body.to_owned())).await
}

async fn get(storage: &Storage, path: &str) -> (StatusCode, String) {
    send(http().get(storage.url.join(path).unwrap())).await
}

async fn send(request: reqwest::RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

fn error(body: &str) -> String {
    serde_json::from_str::<ErrorBody>(body).unwrap().error
}

#[tokio::test]
async fn upserts_are_answered_201_for_new_entries_and_200_for_known_ones() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    let body = r#"{"body":"e30=","lastUpdateTimeSinceEpoch":"1743681600000","modelCardKey":"c","modelCard":"card"}"#;
    for status in [StatusCode::CREATED, StatusCode::OK] {
        assert_eq!(post_json(&storage, "upsert?key=granite-0-lab_v1&type=kubeflow", body).await.0, status);
    }
    let changed = body.replace("card\"}", "another\"}");
    assert_eq!(post_raw(&storage, "upsert?key=granite-0-lab_v1&type=kubeflow", changed).await.0, StatusCode::OK);
    let metrics = storage.metrics().await;
    for outcome in ["created", "updated", "unchanged"] {
        let line = format!("storage_rest_upserts_total{{outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn what_the_go_services_recorded_is_answered_in_the_same_shape() {
    for format in ["CatalogInfoYamlFormat", "JsonArrayFormat"] {
        let directory = tempfile::tempdir().unwrap();
        let storage = storage(&directory).await;
        let read = |name: &str| {
            let path = format!("{}/tests/fixtures/go-bridge/{format}/{name}", env!("CARGO_MANIFEST_DIR"));
            serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        for name in ["granite-0-lab_v1", "granite-1-lab_v1"] {
            let recorded = read(&format!("fetch_{name}.json"));
            // As the Go normalizer sends it, with null for what it does not know.
            let sent = json!({ "body": recorded["body"], "lastUpdateTimeSinceEpoch": "", "modelCardKey": null, "modelCard": null });
            let (status, _) = post_json(&storage, &format!("upsert?key={name}&type=kubeflow"), &sent.to_string()).await;
            assert_eq!(status, StatusCode::CREATED);
            let (_, fetched) = get(&storage, &format!("fetch?key={name}")).await;
            assert_eq!(serde_json::from_str::<Value>(&fetched).unwrap(), recorded);
        }
        let (_, listed) = get(&storage, "list").await;
        let recorded = read("storage-list.json");
        let granites: Vec<&Value> =
            recorded["keys"].as_array().unwrap().iter().filter(|name| *name != "ai-models_mnist-v1").collect();
        assert_eq!(serde_json::from_str::<Value>(&listed).unwrap(), json!({ "keys": granites }));
    }
}

#[tokio::test]
async fn lists_are_arrays_and_have_details_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    assert_eq!(get(&storage, "list").await, (StatusCode::OK, r#"{"keys":[]}"#.to_owned()));
    let origin = Origin {
        source: "http://registry".to_owned(),
        parent: "1".to_owned(),
        child: "2".to_owned(),
        first: "granite".to_owned(),
        second: "v1".to_owned(),
        served_by: None,
    };
    let sent = PostBody { origin: Some(origin.clone()), model_card: "card".to_owned(), ..post("{}") };
    let upserted = storage.client.upsert(&key("granite_v1"), ReconcilerType::Kserve, &sent).await.unwrap();
    assert_eq!(upserted, Upserted::Created);
    let KeyList { keys, entries, .. } = storage.client.list().await.unwrap();
    assert_eq!(keys, ["granite_v1"]);
    let entry = &entries.unwrap()[0];
    assert_eq!(entry.digest, content_digest(b"{}", "", "card"));
    assert_eq!(entry.reconciler_type.as_deref(), Some("kserve"));
    assert_eq!(entry.origin, Some(origin));
    assert_eq!(get(&storage, "list").await.1, r#"{"keys":["granite_v1"]}"#);
}

#[tokio::test]
async fn a_list_is_settled_once_a_key_set_came_or_when_storage_began_with_entries() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    assert_eq!(storage.client.list().await.unwrap().settled, Some(false));
    storage.upsert("granite_v1", "{}").await;
    assert_eq!(storage.client.list().await.unwrap().settled, Some(false), "others may be missing");
    storage.stop().await;
    let storage = self::storage(&directory).await;
    assert_eq!(storage.client.list().await.unwrap().settled, Some(false), "a restart brings none of them");
    storage.client.current_key_set(&[key("granite_v1")]).await.unwrap();
    assert_eq!(storage.client.list().await.unwrap().settled, Some(true));
    storage.stop().await;
    let storage = self::storage(&directory).await;
    assert_eq!(storage.client.list().await.unwrap().settled, Some(true));
}

#[tokio::test]
async fn a_sender_that_tells_no_origin_promises_no_key_set() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    storage.client.upsert(&key("granite_v1"), ReconcilerType::Kubeflow, &post("{}")).await.unwrap();
    assert_eq!(storage.client.list().await.unwrap().settled, Some(true));
}

#[tokio::test]
async fn a_fetch_has_the_model_card_and_an_unknown_key_is_404() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    let sent = PostBody { model_card_key: "c".to_owned(), model_card: "# Card".to_owned(), ..post("{}") };
    storage.client.upsert(&key("granite_v1"), ReconcilerType::Kubeflow, &sent).await.unwrap();
    let StorageBody { model_card, model_card_key, .. } =
        storage.client.fetch(&key("granite_v1")).await.unwrap().unwrap();
    assert_eq!((model_card_key.as_str(), model_card.as_str()), ("c", "# Card"));
    let (status, body) = get(&storage, "fetch?key=granite_v2").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(error(&body).contains("granite_v2"));
}

#[tokio::test]
async fn what_is_malformed_is_400_with_a_reason_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    storage.upsert("kept_v1", "{}").await;
    let good = r#"{"body":"e30="}"#;
    for (path, body, reason) in [
        ("upsert", good, "`key` is missing"),
        ("upsert?key=", good, "`key` is missing"),
        ("upsert?key=nounderscore", good, "nounderscore"),
        ("upsert?key=a%2Fb_c", good, "a/b_c"),
        ("upsert?key=a_b&type=other", good, "other"),
        ("upsert?key=a_b", "", "a_b"),
        ("upsert?key=a_b", "{", "not understood"),
        ("upsert?key=a_b", r#"{"body":"%%%"}"#, "base64"),
        ("upsert?key=a_b", r#"{"body":7}"#, "not understood"),
        ("upsert?key=a_b", r#"{"body":""}"#, "no document"),
        ("upsert?key=a_b", "{}", "no document"),
        ("currentkeyset?key=kept_v1,nokey", "", "nokey"),
        ("currentkeyset?key=kept_v1,..%2F_x", "", "key"),
        ("currentkeyset", r#"{"keys":null}"#, "not understood"),
        ("currentkeyset", r#"{"keys":["a"]}"#, "`a`"),
        ("currentkeyset", "[]", "not understood"),
    ] {
        let (status, answer) = post_json(&storage, path, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body}: {answer}");
        assert!(error(&answer).contains(reason), "{path} {body}: {answer}");
    }
    assert_eq!(post_raw(&storage, "currentkeyset", "{\"keys\":[]}").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&storage, "fetch").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&storage, "upsert?key=a_b").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&storage, "nowhere").await.0, StatusCode::NOT_FOUND);
    assert_eq!(storage.client.list().await.unwrap().keys, ["kept_v1"]);
}

#[tokio::test]
async fn a_missing_type_is_that_of_a_registry() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    assert_eq!(post_json(&storage, "upsert?key=a_b", r#"{"body":"e30="}"#).await.0, StatusCode::CREATED);
    assert_eq!(storage.client.fetch(&key("a_b")).await.unwrap().unwrap().reconciler_type, "kubeflow");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::start(directory.path(), &[NOWHERE[0], NOWHERE[1], "--max-body-bytes", "1000"]).await;
    let (status, body) = post_json(&storage, "upsert?key=a_b", &"x".repeat(2000)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(error(&body).contains("1000"), "{body}");
}

#[tokio::test]
async fn a_key_set_removes_every_other_entry_and_an_empty_one_all() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    for name in ["a_1", "b_1", "c_1", "d_1", "e_1"] {
        storage.upsert(name, "{}").await;
    }
    assert_eq!(post_raw(&storage, "currentkeyset?key=a_1,b_1,c_1,d_1,unknown_1", "").await.0, StatusCode::OK);
    assert_eq!(storage.client.list().await.unwrap().keys, ["a_1", "b_1", "c_1", "d_1"]);
    assert_eq!(post_raw(&storage, "currentkeyset?key=a_1,b_1&key=c_1", "").await.0, StatusCode::OK);
    assert_eq!(storage.client.list().await.unwrap().keys, ["a_1", "b_1", "c_1"]);
    assert_eq!(post_json(&storage, "currentkeyset", r#"{"keys":["a_1","b_1"]}"#).await.0, StatusCode::OK);
    assert_eq!(storage.client.list().await.unwrap().keys, ["a_1", "b_1"]);
    assert_eq!(post_raw(&storage, "currentkeyset?key=", "").await.0, StatusCode::OK);
    assert_eq!(storage.client.list().await.unwrap().keys, Vec::<String>::new());
    storage.upsert("a_1", "{}").await;
    assert_eq!(post_raw(&storage, "currentkeyset", "").await.0, StatusCode::OK);
    assert_eq!(storage.client.list().await.unwrap().keys, Vec::<String>::new());
}

#[tokio::test]
async fn a_key_set_longer_than_a_url_goes_through() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    storage.upsert("gone_1", "{}").await;
    let names: Vec<String> = (0..500).map(|index| format!("a-model-with-a-long-name-{index}_v1")).collect();
    storage.upsert(&names[7], "{}").await;
    storage.keep_only(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(storage.client.list().await.unwrap().keys, [names[7].clone()]);
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, name).await;
    }
    storage.keep_only(&["b_1"]).await;
    storage.crash().await;
    let storage = self::storage(&directory).await;
    assert_eq!(storage.client.list().await.unwrap().keys, ["b_1"]);
    assert_eq!(storage.client.fetch(&key("b_1")).await.unwrap().unwrap().body, b"b_1");
    assert_eq!(storage.ready().await, StatusCode::OK);
    storage.stop().await;
}

#[tokio::test]
async fn a_taken_port_and_a_file_that_can_not_be_are_errors_that_name_the_setting() {
    let directory = tempfile::tempdir().unwrap();
    let storage = storage(&directory).await;
    let address = storage.url.authority().to_owned();
    let file = directory.path().join("other.sqlite");
    let start = async |args: &[&str]| {
        let mut settings = crate::support::settings(&[&["--storage-type=Sqlite", "--sqlite-path"], args].concat());
        if args[0] == file.to_str().unwrap() {
            settings.listen_address = address.parse().unwrap();
        }
        storage_rest::start(settings, service::Shutdown::new()).await.unwrap_err().to_string()
    };
    let taken = start(&[file.to_str().unwrap()]).await;
    assert!(taken.contains("STORAGE_LISTEN_ADDRESS") && taken.contains(&address), "{taken}");
    let missing = start(&["/does/not/exist/storage.sqlite"]).await;
    assert!(missing.contains("SQLITE_PATH") && missing.contains("/does/not/exist"), "{missing}");
}
