//! What Backstage is told of, and when: changed content once, over restarts and outages of each side, and nothing else.

use backstage_client::location_entity_ref;
use http::Method;
use testkit::backstage::{Fault, ReceivedRequest};
use testkit::eventually;

use crate::scene::{Scene, remembered, target};
use crate::support::{DEADLINE, Storage, key};

fn are_lists(requests: &[ReceivedRequest]) -> bool {
    requests.iter().all(|request| request.method == Method::GET && request.path == "/locations")
}

async fn is_refreshed(scene: &Scene, names: &[&str]) {
    let expected: Vec<String> = names.iter().map(|name| location_entity_ref("url", &target(name))).collect();
    eventually(DEADLINE, &format!("{names:?} are refreshed"), async || {
        let refreshed = scene.backstage.refreshed();
        if refreshed == expected { Ok(()) } else { Err(refreshed) }
    })
    .await;
}

/// A scene in which `a_1` and `b_1` are registered with the content `one`.
async fn registered() -> (Scene, Storage) {
    let scene = Scene::new().await;
    let storage = scene.storage(&[]).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, "one").await;
    }
    scene.backstage_has(&["a_1", "b_1"]).await;
    for name in ["a_1", "b_1"] {
        remembered(&storage, name).await;
    }
    (scene, storage)
}

#[tokio::test]
async fn an_unchanged_world_costs_one_list_a_pass_also_after_a_crash() {
    let (scene, storage) = registered().await;
    assert!(are_lists(&scene.requests_of_passes(3).await));
    storage.crash().await;
    let storage = scene.storage(&[]).await;
    let requests = scene.requests_of_passes(3).await;
    assert!(are_lists(&requests), "{requests:?}");
    storage.stop().await;
}

#[tokio::test]
async fn what_changed_before_a_crash_is_told_after_it() {
    let (scene, storage) = registered().await;
    scene.backstage.fail_next(&Method::POST, "/refresh", Fault::Status(500), 10_000);
    storage.upsert("a_1", "two").await;
    scene.location.holds(&[("a_1", "two"), ("b_1", "one")]).await;
    eventually(DEADLINE, "it is tried", async || scene.backstage.count(&Method::POST, "/refresh") > 0).await;
    storage.crash().await;
    scene.backstage.heal();
    let _storage = scene.storage(&[]).await;
    is_refreshed(&scene, &["a_1"]).await;
    assert!(are_lists(&scene.requests_of_passes(3).await));
}

#[tokio::test]
async fn what_changed_while_backstage_was_away_is_told_when_it_is_back() {
    let (scene, storage) = registered().await;
    for method in [Method::GET, Method::POST] {
        scene.backstage.fail_next(&method, "/", Fault::Status(503), 10_000);
    }
    storage.upsert("b_1", "two").await;
    scene.location.holds(&[("a_1", "one"), ("b_1", "two")]).await;
    eventually(DEADLINE, "one is counted", async || {
        storage.metrics().await.contains("storage_rest_undelivered_entries{target=\"backstage\"} 1")
    })
    .await;
    assert!(storage.metrics().await.contains("storage_rest_backstage_in_step 0"));
    assert!(storage.ready().await.is_success());
    scene.backstage.heal();
    is_refreshed(&scene, &["b_1"]).await;
    eventually(DEADLINE, "all are counted", async || {
        let metrics = storage.metrics().await;
        metrics.contains("storage_rest_undelivered_entries{target=\"backstage\"} 0")
            && metrics.contains("storage_rest_backstage_in_step 1")
            && metrics.contains("storage_rest_deliveries_total{target=\"backstage\",outcome=\"refreshed\"} 1")
    })
    .await;
}

#[tokio::test]
async fn what_was_told_is_kept_when_the_service_stops() {
    let (scene, storage) = registered().await;
    storage.stop().await;
    // It is not kept by itself within an hour.
    let storage = scene.storage(&["--delivery-resync-interval=1h"]).await;
    storage.upsert("a_1", "two").await;
    is_refreshed(&scene, &["a_1"]).await;
    let digest = storage.client.fetch(&key("a_1")).await.unwrap().unwrap().location_digest;
    storage.stop().await;
    let storage = scene.storage(&[]).await;
    assert!(are_lists(&scene.requests_of_passes(3).await));
    is_refreshed(&scene, &["a_1"]).await;
    assert_ne!(storage.client.fetch(&key("a_1")).await.unwrap().unwrap().location_digest, digest);
}

#[tokio::test]
async fn what_was_told_is_kept_now_and_then() {
    let (scene, storage) = registered().await;
    let digest = async || storage.client.fetch(&key("a_1")).await.unwrap().unwrap().location_digest;
    let before = digest().await;
    assert!(before.is_some());
    storage.upsert("a_1", "two").await;
    is_refreshed(&scene, &["a_1"]).await;
    eventually(DEADLINE, "it is kept", async || digest().await != before).await;
}

#[tokio::test]
async fn an_adopted_location_is_read_again_once() {
    let scene = Scene::new().await;
    scene.backstage.add_location("url", &target("a_1"));
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    is_refreshed(&scene, &["a_1"]).await;
    remembered(&storage, "a_1").await;
    assert!(are_lists(&scene.requests_of_passes(3).await[1..]));
}

/// Backstage knows the location and has no entity of it yet: it reads it by itself.
#[tokio::test]
async fn a_refresh_that_finds_nothing_is_not_repeated() {
    let (scene, storage) = registered().await;
    scene.backstage.fail_next(&Method::POST, "/refresh", Fault::Status(404), 1);
    storage.upsert("a_1", "two").await;
    eventually(DEADLINE, "it is asked for", async || scene.backstage.count(&Method::POST, "/refresh") == 1).await;
    scene.requests_of_passes(3).await;
    assert_eq!(scene.backstage.count(&Method::POST, "/refresh"), 1);
}
