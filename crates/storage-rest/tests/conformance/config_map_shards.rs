//! What a store of many ConfigMaps has to stand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridge_api::EntryKey;
use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use storage_rest::store::config_map::{CONFIG_MAP_NAME, ConfigMapStore, Layout, Retries, STORE_LABEL};
use storage_rest::store::{Outcome, Store, StoredEntry};
use testkit::kube::{Fault, RecordedRequest};

use crate::beds::{Bed, ConfigMapBed, NAMESPACE, QUICK};
use crate::small_config_maps::{SMALL, SmallBed, document, homes, is_write, kept, on_config_maps, sized};
use crate::suite::{entry, key, location};

#[tokio::test]
async fn five_thousand_entries_are_a_few_writes_and_fewer_reads() {
    const COUNT: usize = 5_000;
    let bed = ConfigMapBed::new().await;
    let store = bed.store().await;
    let keys: Vec<EntryKey> = (0..COUNT).map(|number| key(&format!("registered-model-{number}_v1"))).collect();
    let outcomes = join_all(keys.iter().enumerate().map(|(n, key)| store.upsert(key, document(n)))).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Outcome::Created))));
    let writes = bed.writes().unwrap();
    assert!(writes <= 60, "{writes} writes");
    let maps = kept(&bed);
    assert!((5..=30).contains(&maps.len()), "{} ConfigMaps", maps.len());
    assert_eq!(maps.values().map(Vec::len).sum::<usize>(), COUNT);

    // Another process reads everything in a few pages, and afterwards only what has changed.
    bed.api.clear_requests();
    let other = bed.store().await;
    let index = other.index().await.unwrap();
    assert_eq!(index.len(), COUNT);
    assert!(bed.api.count(on_config_maps) <= 4, "{}", bed.api.count(on_config_maps));
    assert_eq!(other.fetch(&keys[4_321]).await.unwrap(), Some(document(4_321)));

    // A small upsert writes its own ConfigMap, and sends nothing but itself.
    bed.api.clear_requests();
    assert_eq!(store.upsert(&keys[2_500], document(0)).await.unwrap(), Outcome::Updated);
    let writes: Vec<RecordedRequest> = bed.api.requests().into_iter().filter(is_write).collect();
    assert_eq!(writes.len(), 1);
    assert!(writes[0].body.len() < 4 << 10, "{} bytes", writes[0].body.len());
    assert!(bed.api.count(on_config_maps) <= 2);

    // One metadata list and one ConfigMap tell the other process.
    bed.api.clear_requests();
    assert_eq!(other.index().await.unwrap().len(), COUNT);
    assert_eq!(bed.api.count(on_config_maps), 2);
    assert_eq!(other.fetch(&keys[2_500]).await.unwrap(), Some(document(0)));

    bed.api.clear_requests();
    store.remove(&keys[1..]).await.unwrap();
    assert!(bed.writes().unwrap() <= maps.len(), "{:?}", bed.writes());
    assert_eq!(other.index().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_index_of_fifty_config_maps_is_a_handful_of_requests() {
    let bed = ConfigMapBed::new().await;
    let layout = Layout { shard_bytes: 100, ..SMALL };
    let store = bed.store_with(layout).await;
    join_all((0..60).map(|number| {
        let store = &store;
        async move { store.upsert(&key(&format!("m{number}_1")), entry("x")).await.unwrap() }
    }))
    .await;
    assert!(kept(&bed).len() >= 50, "{}", kept(&bed).len());
    let reader = bed.store_with(layout).await;
    bed.api.clear_requests();
    assert_eq!(reader.index().await.unwrap().len(), 60);
    assert!(bed.api.count(on_config_maps) <= 5, "{}", bed.api.count(on_config_maps));
    bed.api.clear_requests();
    assert_eq!(reader.index().await.unwrap().len(), 60);
    assert_eq!(bed.api.count(on_config_maps), 1);
}

#[tokio::test]
async fn an_entry_that_outgrows_its_config_map_moves_whole() {
    let bed = SmallBed::new().await;
    let store = bed.store().await;
    for name in ["a_1", "b_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    store.set_location(&key("a_1"), Some(location("a"))).await.unwrap();
    assert_eq!(homes(&bed.0, "a_1"), [CONFIG_MAP_NAME]);
    let grown = sized(2_000, "a");
    assert_eq!(store.upsert(&key("a_1"), grown.clone()).await.unwrap(), Outcome::Updated);
    let moved = homes(&bed.0, "a_1");
    assert!(moved.len() == 1 && moved[0] != CONFIG_MAP_NAME, "{moved:?}");
    let expected = StoredEntry { location: Some(location("a")), ..grown };
    assert_eq!(bed.store().await.fetch(&key("a_1")).await.unwrap(), Some(expected));
    // What has shrunk stays: nothing is written only to be elsewhere.
    store.upsert(&key("a_1"), entry("small")).await.unwrap();
    assert_eq!(homes(&bed.0, "a_1"), moved);
}

#[tokio::test]
async fn a_crash_between_the_two_writes_of_a_move_leaves_the_newer_and_is_cleaned_up() {
    let bed = SmallBed::new().await;
    let store = bed.store().await;
    for name in ["a_1", "b_1"] {
        store.upsert(&key(name), entry(name)).await.unwrap();
    }
    let grown = sized(2_000, "a");
    let takes_away =
        |request: &RecordedRequest| is_write(request) && request.body.windows(4).any(|text| text == b"null");
    let crash = bed.0.api.fail_while(takes_away, Fault::Reset);
    // It is durable, so it is acknowledged; the rest can wait.
    assert_eq!(store.upsert(&key("a_1"), grown.clone()).await.unwrap(), Outcome::Updated);
    assert_eq!(homes(&bed.0, "a_1").len(), 2);
    assert_eq!(store.fetch(&key("a_1")).await.unwrap(), Some(grown.clone()));
    let listed = store.index().await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a_1", "b_1"]);
    assert_eq!(listed[0].digest, grown.digest());
    drop((store, crash));

    let store = bed.store().await;
    assert_eq!(homes(&bed.0, "a_1").len(), 1, "what is opened is cleaned up");
    assert_eq!(store.fetch(&key("a_1")).await.unwrap(), Some(grown));
    store.remove(&[key("a_1")]).await.unwrap();
    assert_eq!(homes(&bed.0, "a_1"), [""; 0]);
}

#[tokio::test]
async fn what_a_go_bridge_writes_over_what_a_move_left_behind_counts() {
    let bed = SmallBed::new().await;
    let store = bed.store().await;
    store.upsert(&key("a_1"), entry("a")).await.unwrap();
    let crash = bed
        .0
        .api
        .fail_while(|request| is_write(request) && request.body.windows(4).any(|text| text == b"null"), Fault::Reset);
    store.upsert(&key("a_1"), sized(2_000, "a")).await.unwrap();
    drop((store, crash));
    bed.0.api.edit("ConfigMap", NAMESPACE, CONFIG_MAP_NAME, |object| {
        // {"body":"YQ==","reconcilerType":"kubeflow"}
        object["binaryData"]["a_1"] = json!("eyJib2R5IjoiWVE9PSIsInJlY29uY2lsZXJUeXBlIjoia3ViZWZsb3cifQ==");
    });
    let store = bed.store().await;
    assert_eq!(store.fetch(&key("a_1")).await.unwrap().unwrap().body, b"a");
    assert_eq!(homes(&bed.0, "a_1"), [CONFIG_MAP_NAME]);
    // From here on it is as if nothing had been.
    let again = sized(2_000, "b");
    store.upsert(&key("a_1"), again.clone()).await.unwrap();
    assert_eq!(bed.store().await.fetch(&key("a_1")).await.unwrap(), Some(again));
    assert_eq!(homes(&bed.0, "a_1").len(), 1);
}

/// What one process does before it dies.
async fn live(
    store: &ConfigMapStore,
    acknowledged: &mut BTreeMap<String, Option<StoredEntry>>,
) -> Option<&'static str> {
    let steps: [(&'static str, Option<usize>); 11] = [
        ("a_1", Some(10)),
        ("b_1", Some(10)),
        ("c_1", Some(10)),
        ("a_1", Some(1_500)),
        ("b_1", Some(1_500)),
        ("d_1", Some(100)),
        ("a_1", None),
        ("c_1", Some(1_000)),
        ("a_1", Some(20)),
        ("b_1", Some(20)),
        ("c_1", None),
    ];
    for (step, (name, size)) in steps.into_iter().enumerate() {
        let wanted = size.map(|size| sized(size, &step.to_string()));
        let done = match &wanted {
            Some(wanted) => store.upsert(&key(name), wanted.clone()).await.map(|_| ()),
            None => store.remove(&[key(name)]).await,
        };
        if done.is_err() {
            return Some(name);
        }
        acknowledged.insert(name.to_owned(), wanted);
    }
    None
}

#[tokio::test]
async fn a_crash_between_any_two_writes_loses_nothing_that_was_acknowledged() {
    let once = Retries { attempts: 1, conflict_attempts: 1, ..QUICK };
    for fault in [Fault::Reset, Fault::LostAnswer] {
        for after in 0.. {
            let bed = ConfigMapBed::new().await;
            let store = ConfigMapStore::open(bed.api.client(), NAMESPACE, once, SMALL).await.unwrap();
            let counter = Arc::new(AtomicUsize::new(0));
            let count = |counter: &Arc<AtomicUsize>, struck: fn(usize, usize) -> bool| {
                let counter = Arc::clone(counter);
                move |request: &RecordedRequest| {
                    is_write(request) && struck(counter.fetch_add(1, Ordering::SeqCst), after)
                }
            };
            // The write that strikes is done or not, as it happens; those after it never come.
            bed.api.fail_next(count(&counter, |number, after| number == after), fault.clone());
            let dead = bed.api.fail_while(count(&Arc::default(), |number, after| number >= after), Fault::Reset);
            let mut acknowledged = BTreeMap::new();
            let died_at = live(&store, &mut acknowledged).await;
            drop((store, dead));
            bed.api.clear_faults();

            let store = bed.store_with(SMALL).await;
            for (name, expected) in &acknowledged {
                if Some(name.as_str()) != died_at {
                    assert_eq!(store.fetch(&key(name)).await.unwrap(), *expected, "{name} after {after} writes");
                }
                assert!(homes(&bed, name).len() <= 1, "{name} after {after} writes");
            }
            let mut again = BTreeMap::new();
            assert_eq!(live(&store, &mut again).await, None);
            let there: Vec<String> = store.index().await.unwrap().iter().map(|entry| entry.key.to_string()).collect();
            assert_eq!(there, ["a_1", "b_1", "d_1"]);
            if died_at.is_none() {
                assert!(after > 12, "the script writes more than that");
                break;
            }
        }
    }
}

#[tokio::test]
async fn many_writers_and_a_go_bridge_lose_nothing() {
    let bed = SmallBed::new().await;
    let go = kube::Api::<ConfigMap>::namespaced(bed.0.api.client(), NAMESPACE);
    let first = bed.store().await;
    let mut tasks = Vec::new();
    for writer in 0..3 {
        let store = bed.store().await;
        tasks.push(tokio::spawn(async move {
            for round in 0..4 {
                for number in 0..4 {
                    let wanted = sized(20 + 300 * round, &format!("{round}"));
                    let name = key(&format!("w{writer}_{number}"));
                    store.upsert(&name, wanted).await.unwrap();
                    store.set_location(&name, Some(location(&format!("{round}")))).await.unwrap();
                }
            }
        }));
    }
    tasks.push(tokio::spawn(async move {
        let mut written = 0;
        while written < 10 {
            let mut map = go.get(CONFIG_MAP_NAME).await.unwrap();
            let value = br#"{"body":"YQ==","reconcilerType":"kubeflow"}"#.to_vec();
            map.binary_data.get_or_insert_default().insert(format!("go_{written}"), k8s_openapi::ByteString(value));
            match go.replace(CONFIG_MAP_NAME, &kube::api::PostParams::default(), &map).await {
                Ok(_) => written += 1,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(other) => panic!("{other}"),
            }
        }
    }));
    for task in tasks {
        task.await.unwrap();
    }
    let index = first.index().await.unwrap();
    assert_eq!(index.len(), 22);
    for listed in index.iter().filter(|listed| listed.key.as_str().starts_with('w')) {
        assert_eq!(listed.digest, sized(920, "3").digest(), "{}", listed.key);
        assert_eq!(listed.location, Some(location("3")), "{}", listed.key);
    }
    let reopened = bed.store().await;
    assert_eq!(reopened.index().await.unwrap(), index);
    assert!(index.iter().all(|listed| homes(&bed.0, listed.key.as_str()).len() == 1));
}

#[tokio::test]
async fn a_config_map_that_lost_its_label_is_found_by_its_name_and_labelled_again() {
    let bed = SmallBed::new().await;
    let store = bed.store().await;
    for name in ["a_1", "b_1", "c_1", "d_1"] {
        store.upsert(&key(name), sized(150, name)).await.unwrap();
    }
    let names: Vec<String> = kept(&bed.0).into_keys().collect();
    assert!(names.len() > 2, "{names:?}");
    for name in &names {
        bed.0.api.edit("ConfigMap", NAMESPACE, name, |object| {
            object["metadata"]["labels"].as_object_mut().unwrap().remove(STORE_LABEL.0);
        });
    }
    assert_eq!(store.index().await.unwrap().len(), 4, "by those who knew it");
    let store = bed.store().await;
    assert_eq!(store.index().await.unwrap().len(), 4, "and by those who come new");
    for name in ["a_1", "b_1", "c_1", "d_1"] {
        store.upsert(&key(name), entry("again")).await.unwrap();
    }
    for name in names {
        let labels = &bed.0.api.get_object("ConfigMap", NAMESPACE, &name).unwrap()["metadata"]["labels"];
        assert_eq!(labels[STORE_LABEL.0], STORE_LABEL.1, "{name}");
    }
}

#[tokio::test]
async fn what_only_looks_like_one_of_ours_is_left_alone() {
    let bed = SmallBed::new().await;
    let foreign = |name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "binaryData": {"foreign_1": "eyJib2R5IjoiWVE9PSJ9"},
        })
    };
    let labelled = json!({ STORE_LABEL.0: STORE_LABEL.1 });
    let theirs = [
        foreign("bac-import-model-1", json!({"team": "ml"})),
        foreign("bac-import-model-backup", labelled.clone()),
        foreign("bac-import-model-01", labelled.clone()),
        foreign("other", labelled),
    ];
    let before: Vec<Value> = theirs.iter().map(|map| bed.0.api.apply(map.clone())).collect();
    let store = bed.store().await;
    for name in ["a_1", "b_1", "c_1", "d_1"] {
        assert_eq!(store.upsert(&key(name), sized(150, name)).await.unwrap(), Outcome::Created);
    }
    for store in [store, bed.store().await] {
        let index = store.index().await.unwrap();
        assert_eq!(index.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a_1", "b_1", "c_1", "d_1"]);
    }
    for map in before {
        let name = map["metadata"]["name"].as_str().unwrap();
        assert_eq!(bed.0.api.get_object("ConfigMap", NAMESPACE, name).unwrap(), map);
    }
    assert!(kept(&bed.0).contains_key("bac-import-model-2"));
}

#[tokio::test]
async fn what_was_in_a_config_map_that_somebody_deletes_is_gone_and_comes_again() {
    let bed = SmallBed::new().await;
    let (store, other) = (bed.store().await, bed.store().await);
    let names = ["a_1", "b_1", "c_1", "d_1"];
    for name in names {
        store.upsert(&key(name), sized(150, name)).await.unwrap();
    }
    assert_eq!(other.index().await.unwrap().len(), 4);
    let gone = kept(&bed.0).into_iter().filter(|(name, _)| name != CONFIG_MAP_NAME).map(|(name, _)| name);
    let gone: Vec<String> = gone.collect();
    let left = kept(&bed.0)[CONFIG_MAP_NAME].len();
    for name in &gone {
        assert!(bed.0.api.delete("ConfigMap", NAMESPACE, name));
    }
    for store in [&store, &other] {
        assert_eq!(store.index().await.unwrap().len(), left);
    }
    let mut created = 0;
    for name in names {
        created += usize::from(other.upsert(&key(name), sized(150, name)).await.unwrap() == Outcome::Created);
    }
    assert_eq!(created, 4 - left);
    assert_eq!(store.index().await.unwrap().len(), 4);
    assert_eq!(bed.store().await.index().await.unwrap().len(), 4);
    // And while the store still believes that they are there.
    for name in &gone {
        bed.0.api.delete("ConfigMap", NAMESPACE, name);
    }
    for name in names {
        store.upsert(&key(name), sized(150, "again")).await.unwrap();
    }
    assert_eq!(bed.store().await.index().await.unwrap().len(), 4);
}
