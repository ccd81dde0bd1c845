//! Locations that are there already or that were registered otherwise: adopted, replaced, or left alone.

use backstage_client::location_entity_ref;
use http::{Method, StatusCode};
use testkit::backstage::{BRIDGE_LOCATION_TYPE, Fault, ScriptedBackstage};
use testkit::eventually;

use crate::scene::{BRIDGE, Scene, remembered, target, target_of};
use crate::support::DEADLINE;

const JSON: [&str; 4] = ["--rhdh-token", "right", "--format", "JsonArrayFormat"];
const JSON_FILE: &str = "model-catalog.json";

#[tokio::test]
async fn a_conflict_with_a_location_that_no_list_shows_is_adopted_by_its_entity() {
    let scene = Scene::new().await;
    let id = scene.backstage.add_location("url", &target("a_1"));
    scene.backstage.hide_location(&id);
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    assert_eq!(remembered(&storage, "a_1").await, (id, target("a_1")));
    assert_eq!(scene.backstage.locations().len(), 1);
    eventually(DEADLINE, "it is read again", async || !scene.backstage.refreshed().is_empty()).await;
}

/// The next comparison would only come in an hour.
#[tokio::test]
async fn a_conflict_that_nothing_explains_is_looked_at_again_soon() {
    let scene = Scene::new().await;
    scene.backstage.fail_next(&Method::POST, "/locations", Fault::Status(409), 3);
    scene.backstage.fail_next(&Method::GET, "/locations/by-entity", Fault::Status(500), 1);
    let storage = scene.storage(&["--delivery-resync-interval=1h"]).await;
    storage.upsert("a_1", "one").await;
    scene.backstage_has(&["a_1"]).await;
    remembered(&storage, "a_1").await;
}

#[tokio::test]
async fn locations_of_another_format_give_way_to_those_of_now() {
    let scene = Scene::with(ScriptedBackstage::start().await.with_bridge_location_type()).await;
    // As like one of ours as can be, but for the id that the store remembers.
    let foreign = target("foreign_1");
    scene.backstage.add_location("url", &foreign);
    let storage = scene.storage(&[]).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, "one").await;
        remembered(&storage, name).await;
    }
    storage.stop().await;

    let storage = scene.storage_at(BRIDGE, &JSON).await;
    let now = ["a_1", "b_1"].map(|name| target_of(BRIDGE, name, JSON_FILE));
    scene.backstage_has_targets(now.iter().cloned().chain([foreign]).collect()).await;
    let kinds = scene.backstage.locations().into_iter().map(|location| location.kind).collect::<Vec<_>>();
    assert_eq!(kinds, ["url", BRIDGE_LOCATION_TYPE, BRIDGE_LOCATION_TYPE]);
    for target in &now {
        // What the one emitted the other could not, until now.
        let expected = location_entity_ref(BRIDGE_LOCATION_TYPE, target);
        eventually(DEADLINE, "it is read again", async || scene.backstage.refreshed().contains(&expected)).await;
    }
    eventually(DEADLINE, "the new id is remembered", async || now.contains(&remembered(&storage, "a_1").await.1)).await;
}

#[tokio::test]
async fn locations_under_another_url_give_way_to_those_of_now() {
    const MOVED: &str = "https://bridge.example.org";
    let scene = Scene::new().await;
    let foreign = target("foreign_1");
    scene.backstage.add_location("url", &foreign);
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    remembered(&storage, "a_1").await;
    storage.stop().await;

    scene.backstage.fail_next(&Method::DELETE, "/locations", Fault::Status(500), 2);
    scene.backstage.fail_next(&Method::POST, "/refresh", Fault::Status(500), 2);
    let storage = scene.storage_at(MOVED, &["--rhdh-token", "right"]).await;
    let now = target_of(MOVED, "a_1", "catalog-info.yaml");
    scene.backstage_has_targets(vec![foreign, now.clone()]).await;
    eventually(DEADLINE, "the new id is remembered", async || remembered(&storage, "a_1").await.1 == now).await;
    assert_eq!(scene.creations(), 2);
}

/// The setting is wrong, not the world: what is there stays until its successor is.
#[tokio::test]
async fn a_type_that_backstage_does_not_know_removes_nothing() {
    let scene = Scene::new().await;
    let storage = scene.storage(&[]).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, "one").await;
        remembered(&storage, name).await;
    }
    storage.stop().await;

    let storage = scene.storage_at(BRIDGE, &JSON).await;
    eventually(DEADLINE, "it is refused", async || {
        storage.metrics().await.contains("{target=\"backstage\",outcome=\"rejected\"}")
    })
    .await;
    scene.requests_of_passes(3).await;
    scene.backstage_has(&["a_1", "b_1"]).await;
    assert_eq!(storage.ready().await, StatusCode::OK);
    storage.stop().await;

    let _storage = scene.storage(&[]).await;
    let before = scene.creations();
    scene.requests_of_passes(3).await;
    assert_eq!(scene.creations(), before);
}

#[tokio::test]
async fn a_token_in_a_file_is_read_again_when_it_rotates() {
    let scene = Scene::with(ScriptedBackstage::start().await.with_token("one")).await;
    let file = scene.directory.path().join("token");
    std::fs::write(&file, "one\n").unwrap();
    let storage = scene.storage_at(BRIDGE, &["--rhdh-token-file", file.to_str().unwrap()]).await;
    storage.upsert("a_1", "one").await;
    scene.backstage_has(&["a_1"]).await;
    scene.backstage.set_token("two");
    storage.upsert("b_1", "one").await;
    eventually(DEADLINE, "it is refused", async || scene.backstage.requests().iter().any(|seen| !seen.authorized))
        .await;
    scene.backstage_has(&["a_1"]).await;
    std::fs::write(&file, "two\n").unwrap();
    scene.backstage_has(&["a_1", "b_1"]).await;
}
