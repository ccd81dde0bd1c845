//! What a ConfigMap has to stand: a Go bridge's legacy, others who write, an API that is not well.

use bridge_api::StorageBody;
use futures::future::join_all;
use serde_json::{Value, json};
use storage_rest::store::config_map::{CONFIG_MAP_NAME, ConfigMapStore, GoCompatible, Layout};
use storage_rest::store::{Outcome, Store, StoreError, StoredEntry};
use testkit::kube::{Fault, RecordedRequest};

use crate::beds::{Bed, ConfigMapBed, NAMESPACE, QUICK};
use crate::suite::{entry, key, location};

/// What a Go bridge is to read, whatever comes.
const FOR_GO: Layout = Layout { go_compatible: GoCompatible::Always, shard_bytes: 256 << 10 };

const GO_WRITTEN: [(&str, &str); 2] = [
    (
        include_str!("../fixtures/go-bridge/CatalogInfoYamlFormat/configmap.json"),
        include_str!("../fixtures/go-bridge/CatalogInfoYamlFormat/fetch_granite-0-lab_v1.json"),
    ),
    (
        include_str!("../fixtures/go-bridge/JsonArrayFormat/configmap.json"),
        include_str!("../fixtures/go-bridge/JsonArrayFormat/fetch_granite-0-lab_v1.json"),
    ),
];

fn is_patch(request: &RecordedRequest) -> bool {
    request.method == "PATCH" && request.is_on("configmaps")
}

fn config_map(bed: &ConfigMapBed) -> Value {
    bed.api.get_object("ConfigMap", NAMESPACE, CONFIG_MAP_NAME).unwrap()
}

fn edit(bed: &ConfigMapBed, change: impl FnOnce(&mut Value)) {
    bed.api.edit("ConfigMap", NAMESPACE, CONFIG_MAP_NAME, change);
}

#[tokio::test]
async fn what_a_go_bridge_wrote_is_carried_on() {
    for (config_map_json, fetched) in GO_WRITTEN {
        let bed = ConfigMapBed::new().await;
        let mut written: Value = serde_json::from_str(config_map_json).unwrap();
        written["metadata"]["namespace"] = json!(NAMESPACE);
        bed.api.apply(written.clone());
        let store = bed.store().await;

        let index = store.index().await.unwrap();
        let keys: Vec<&str> = index.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["ai-models_mnist-v1", "granite-0-lab_v1", "granite-1-lab_v1"]);
        let granite = store.fetch(&key("granite-0-lab_v1")).await.unwrap().unwrap();
        assert_eq!(StorageBody::from(granite.clone()), serde_json::from_str(fetched).unwrap());

        assert_eq!(store.upsert(&key("granite-0-lab_v1"), granite).await.unwrap(), Outcome::Unchanged);
        store.upsert(&key("granite-1-lab_v1"), entry("new")).await.unwrap();
        let now = config_map(&bed);
        for untouched in ["ai-models_mnist-v1", "granite-0-lab_v1"] {
            assert_eq!(now["binaryData"][untouched], written["binaryData"][untouched]);
        }
    }
}

#[tokio::test]
async fn a_missing_config_map_is_made_and_one_that_is_deleted_later_too() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    assert_eq!(config_map(&bed)["binaryData"], Value::Null);
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    assert!(bed.api.delete("ConfigMap", NAMESPACE, CONFIG_MAP_NAME));
    assert_eq!(store.index().await.unwrap(), []);
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
    assert_eq!(store.index().await.unwrap().len(), 1);

    // Deleted while the store still believes that it is there.
    assert!(bed.api.delete("ConfigMap", NAMESPACE, CONFIG_MAP_NAME));
    store.upsert(&key("c_1"), entry("c")).await.unwrap();
    assert_eq!(store.index().await.unwrap()[0].key, key("c_1"));
}

#[tokio::test]
async fn what_others_keep_there_is_left_alone() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    edit(&bed, |object| {
        object["data"] = json!({ "note": "by hand" });
        object["metadata"]["labels"]["team"] = json!("ml");
        object["binaryData"]["nokey"] = json!("AAEC");
        object["binaryData"]["broken_entry"] = json!("AAEC");
    });
    store.upsert(&key("b_1"), entry("b")).await.unwrap();
    store.remove(&[key("a_1")]).await.unwrap();
    let now = config_map(&bed);
    assert_eq!(now["data"]["note"], "by hand");
    assert_eq!(now["metadata"]["labels"]["team"], "ml");
    assert_eq!(now["binaryData"]["nokey"], "AAEC");
    assert_eq!(now["binaryData"]["broken_entry"], "AAEC");
    assert_eq!(now["binaryData"]["a_1"], Value::Null);

    let listed = store.index().await.unwrap();
    assert_eq!(listed.len(), 1);
    let error = store.fetch(&key("broken_entry")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { key: named, .. } if *named == key("broken_entry")), "{error}");
    assert_eq!(store.upsert(&key("broken_entry"), entry("mended")).await.unwrap(), Outcome::Updated);
    assert_eq!(store.fetch(&key("broken_entry")).await.unwrap(), Some(entry("mended")));
}

#[tokio::test]
async fn an_edit_by_others_is_seen_and_survives_a_write_that_did_not_know_it() {
    let bed = ConfigMapBed::new().await;
    let (store, other) = (bed.store().await, bed.store().await);
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    other.upsert(&key("b_1"), entry("b")).await.unwrap();
    other.set_location(&key("a_1"), Some(location("a"))).await.unwrap();
    // The store's own knowledge is old by now; its write must not bring the old location back.
    store.upsert(&key("a_1"), entry("a again")).await.unwrap();
    let expected = StoredEntry { location: Some(location("a")), ..entry("a again") };
    assert_eq!(store.fetch(&key("a_1")).await.unwrap(), Some(expected));
    assert_eq!(store.index().await.unwrap().len(), 2);
    edit(&bed, |object| object["binaryData"]["a_1"] = Value::Null);
    assert_eq!(store.index().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_thousand_upserts_at_once_are_a_few_writes() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    let before = bed.writes().unwrap();
    let keys: Vec<_> = (0..1_000).map(|number| key(&format!("m{number}_1"))).collect();
    let outcomes = join_all(keys.iter().map(|key| store.upsert(key, entry("x")))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Created))));
    assert!(bed.writes().unwrap() - before <= 60, "{} writes", bed.writes().unwrap() - before);
    join_all(keys.iter().map(|key| store.set_location(key, Some(location("a"))))).await;
    assert!(bed.writes().unwrap() - before <= 120, "{} writes", bed.writes().unwrap() - before);
    let index = bed.store().await.index().await.unwrap();
    assert!(index.len() == 1_000 && index.iter().all(|entry| entry.location == Some(location("a"))));
}

#[tokio::test]
async fn what_fails_in_a_shared_write_fails_alone() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    edit(&bed, |object| object["binaryData"] = json!({ "broken_entry": "AAEC" }));
    let big = StoredEntry { body: testkit::noise(2 << 20), ..entry("") };
    let (broken, a, b, a_1, b_1, c_1) =
        (key("broken_entry"), entry("a"), entry("b"), key("a_1"), key("b_1"), key("c_1"));
    let (first, refused, located, second) = tokio::join!(
        store.upsert(&a_1, a),
        store.upsert(&c_1, big),
        store.set_location(&broken, Some(location("a"))),
        store.upsert(&b_1, b),
    );
    assert_eq!((first.unwrap(), second.unwrap()), (Outcome::Created, Outcome::Created));
    assert!(matches!(&refused, Err(StoreError::TooLarge { key, .. }) if *key == c_1), "{refused:?}");
    assert!(matches!(located, Err(StoreError::Corrupt { .. })), "{located:?}");
    assert_eq!(store.index().await.unwrap().len(), 2);
}

#[tokio::test]
async fn fields_that_are_not_ours_survive_an_update() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    // {"body":"YQ==","reconcilerType":"kubeflow","added":{"by":"someone"}}
    let value = "eyJib2R5IjoiWVE9PSIsInJlY29uY2lsZXJUeXBlIjoia3ViZWZsb3ciLCJhZGRlZCI6eyJieSI6InNvbWVvbmUifX0=";
    edit(&bed, |object| object["binaryData"] = json!({ "a_1": value }));
    assert_eq!(store.upsert(&key("a_1"), entry("b")).await.unwrap(), Outcome::Updated);
    let object: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_value(config_map(&bed)).unwrap();
    let stored: Value = serde_json::from_slice(&object.binary_data.unwrap()["a_1"].0).unwrap();
    assert_eq!(stored["added"]["by"], "someone");
    assert_eq!(stored["body"], "Yg==");
}

#[tokio::test]
async fn an_entry_without_room_in_the_only_config_map_is_refused_and_the_rest_goes_on() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store_with(FOR_GO).await;
    let big = |size: usize| StoredEntry { body: vec![b'x'; size], ..entry("") };
    store.upsert(&key("a_1"), big(500 << 10)).await.unwrap();
    let error = store.upsert(&key("b_1"), big(500 << 10)).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    assert!(error.to_string().contains("b_1") && error.to_string().contains("1048576"), "{error}");
    store.upsert(&key("c_1"), entry("c")).await.unwrap();
    assert_eq!(store.index().await.unwrap().len(), 2);
    assert!(matches!(store.upsert(&key("d_1"), big(4 << 20)).await.unwrap_err(), StoreError::TooLarge { .. }));
    // Smaller is better, even while it is still much.
    store.upsert(&key("a_1"), big(400 << 10)).await.unwrap();
}

#[tokio::test]
async fn an_api_that_is_not_well_for_a_moment_is_asked_again() {
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Status(429), Fault::Reset, Fault::Garbage] {
        let bed = ConfigMapBed::new().await;
        let store = bed.store().await;
        bed.api.fail_times(2, is_patch, fault.clone());
        assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created, "{fault:?}");
        bed.api.fail_times(2, |request| request.method == "GET", fault.clone());
        assert_eq!(store.index().await.unwrap().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_reported_as_what_it_did() {
    for fault in [Fault::LostAnswer, Fault::Truncated] {
        let bed = ConfigMapBed::new().await;
        let store = bed.store().await;
        bed.api.fail_next(is_patch, fault.clone());
        assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created, "{fault:?}");
        assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Unchanged, "{fault:?}");
        bed.api.fail_next(is_patch, fault.clone());
        store.remove(&[key("a_1")]).await.unwrap();
        assert_eq!(store.index().await.unwrap(), []);
    }
}

#[tokio::test]
async fn conflicts_are_resolved_and_without_end_are_an_error() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    bed.api.fail_times(5, is_patch, Fault::Status(409));
    assert_eq!(store.upsert(&key("a_1"), entry("a")).await.unwrap(), Outcome::Created);
    let storm = bed.api.fail_while(is_patch, Fault::Status(409));
    let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    drop(storm);
    assert!(matches!(error, StoreError::Conflict { .. }) && error.is_retryable(), "{error}");
    assert_eq!(store.upsert(&key("b_1"), entry("b")).await.unwrap(), Outcome::Created);
}

#[tokio::test]
async fn an_api_that_is_away_is_an_error_that_may_pass_and_acknowledges_nothing() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    bed.api.stop().await;
    let error = store.upsert(&key("b_1"), entry("b")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_retryable(), "{error}");
    assert!(store.index().await.unwrap_err().is_retryable());
    assert!(store.ping().await.is_err());
    bed.api.restart().await;
    assert_eq!(store.index().await.unwrap().len(), 1);
    store.upsert(&key("b_1"), entry("b")).await.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_missing_permission_is_named_with_verb_and_resource() {
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    bed.api.fail_next(is_patch, Fault::Status(403));
    let error = store.upsert(&key("a_1"), entry("a")).await.unwrap_err();
    assert!(matches!(error, StoreError::Permission { verb: "patch", .. }) && !error.is_retryable(), "{error}");
    assert!(error.to_string().contains("may not patch configmaps in namespace rhdh"), "{error}");

    bed.api.add_token("powerless", "nobody");
    let Err(error) = ConfigMapStore::open(bed.api.client_for("powerless"), NAMESPACE, QUICK, Layout::default()).await
    else {
        panic!("nobody may read a ConfigMap");
    };
    assert!(matches!(error, StoreError::Permission { verb: "get", .. }), "{error}");
}
