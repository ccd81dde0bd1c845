//! How location comes to hold what storage holds: at its start, and whatever happens later.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

mod common;

use base64::Engine as _;
use bridge_api::{PostBody, StorageBody};
use common::{Kind, Location, Storage, document, eventually, key, with_card};
use http::StatusCode;
use model_catalog::render::Format;
use serde_json::Value;

const JSON: Format = Format::ModelCatalogJson;
const YAML: Format = Format::CatalogInfoYaml;

#[tokio::test]
async fn until_storage_was_loaded_readers_are_asked_to_come_back() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("a_v1", &with_card(document("a"), "card", "# A"));
    storage.hold_fetches().await;
    let location = Location::start(JSON, &storage.url).await;
    for path in ["/list", "/list?details=true", "/a/v1/model-catalog.json", "/modelcard?key=card", "/readyz"] {
        let answer = location.get(path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(!answer.header("retry-after").is_empty(), "{path}");
        assert!(!answer.error().is_empty(), "{path}");
    }
    assert_eq!(location.get("/healthz").await.status, StatusCode::OK);
    storage.release_fetches();
    location.until_ready().await;
    assert_eq!(location.uris().await, ["/a/v1/model-catalog.json"]);
    assert_eq!(location.get("/modelcard?key=card").await.text(), "# A");
    location.stop().await;
}

#[tokio::test]
async fn a_storage_that_is_being_filled_is_waited_for() {
    let storage = Storage::start(Kind::Ours).await;
    storage.script().settled = false;
    storage.put("a_v1", &document("a"));
    let location = Location::start(JSON, &storage.url).await;
    storage.compared().await;
    assert_eq!(location.get("/list").await.status, StatusCode::SERVICE_UNAVAILABLE, "a list that is not whole");
    storage.put("b_v1", &document("b"));
    storage.script().settled = true;
    location.until_ready().await;
    assert_eq!(location.uris().await.len(), 2);
    location.stop().await;
}

#[tokio::test]
async fn what_was_served_stays_when_storage_begins_anew_with_nothing() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("a_v1", &document("a"));
    storage.put("b_v1", &document("b"));
    let location = Location::start(JSON, &storage.url).await;
    location.until_ready().await;
    {
        let mut script = storage.script();
        script.settled = false;
        script.entries.clear();
    }
    storage.compared().await;
    storage.put("a_v1", &document("changed"));
    storage.compared().await;
    assert_eq!(location.uris().await.len(), 2);
    assert_eq!(location.get("/a/v1/model-catalog.json").await.body, document("changed").body);
    storage.script().settled = true;
    eventually("the entry that is gone is no longer served", async || location.uris().await.len() == 1).await;
    location.stop().await;
}

#[tokio::test]
async fn a_restart_brings_back_any_number_of_entries_and_their_cards() {
    for (kind, count) in [(Kind::Ours, 1), (Kind::Ours, 2), (Kind::Ours, 300), (Kind::Go, 2), (Kind::Go, 300)] {
        let storage = Storage::start(kind).await;
        for n in 0..count {
            storage.put(&format!("model-{n:03}_v1"), &with_card(document(&n.to_string()), &n.to_string(), "# Card"));
        }
        for _ in 0..2 {
            let location = Location::loaded(JSON, &storage).await;
            let uris = location.uris().await;
            assert_eq!(uris.len(), count);
            for (n, uri) in uris.iter().enumerate() {
                assert_eq!(location.get(uri).await.body, document(&n.to_string()).body, "the document alone");
            }
            let expected = if kind == Kind::Ours { StatusCode::OK } else { StatusCode::NOT_FOUND };
            assert_eq!(location.get("/modelcard?key=0").await.status, expected);
            location.stop().await;
        }
    }
}

/// What a Go bridge left in its ConfigMap.
fn written_by_go(config_map: &str) -> Vec<(String, StorageBody)> {
    let config_map: Value = serde_json::from_str(config_map).unwrap();
    let data = config_map["binaryData"].as_object().unwrap();
    let decode = |text: &Value| base64::prelude::BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
    data.iter().map(|(key, value)| (key.clone(), serde_json::from_slice(&decode(value)).unwrap())).collect()
}

#[tokio::test]
async fn what_a_go_bridge_stored_is_served() {
    let storage = Storage::start(Kind::Go).await;
    storage.script().entries = written_by_go(include_str!("fixtures/go-configmap-json.json")).into_iter().collect();
    let location = Location::loaded(JSON, &storage).await;
    assert_eq!(
        location.uris().await,
        [
            "/ai-models/mnist-v1/model-catalog.json",
            "/granite-0-lab/v1/model-catalog.json",
            "/granite-1-lab/v1/model-catalog.json",
        ]
    );
    let answer = location.get("/granite-0-lab/v1/model-catalog.json").await;
    assert_eq!(answer.body, include_bytes!("fixtures/go-body-granite-0-lab_v1.json").trim_ascii_end());
    location.stop().await;
}

#[tokio::test]
async fn the_empty_documents_of_a_go_bridge_are_not_listed() {
    let storage = Storage::start(Kind::Go).await;
    storage.script().entries = written_by_go(include_str!("fixtures/go-configmap-yaml.json")).into_iter().collect();
    let location = Location::loaded(YAML, &storage).await;
    assert_eq!(location.uris().await, ["/granite-0-lab/v1/catalog-info.yaml", "/granite-1-lab/v1/catalog-info.yaml"]);
    assert_eq!(location.get("/ai-models/mnist-v1/catalog-info.yaml").await.status, StatusCode::NOT_FOUND);
    location.stop().await;
}

#[tokio::test]
async fn a_storage_that_holds_another_format_only_is_never_an_empty_list() {
    let storage = Storage::start(Kind::Ours).await;
    storage.script().entries = written_by_go(include_str!("fixtures/go-configmap-json.json")).into_iter().collect();
    let location = Location::start(YAML, &storage.url).await;
    storage.compared().await;
    let answer = location.get("/list").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let reason = answer.error();
    assert!(reason.contains("3 entries") && reason.contains("NORMALIZER_FORMAT"), "{reason}");

    let yaml = PostBody { body: b"kind: Resource\n".to_vec(), ..PostBody::default() };
    storage.put("granite-0-lab_v1", &yaml);
    location.until_ready().await;
    assert_eq!(location.uris().await, ["/granite-0-lab/v1/catalog-info.yaml"]);

    storage.put("granite-0-lab_v1", &document("in the other format again"));
    storage.compared().await;
    assert_eq!(location.uris().await.len(), 1, "what is served stays when nothing else could be");
    location.stop().await;
}

#[tokio::test]
async fn a_load_that_half_fails_shows_nothing_and_goes_on_where_it_stopped() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("good_v1", &document("good"));
    storage.put("bad_v1", &document("bad"));
    storage.script().unfetchable.insert("bad_v1".to_owned());
    let location = Location::start(JSON, &storage.url).await;
    storage.compared().await;
    let answer = location.get("/list").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.error().contains("bad_v1"), "{}", answer.error());
    assert_eq!(location.get("/good/v1/model-catalog.json").await.status, StatusCode::SERVICE_UNAVAILABLE);

    storage.script().unfetchable.clear();
    location.until_ready().await;
    assert_eq!(location.uris().await.len(), 2);
    let fetched = storage.script().fetched.clone();
    assert_eq!(fetched.iter().filter(|key| *key == "good_v1").count(), 1, "what was fetched is not fetched again");
    location.stop().await;
}

#[tokio::test]
async fn a_storage_that_is_down_is_waited_for_and_later_does_no_harm() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("a_v1", &document("a"));
    storage.script().down = true;
    let location = Location::start(JSON, &storage.url).await;
    storage.compared().await;
    assert_eq!(location.get("/list").await.status, StatusCode::SERVICE_UNAVAILABLE);
    storage.script().down = false;
    location.until_ready().await;
    assert_eq!(location.uris().await.len(), 1);

    storage.script().down = true;
    storage.compared().await;
    assert_eq!(location.uris().await.len(), 1);
    assert_eq!(location.get("/readyz").await.status, StatusCode::OK);
    storage.script().down = false;
    storage.put("b_v1", &document("b"));
    eventually("the new entry is served", async || location.uris().await.len() == 2).await;
    location.stop().await;
}

#[tokio::test]
async fn what_is_pushed_during_the_load_wins_over_it() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("a_v1", &document("old"));
    storage.put("b_v1", &document("old"));
    storage.hold_fetches().await;
    let location = Location::start(JSON, &storage.url).await;
    eventually("both are being fetched", async || storage.script().fetched.len() == 2).await;
    location.client().upsert(&key("a_v1"), &document("new")).await.unwrap();
    location.client().remove(&key("b_v1")).await.unwrap();
    storage.put("a_v1", &document("new"));
    storage.take("b_v1");
    // Later comparisons would put right what the first one did wrong.
    storage.script().down = true;
    storage.release_fetches();
    location.until_ready().await;
    assert_eq!(location.get("/a/v1/model-catalog.json").await.body, document("new").body);
    assert_eq!(location.uris().await, ["/a/v1/model-catalog.json"]);
    location.stop().await;
}

#[tokio::test]
async fn comparing_heals_what_pushes_missed() {
    for kind in [Kind::Ours, Kind::Go] {
        let storage = Storage::start(kind).await;
        for name in ["changed_v1", "removed_v1", "same_v1"] {
            storage.put(name, &document("before"));
        }
        let location = Location::loaded(JSON, &storage).await;
        storage.put("changed_v1", &document("after"));
        storage.put("added_v1", &document("after"));
        storage.take("removed_v1");
        location.client().upsert(&key("never-stored_v1"), &document("x")).await.unwrap();
        location.client().remove(&key("same_v1")).await.unwrap();
        storage.compared().await;
        let uri = |name: &str| format!("/{name}/v1/model-catalog.json");
        assert_eq!(location.uris().await, [uri("added"), uri("changed"), uri("same")], "{kind:?}");
        assert_eq!(location.get(&uri("changed")).await.body, document("after").body);
        location.stop().await;
    }
}

#[tokio::test]
async fn only_what_differs_is_fetched_from_a_storage_of_ours() {
    let storage = Storage::start(Kind::Ours).await;
    for n in 0..20 {
        storage.put(&format!("model_{n}"), &document("x"));
    }
    let empty = PostBody::default();
    storage.put("empty_v1", &empty);
    let location = Location::loaded(JSON, &storage).await;
    assert_eq!(storage.script().fetched.len(), 21);
    storage.compared().await;
    assert_eq!(storage.script().fetched.len(), 21, "not even what cannot be served is fetched again");
    storage.put("model_7", &document("y"));
    storage.put("empty_v1", &document("no longer"));
    eventually("the change is served", async || location.uris().await.len() == 21).await;
    storage.compared().await;
    let mut again = storage.script().fetched.split_off(21);
    again.sort();
    assert_eq!(again, ["empty_v1", "model_7"]);
    location.stop().await;
}

#[tokio::test]
async fn what_is_no_key_is_left_out() {
    let storage = Storage::start(Kind::Go).await;
    storage.put("good_v1", &document("x"));
    storage.put("nokey", &document("x"));
    let location = Location::loaded(JSON, &storage).await;
    assert_eq!(location.uris().await, ["/good/v1/model-catalog.json"]);
    location.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_load() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("a_v1", &document("a"));
    storage.hold_fetches().await;
    let location = Location::start(JSON, &storage.url).await;
    eventually("a load is running", async || !storage.script().fetched.is_empty()).await;
    location.stop().await;
}
