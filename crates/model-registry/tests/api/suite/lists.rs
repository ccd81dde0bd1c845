//! Lists: their shape, their pages, their order, and what is in them.

use serde_json::{Value, json};

use crate::registry::{Registry, id, text};

const COLLECTIONS: [&str; 8] = [
    "registered_models",
    "model_versions",
    "model_artifacts",
    "artifacts",
    "serving_environments",
    "inference_services",
    "experiments",
    "experiment_runs",
];

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(id).collect()
}

async fn models(registry: &Registry, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for index in 0..count {
        ids.push(registry.model(&format!("model {index}")).await);
    }
    ids
}

/// The pages of a list, by the ids on each.
async fn pages(registry: &Registry, path: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let page = registry.read(&format!("{path}&nextPageToken={next}")).await;
        let items = page["items"].as_array().unwrap();
        assert_eq!(page["size"], items.len(), "size says how many are on the page");
        pages.push(ids(items));
        next = text(&page, "nextPageToken");
        if next.is_empty() {
            return pages;
        }
        assert!(pages.len() < 100, "there is no last page");
    }
}

pub(crate) async fn an_empty_list_has_all_fields(registry: &Registry) {
    let empty = json!({"items": [], "nextPageToken": "", "pageSize": 0, "size": 0});
    for path in COLLECTIONS {
        assert_eq!(registry.read(path).await, empty, "{path}");
    }
    let history = registry.read("experiment_runs/metric_history").await;
    assert_eq!(history, empty);
}

pub(crate) async fn pages_lead_through_everything_once(registry: &Registry) {
    let all = models(registry, 7).await;
    let first = registry.read("registered_models?pageSize=3").await;
    assert_eq!((&first["pageSize"], &first["size"]), (&json!(3), &json!(3)));
    let of_three = pages(registry, "registered_models?pageSize=3").await;
    assert_eq!(of_three.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(of_three.concat(), all);
    // A last page that is full is the last all the same.
    assert_eq!(pages(registry, "registered_models?pageSize=7").await.len(), 1);
    let backwards = pages(registry, "registered_models?pageSize=2&sortOrder=DESC").await.concat();
    assert_eq!(backwards, all.iter().rev().cloned().collect::<Vec<_>>());
    // What is new in the meantime displaces nothing.
    let token = text(&first, "nextPageToken");
    let more = registry.model("one more").await;
    let rest = registry.items(&format!("registered_models?nextPageToken={token}")).await;
    assert_eq!(ids(&rest), [&all[3..], &[more]].concat());
}

pub(crate) async fn without_a_page_size_everything_is_listed(registry: &Registry) {
    models(registry, 5).await;
    for path in ["registered_models", "registered_models?pageSize=0", "registered_models?pageSize=-2"] {
        let list = registry.read(path).await;
        assert_eq!(list["items"].as_array().unwrap().len(), 5, "{path}");
        assert_eq!((&list["pageSize"], &list["size"], &list["nextPageToken"]), (&json!(0), &json!(5), &json!("")));
    }
}

pub(crate) async fn what_is_no_page_size_is_refused(registry: &Registry) {
    for path in COLLECTIONS {
        registry.get(&format!("{path}?pageSize=many")).await.is_bad();
    }
    let model = registry.model("m").await;
    for size in ["1.5", "0x10", "99999999999999999999"] {
        registry.get(&format!("registered_models/{model}/versions?pageSize={size}")).await.is_bad();
    }
}

pub(crate) async fn the_order_is_one_of_three(registry: &Registry) {
    let all = models(registry, 3).await;
    for index in [1, 0, 2] {
        registry.update(&format!("registered_models/{}", all[index]), json!({"owner": "o"})).await;
    }
    let listed = async |query: &str| ids(&registry.items(&format!("registered_models?{query}")).await);
    let reversed: Vec<String> = all.iter().rev().cloned().collect();
    assert_eq!(listed("orderBy=ID&sortOrder=ASC").await, all);
    assert_eq!(listed("orderBy=ID&sortOrder=DESC").await, reversed);
    assert_eq!(listed("orderBy=CREATE_TIME").await, all);
    assert_eq!(listed("orderBy=CREATE_TIME&sortOrder=DESC").await, reversed);
    assert_eq!(listed("orderBy=NAME&sortOrder=DESC").await, reversed, "an order that nobody knows is that of the ids");
    assert_eq!(listed("sortOrder=ASC").await, all);
}

pub(crate) async fn a_list_by_change_follows_changes(registry: &Registry) {
    let all = models(registry, 3).await;
    let mut times = Vec::new();
    for index in [1, 2, 0] {
        let changed = registry.update(&format!("registered_models/{}", all[index]), json!({"owner": "o"})).await;
        times.push((text(&changed, "lastUpdateTimeSinceEpoch").parse::<i64>().unwrap(), id(&changed)));
    }
    times.sort_by_key(|(time, id)| (*time, id.parse::<i64>().unwrap()));
    let expected: Vec<String> = times.into_iter().map(|(_, id)| id).collect();
    let by_change = pages(registry, "registered_models?orderBy=LAST_UPDATE_TIME&pageSize=2").await.concat();
    assert_eq!(by_change, expected);
    let backwards = pages(registry, "registered_models?orderBy=LAST_UPDATE_TIME&sortOrder=DESC&pageSize=2").await;
    assert_eq!(backwards.concat(), expected.into_iter().rev().collect::<Vec<_>>());
}

pub(crate) async fn equals_are_told_apart_by_their_ids(registry: &Registry) {
    let names: Vec<String> = (0..12).map(|index| format!("at once {index}")).collect();
    let made = names.iter().map(|name| registry.model(name));
    let mut all = futures::future::join_all(made).await;
    all.sort_by_key(|id| id.parse::<i64>().unwrap());
    for direction in ["ASC", "DESC"] {
        let path = format!("registered_models?orderBy=CREATE_TIME&sortOrder={direction}&pageSize=1");
        let mut listed = pages(registry, &path).await.concat();
        listed.sort_by_key(|id| id.parse::<i64>().unwrap());
        assert_eq!(listed, all, "{direction}");
    }
}

pub(crate) async fn a_broken_cursor_is_refused(registry: &Registry) {
    models(registry, 3).await;
    for token in ["nonsense", "%F0%9F%98%80", "AAAA", "MQ==", "1"] {
        for path in COLLECTIONS {
            registry.get(&format!("{path}?nextPageToken={token}")).await.is_bad();
        }
    }
    let page = registry.read("registered_models?pageSize=1&orderBy=CREATE_TIME").await;
    let token = text(&page, "nextPageToken");
    registry.get(&format!("registered_models?pageSize=1&orderBy=ID&nextPageToken={token}")).await.is_bad();
    registry.get(&format!("registered_models?orderBy=CREATE_TIME&sortOrder=DESC&nextPageToken={token}")).await.is_bad();
    registry.read(&format!("registered_models?pageSize=2&orderBy=CREATE_TIME&nextPageToken={token}")).await;
}

pub(crate) async fn children_are_those_of_their_parent(registry: &Registry) {
    let (one, other) = (registry.model("one").await, registry.model("other").await);
    let first = registry.version(&one, "1").await;
    let second = registry.version(&one, "2").await;
    let third = registry.version(&other, "1").await;
    assert_eq!(
        ids(&registry.items(&format!("registered_models/{one}/versions")).await),
        [first.clone(), second.clone()]
    );
    assert_eq!(
        ids(&registry.items(&format!("registered_models/{other}/versions")).await),
        std::slice::from_ref(&third)
    );
    assert_eq!(ids(&registry.items("model_versions").await), [first.clone(), second, third]);
    let paged = pages(registry, &format!("registered_models/{one}/versions?pageSize=1")).await;
    assert_eq!(paged.len(), 2);
    // Artifacts are those of a version or of a run, not of whatever has that id.
    let artifacts = format!("model_versions/{first}/artifacts");
    registry.create(&artifacts, json!({"artifactType": "doc-artifact", "name": "a"})).await;
    assert_eq!(registry.names(&artifacts).await, ["a"]);
    assert_eq!(registry.names(&format!("experiment_runs/{first}/artifacts")).await, Vec::<String>::new());
}

pub(crate) async fn children_are_listed_by_name_and_external_id(registry: &Registry) {
    let model = registry.model("m").await;
    for name in ["1", "2"] {
        let body = json!({"name": name, "registeredModelId": model, "externalId": format!("ext-{name}")});
        registry.create("model_versions", body).await;
    }
    let path = format!("registered_models/{model}/versions");
    assert_eq!(registry.names(&format!("{path}?name=2")).await, ["2"]);
    assert_eq!(registry.names(&format!("{path}?externalId=ext-1")).await, ["1"]);
    assert_eq!(registry.names(&format!("{path}?name=3")).await, Vec::<String>::new());
    assert_eq!(registry.names(&format!("{path}?name=1&externalId=ext-2")).await, Vec::<String>::new());
    assert_eq!(registry.names(&format!("{path}?name=")).await, ["1", "2"], "an empty parameter says nothing");
}

pub(crate) async fn children_of_nothing_are_none(registry: &Registry) {
    for path in [
        "registered_models/999/versions",
        "model_versions/999/artifacts",
        "serving_environments/999/inference_services",
        "inference_services/999/serves",
        "experiment_runs/999/artifacts",
    ] {
        assert_eq!(registry.items(path).await, Vec::<Value>::new(), "{path}");
        let paged = registry.read(&format!("{path}?pageSize=5")).await;
        assert_eq!(paged, json!({"items": [], "nextPageToken": "", "pageSize": 5, "size": 0}), "{path}");
        registry.get(&format!("{path}?pageSize=x")).await.is_bad();
    }
}

pub(crate) async fn artifacts_are_listed_by_type(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let path = format!("model_versions/{version}/artifacts");
    for kind in ["model-artifact", "doc-artifact", "dataset-artifact", "metric", "parameter"] {
        let answer = registry.post(&path, &json!({"artifactType": kind, "name": format!("a {kind}")})).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
    }
    for path in [path.as_str(), "artifacts"] {
        assert_eq!(registry.items(path).await.len(), 5, "{path}");
        assert_eq!(registry.names(&format!("{path}?artifactType=dataset-artifact")).await, ["a dataset-artifact"]);
        registry.get(&format!("{path}?artifactType=nonsense")).await.is_bad();
        assert_eq!(pages(registry, &format!("{path}?pageSize=2")).await.concat().len(), 5, "{path}");
        let backwards = pages(registry, &format!("{path}?pageSize=2&sortOrder=DESC")).await.concat();
        let forwards: Vec<String> = backwards.into_iter().rev().collect();
        assert_eq!(forwards, ids(&registry.items(path).await), "{path}");
    }
    assert_eq!(registry.names("model_artifacts").await, ["a model-artifact"]);
}
