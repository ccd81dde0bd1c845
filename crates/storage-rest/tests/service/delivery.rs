//! Delivery to location: whatever happens, location ends up with exactly what storage holds.

use bridge_api::{PostBody, ReconcilerType};
use testkit::{eventually, free_port};

use crate::support::{DEADLINE, Mood, ScriptedLocation, Storage, key, post};

async fn storage(directory: &tempfile::TempDir, location: &ScriptedLocation) -> Storage {
    Storage::start(directory.path(), &["--location-url", location.url.as_str()]).await
}

async fn metric(storage: &Storage, line: &str) {
    eventually(DEADLINE, line, async || {
        let metrics = storage.metrics().await;
        if metrics.lines().any(|found| found == line) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test]
async fn upserts_and_removals_reach_location() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    let storage = storage(&directory, &location).await;
    storage.upsert("a_1", "one").await;
    storage.upsert("b_1", "one").await;
    location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
    storage.upsert("a_1", "two").await;
    storage.keep_only(&["a_1"]).await;
    location.holds(&[("a_1", "two")]).await;
    metric(&storage, "storage_rest_undelivered_entries{target=\"location\"} 0").await;
    storage.stop().await;
}

#[tokio::test]
async fn the_model_card_is_delivered_with_its_entry() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    let storage = storage(&directory, &location).await;
    let sent = PostBody {
        model_card_key: "card".to_owned(),
        model_card: "# Card".to_owned(),
        last_update_time_since_epoch: "5".to_owned(),
        ..post("one")
    };
    storage.client.upsert(&key("a_1"), ReconcilerType::Kubeflow, &sent).await.unwrap();
    location.holds(&[("a_1", "one")]).await;
    assert_eq!(location.entry("a_1"), Some(sent));
}

#[tokio::test]
async fn a_location_that_is_not_there_fails_no_upsert_and_gets_all_when_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let storage = Storage::start(directory.path(), &["--location-url", &format!("http://{address}")]).await;
    for name in ["a_1", "b_1", "c_1"] {
        storage.upsert(name, "one").await;
    }
    storage.keep_only(&["a_1", "b_1"]).await;
    metric(&storage, "storage_rest_entries 2").await;
    let location = ScriptedLocation::start_at(address.parse().unwrap()).await;
    location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
}

#[tokio::test]
async fn what_failed_is_delivered_when_location_is_well_again() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    // No comparison finds out that location is not well, and keeps requests from being tried.
    let args = ["--location-url", location.url.as_str(), "--delivery-resync-interval=1h"];
    let storage = Storage::start(directory.path(), &args).await;
    storage.upsert("a_1", "one").await;
    location.holds(&[("a_1", "one")]).await;
    location.set_mood(Mood::Broken);
    storage.upsert("b_1", "one").await;
    storage.keep_only(&["b_1"]).await;
    eventually(DEADLINE, "a removal was tried", async || !location.removals().is_empty()).await;
    location.set_mood(Mood::Ours);
    location.holds(&[("b_1", "one")]).await;
}

#[tokio::test]
async fn a_location_that_starts_anew_gets_everything_again() {
    for mood in [Mood::Ours, Mood::Go] {
        let directory = tempfile::tempdir().unwrap();
        let location = ScriptedLocation::start().await;
        location.set_mood(mood);
        let storage = storage(&directory, &location).await;
        storage.upsert("a_1", "one").await;
        storage.upsert("b_1", "one").await;
        location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
        location.forget();
        location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
    }
}

#[tokio::test]
async fn what_location_holds_besides_is_removed_and_what_it_holds_already_is_not_sent() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    location.set_mood(Mood::Broken);
    let storage = storage(&directory, &location).await;
    storage.upsert("same_1", "one").await;
    storage.upsert("other_1", "one").await;
    storage.keep_only(&["same_1", "other_1"]).await;
    for (name, body) in [("same_1", "one"), ("other_1", "old"), ("besides_1", "one")] {
        location.put(name, body);
    }
    location.set_mood(Mood::Ours);
    location.holds(&[("same_1", "one"), ("other_1", "one")]).await;
    assert_eq!(location.upserts().iter().filter(|name| *name == "same_1").count(), 0);
    assert_eq!(location.removals(), ["besides_1"]);
}

#[tokio::test]
async fn a_storage_that_is_being_filled_takes_nothing_from_location() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    location.put("kept_1", "one");
    let storage = storage(&directory, &location).await;
    storage.upsert("new_1", "one").await;
    location.holds(&[("kept_1", "one"), ("new_1", "one")]).await;
    storage.keep_only(&["new_1"]).await;
    location.holds(&[("new_1", "one")]).await;
    assert_eq!(location.removals(), ["kept_1"]);
}

#[tokio::test]
async fn a_go_location_is_sent_everything_once_and_then_only_changes() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    location.set_mood(Mood::Broken);
    let storage = storage(&directory, &location).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, "one").await;
    }
    storage.keep_only(&["a_1", "b_1"]).await;
    location.put("a_1", "one");
    location.put("besides_1", "one");
    location.set_mood(Mood::Go);
    location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
    storage.upsert("b_1", "two").await;
    location.holds(&[("a_1", "one"), ("b_1", "two")]).await;
    assert_eq!(location.upserts().iter().filter(|name| *name == "a_1").count(), 1);
}

#[tokio::test]
async fn an_entry_that_location_refuses_holds_up_no_other_and_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    location.refuse("a_1");
    let storage = storage(&directory, &location).await;
    for name in ["a_1", "b_1"] {
        storage.upsert(name, "one").await;
    }
    location.holds(&[("b_1", "one")]).await;
    metric(&storage, "storage_rest_undelivered_entries{target=\"location\"} 1").await;
    assert!(storage.metrics().await.contains("outcome=\"rejected\""));
    location.accept("a_1");
    location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
}

#[tokio::test]
async fn a_location_that_is_loading_is_sent_what_changes_and_compared_when_it_has_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    let storage = storage(&directory, &location).await;
    storage.upsert("a_1", "one").await;
    storage.upsert("b_1", "one").await;
    location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
    storage.stop().await;

    location.forget();
    location.set_mood(Mood::Loading);
    let storage = self::storage(&directory, &location).await;
    storage.upsert("b_1", "two").await;
    location.holds(&[("b_1", "two")]).await;
    // It has read a state of storage that is older than the change, and did not get to one of the entries.
    location.set_mood(Mood::Ours);
    location.holds(&[("a_1", "one"), ("b_1", "two")]).await;
}

#[tokio::test]
async fn entries_are_delivered_after_a_restart_of_storage() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    location.set_mood(Mood::Broken);
    let storage = storage(&directory, &location).await;
    storage.upsert("a_1", "one").await;
    storage.upsert("b_1", "one").await;
    storage.keep_only(&["a_1", "b_1"]).await;
    storage.crash().await;
    location.put("gone_1", "one");
    location.set_mood(Mood::Ours);
    let storage = self::storage(&directory, &location).await;
    location.holds(&[("a_1", "one"), ("b_1", "one")]).await;
    storage.stop().await;
}

#[tokio::test]
async fn many_entries_arrive_whole() {
    let directory = tempfile::tempdir().unwrap();
    let location = ScriptedLocation::start().await;
    let storage = storage(&directory, &location).await;
    let names: Vec<String> = (0..200).map(|index| format!("model-{index}_v1")).collect();
    for name in &names {
        storage.upsert(name, name).await;
    }
    let expected: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    location.holds(&expected).await;
    assert_eq!(location.upserts().len(), names.len());
}
