//! The Backstage import: each entry that location holds is a location in Backstage, once, and no other of ours is.

use backstage_client::location_entity_ref;
use http::Method;
use testkit::backstage::{BRIDGE_LOCATION_TYPE, Fault, ScriptedBackstage};
use testkit::eventually;

use crate::scene::{BRIDGE, Scene, remembered, target};
use crate::support::{DEADLINE, Mood, Storage};

#[tokio::test]
async fn each_entry_is_registered_once_and_its_id_remembered() {
    let scene = Scene::with(ScriptedBackstage::start().await.with_token("right")).await;
    let storage = scene.storage(&[]).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, "one").await;
    }
    scene.backstage_has(&["a_1", "b_1"]).await;
    let (id, remembered_target) = remembered(&storage, "a_1").await;
    assert_eq!(remembered_target, target("a_1"));
    let registered = scene.backstage.locations().into_iter().find(|found| found.id == id).unwrap();
    assert_eq!((registered.kind.as_str(), registered.target.as_str()), ("url", target("a_1").as_str()));
    storage.stop().await;

    let storage = scene.storage(&[]).await;
    storage.upsert("c_1", "one").await;
    scene.backstage_has(&["a_1", "b_1", "c_1"]).await;
    assert_eq!(scene.creations(), 3);
    assert!(scene.backstage.requests().iter().all(|request| request.authorized));
}

#[tokio::test]
async fn a_storage_that_is_being_filled_deletes_nothing_in_backstage() {
    let scene = Scene::new().await;
    scene.backstage.add_location("url", &target("known_1"));
    let storage = scene.storage(&[]).await;
    storage.upsert("new_1", "one").await;
    scene.backstage_has(&["known_1", "new_1"]).await;
    storage.keep_only(&["new_1"]).await;
    scene.backstage_has(&["new_1"]).await;
}

#[tokio::test]
async fn entries_that_are_gone_are_deleted_and_what_is_not_ours_stays() {
    let scene = Scene::new().await;
    scene.backstage.add_location("url", &target("stale_1"));
    scene.backstage.add_location("url", "http://elsewhere.example.com/catalog-info.yaml");
    scene.backstage.add_location("file", &target("by-hand_1"));
    scene.backstage.add_location("url", &format!("{BRIDGE}0/a/1/catalog-info.yaml"));
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    storage.upsert("b_1", "one").await;
    storage.keep_only(&["a_1", "b_1"]).await;
    let others = [
        "http://elsewhere.example.com/catalog-info.yaml",
        &target("by-hand_1"),
        &format!("{BRIDGE}0/a/1/catalog-info.yaml"),
    ]
    .map(str::to_owned);
    let expect = async |names: &[&str]| {
        let mut expected: Vec<String> = names.iter().map(|name| target(name)).chain(others.clone()).collect();
        expected.sort();
        eventually(DEADLINE, &format!("{expected:?}"), async || {
            let targets = scene.backstage.targets();
            if targets == expected { Ok(()) } else { Err(targets) }
        })
        .await;
    };
    expect(&["a_1", "b_1"]).await;
    storage.keep_only(&["b_1"]).await;
    expect(&["b_1"]).await;
    storage.keep_only(&[]).await;
    expect(&[]).await;
}

#[tokio::test]
async fn a_location_that_is_there_already_is_adopted() {
    let scene = Scene::new().await;
    let id = scene.backstage.add_location("url", &target("a_1"));
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    assert_eq!(remembered(&storage, "a_1").await, (id, target("a_1")));
    assert_eq!(scene.creations(), 0);
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_adopted() {
    let scene = Scene::new().await;
    scene.backstage.fail_next(&Method::POST, "/locations", Fault::LostAnswer, 1);
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    let (id, _) = remembered(&storage, "a_1").await;
    assert_eq!(scene.backstage.locations()[0].id, id);
    assert_eq!(scene.creations(), 1);
}

#[tokio::test]
async fn entries_that_are_refused_one_by_one_hold_up_no_others() {
    let scene = Scene::new().await;
    scene.backstage.add_location("url", &target("stale_1"));
    // More than what is under way at once when a pass would be given up.
    let refused: Vec<String> = (10..50).map(|number| format!("a{number}_1")).collect();
    for name in &refused {
        scene.backstage.refuse_target(&target(name));
    }
    let storage = scene.storage(&[]).await;
    for name in &refused {
        storage.upsert(name, "one").await;
    }
    storage.upsert("z_1", "one").await;
    let names: Vec<&str> = refused.iter().map(String::as_str).chain(["z_1"]).collect();
    storage.keep_only(&names).await;
    scene.backstage_has(&["z_1"]).await;
}

#[tokio::test]
async fn a_conflict_is_adopted() {
    let scene = Scene::new().await;
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    scene.backstage_has(&["a_1"]).await;
    // The list does not show it once, so it is created again.
    scene.backstage.fail_next(&Method::POST, "/locations", Fault::Status(409), 1);
    storage.upsert("b_1", "one").await;
    scene.backstage_has(&["a_1", "b_1"]).await;
    remembered(&storage, "b_1").await;
}

#[tokio::test]
async fn a_backstage_that_lost_its_database_gets_all_again() {
    let scene = Scene::new().await;
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    let (first, _) = remembered(&storage, "a_1").await;
    scene.backstage.forget_locations();
    scene.backstage_has(&["a_1"]).await;
    eventually(DEADLINE, "the new id is remembered", async || remembered(&storage, "a_1").await.0 != first).await;
}

#[tokio::test]
async fn changed_content_is_refreshed_and_unchanged_is_not() {
    let scene = Scene::new().await;
    let storage = scene.storage(&[]).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, "one").await;
    }
    scene.backstage_has(&["a_1", "b_1"]).await;
    remembered(&storage, "a_1").await;
    assert_eq!(scene.backstage.refreshed(), Vec::<String>::new());
    scene.backstage.fail_next(&Method::POST, "/refresh", Fault::Status(500), 2);
    storage.upsert("a_1", "two").await;
    let expected = location_entity_ref("url", &target("a_1"));
    eventually(DEADLINE, "the entry is refreshed", async || scene.backstage.refreshed() == [expected.clone()]).await;
}

#[tokio::test]
async fn nothing_is_registered_before_location_holds_it() {
    let scene = Scene::new().await;
    scene.location.set_mood(Mood::Broken);
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    eventually(DEADLINE, "storage has listed", async || storage.metrics().await.contains("storage_rest_entries 1"))
        .await;
    assert_eq!(scene.creations(), 0);
    scene.location.set_mood(Mood::Ours);
    scene.backstage_has(&["a_1"]).await;
}

#[tokio::test]
async fn a_refused_token_fails_no_upsert_and_is_tried_again() {
    let scene = Scene::with(ScriptedBackstage::start().await.with_token("another")).await;
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    scene.location.holds(&[("a_1", "one")]).await;
    eventually(DEADLINE, "Backstage was asked", async || !scene.backstage.requests().is_empty()).await;
    assert_eq!(scene.backstage.targets(), Vec::<String>::new());
    scene.backstage.set_token("right");
    scene.backstage_has(&["a_1"]).await;
}

#[tokio::test]
async fn a_backstage_that_is_not_well_deletes_and_loses_nothing() {
    let scene = Scene::new().await;
    let storage = scene.storage(&[]).await;
    storage.upsert("a_1", "one").await;
    scene.backstage_has(&["a_1"]).await;
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Html, Fault::LostAnswer] {
        scene.backstage.fail_next(&Method::GET, "/locations", fault, 2);
    }
    storage.upsert("b_1", "one").await;
    scene.backstage.fail_next(&Method::POST, "/locations", Fault::Status(503), 2);
    scene.backstage_has(&["a_1", "b_1"]).await;
    scene.backstage.fail_next(&Method::DELETE, "/locations", Fault::LostAnswer, 1);
    storage.keep_only(&["b_1"]).await;
    scene.backstage_has(&["b_1"]).await;
}

#[tokio::test]
async fn the_json_format_is_registered_with_the_bridge_s_own_type() {
    let scene = Scene::with(ScriptedBackstage::start().await.with_bridge_location_type()).await;
    let storage = scene.storage(&["--format", "JsonArrayFormat"]).await;
    storage.upsert("a_1", "{}").await;
    eventually(DEADLINE, "a location", async || !scene.backstage.locations().is_empty()).await;
    let registered = &scene.backstage.locations()[0];
    assert_eq!(registered.kind, BRIDGE_LOCATION_TYPE);
    assert_eq!(registered.target, format!("{BRIDGE}/a/1/model-catalog.json"));
}

#[tokio::test]
async fn nothing_is_sent_to_backstage_unless_it_is_asked_for() {
    let scene = Scene::new().await;
    let url = scene.backstage.url();
    let args = ["--location-url", scene.location.url.as_str(), "--bkstg-url", url.as_str()];
    let storage = Storage::start(scene.directory.path(), &args).await;
    storage.upsert("a_1", "one").await;
    scene.location.holds(&[("a_1", "one")]).await;
    storage.stop().await;
    assert_eq!(scene.backstage.requests(), []);
}
