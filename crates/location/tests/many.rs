//! Loading many entries: with few requests where storage gives many at once, and all the same where it does not.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

mod common;

use common::{Kind, Location, Storage, document};
use http::StatusCode;
use model_catalog::render::Format;

const JSON: Format = Format::ModelCatalogJson;

async fn storage_with(kind: Kind, count: usize) -> Storage {
    let storage = Storage::start(kind).await;
    for n in 0..count {
        storage.put(&format!("model-{n:05}_v1"), &document(&n.to_string()));
    }
    storage
}

#[tokio::test]
async fn twenty_thousand_entries_need_twenty_requests() {
    let storage = storage_with(Kind::Ours, 20_000).await;
    let location = Location::loaded(JSON, &storage).await;
    assert_eq!(location.uris().await.len(), 20_000);
    for n in [0, 999, 1_000, 19_999] {
        let answer = location.get(&format!("/model-{n:05}/v1/model-catalog.json")).await;
        assert_eq!(answer.body, document(&n.to_string()).body);
    }
    storage.compared().await;
    assert_eq!(storage.read(), (20, 20_000));
    location.stop().await;
}

#[tokio::test]
async fn what_an_answer_has_no_room_for_is_asked_for_again() {
    let storage = storage_with(Kind::Ours, 20).await;
    storage.script().bulk = Some(7);
    let location = Location::loaded(JSON, &storage).await;
    assert_eq!(location.uris().await.len(), 20);
    assert_eq!(storage.read(), (3, 20));
    location.stop().await;
}

#[tokio::test]
async fn where_many_do_not_come_at_once_they_come_one_by_one() {
    for refusal in [None, Some(0)] {
        let storage = storage_with(Kind::Ours, 50).await;
        storage.script().bulk = refusal;
        let location = Location::loaded(JSON, &storage).await;
        assert_eq!(location.uris().await.len(), 50, "{refusal:?}");
        assert_eq!(storage.read(), (1, 50), "{refusal:?}");
        location.stop().await;
    }
}

#[tokio::test]
async fn a_go_storage_is_asked_for_one_entry_at_a_time_only() {
    let storage = storage_with(Kind::Go, 50).await;
    let location = Location::loaded(JSON, &storage).await;
    storage.compared().await;
    assert_eq!(location.uris().await.len(), 50);
    assert_eq!(storage.script().bulk_requests, 0);
    location.stop().await;
}

#[tokio::test]
async fn one_entry_that_can_not_be_read_keeps_no_other_back() {
    let storage = storage_with(Kind::Ours, 50).await;
    storage.script().unfetchable.insert("model-00007_v1".to_owned());
    let location = Location::start(JSON, &storage.url).await;
    storage.compared().await;
    let answer = location.get("/list").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "a list that is not whole");
    assert!(answer.error().contains("1 of ") && answer.error().contains("model-00007_v1"), "{}", answer.error());
    let fetched = storage.script().fetched.len();
    storage.compared().await;
    let again = storage.script().fetched.split_off(fetched);
    assert!(again.iter().all(|name| name == "model-00007_v1"), "what was read is not read again: {again:?}");
    storage.script().unfetchable.clear();
    location.until_ready().await;
    assert_eq!(location.uris().await.len(), 50);
    location.stop().await;
}

#[tokio::test]
async fn what_changes_between_the_list_and_its_reading_is_served_as_it_is_then() {
    let storage = storage_with(Kind::Ours, 5).await;
    storage.script().after_list = Some(Box::new(|script| {
        script.entries.remove("model-00001_v1");
        script.entries.get_mut("model-00002_v1").unwrap().body = document("changed").body;
        script.entries.insert("model-00009_v1".to_owned(), script.entries["model-00000_v1"].clone());
    }));
    let location = Location::loaded(JSON, &storage).await;
    let uris = location.uris().await;
    for uri in &uris {
        assert_eq!(location.get(uri).await.status, StatusCode::OK, "{uri} is listed");
    }
    assert!(!uris.iter().any(|uri| uri.contains("model-00001")), "{uris:?}");
    assert_eq!(location.get("/model-00001/v1/model-catalog.json").await.status, StatusCode::NOT_FOUND);
    assert_eq!(location.get("/model-00002/v1/model-catalog.json").await.body, document("changed").body);
    storage.compared().await;
    assert_eq!(location.uris().await.len(), 5, "what came later is found by the next comparison");
    location.stop().await;
}
