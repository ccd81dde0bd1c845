//! The in-memory Kubernetes API, as watchers see it, and how it goes wrong on demand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test's helpers may panic, and read best with values"
)]

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use kube::core::metadata::PartialObjectMeta;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use testkit::eventually;
use testkit::kube::samples::InferenceService;
use testkit::kube::{Definition, Fault, KubeApi, RecordedRequest};
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(10);

fn config_maps(api: &KubeApi) -> Api<ConfigMap> {
    Api::namespaced(api.client(), "default")
}

fn put(api: &KubeApi, name: &str, value: &str) {
    api.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"v": value}}, "data": {"k": value}}));
}

/// A reflector that runs until it is dropped.
struct Mirror {
    store: Store<ConfigMap>,
    task: JoinHandle<()>,
}

impl Mirror {
    fn of(api: &KubeApi, config: watcher::Config) -> Self {
        let (store, writer) = reflector::store();
        let stream = reflector::reflector(writer, watcher(config_maps(api), config)).default_backoff();
        let task = tokio::spawn(stream.for_each(|_| std::future::ready(())));
        Self { store, task }
    }

    async fn shows(&self, what: &str, wanted: &[&str]) {
        eventually(DEADLINE, what, async || {
            let mut found: Vec<String> = self
                .store
                .state()
                .iter()
                .map(|map| format!("{}={}", map.name_any(), map.data.as_ref().unwrap()["k"]))
                .collect();
            found.sort();
            if found == wanted { Ok(()) } else { Err(found) }
        })
        .await;
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_list(request: &RecordedRequest) -> bool {
    request.is_on("configmaps") && request.method == "GET" && !request.is_watch()
}

async fn watching(api: &KubeApi) {
    eventually(DEADLINE, "an open watch", async || api.open_watches() > 0).await;
}

#[tokio::test]
async fn a_reflector_follows_every_change() {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
        watcher::Config::default().page_size(1),
    ] {
        let api = KubeApi::builder().start().await;
        put(&api, "a", "1");
        put(&api, "b", "1");
        let mirror = Mirror::of(&api, config);
        mirror.shows("the first list", &["a=1", "b=1"]).await;
        watching(&api).await;
        put(&api, "b", "2");
        put(&api, "c", "1");
        api.delete("ConfigMap", "default", "a");
        mirror.shows("the changes", &["b=2", "c=1"]).await;
    }
}

#[tokio::test]
async fn dropped_watches_go_on_without_a_new_list() {
    let api = KubeApi::builder().start().await;
    put(&api, "a", "1");
    let mirror = Mirror::of(&api, watcher::Config::default());
    mirror.shows("the list", &["a=1"]).await;
    watching(&api).await;
    api.drop_watches();
    put(&api, "a", "2");
    mirror.shows("what happened meanwhile", &["a=2"]).await;
    assert_eq!(api.count(is_list), 1);
}

#[tokio::test]
async fn a_history_that_is_gone_leads_to_a_new_list() {
    let api = KubeApi::builder().start().await;
    put(&api, "a", "1");
    let mirror = Mirror::of(&api, watcher::Config::default());
    mirror.shows("the list", &["a=1"]).await;
    watching(&api).await;
    let guard = api.fail_while(RecordedRequest::is_watch, Fault::Status(503));
    api.drop_watches();
    put(&api, "b", "1");
    api.delete("ConfigMap", "default", "a");
    api.compact();
    drop(guard);
    mirror.shows("the new list", &["b=1"]).await;
    assert_eq!(api.count(is_list), 2);

    watching(&api).await;
    api.expire_watches();
    put(&api, "c", "1");
    mirror.shows("the list after the error", &["b=1", "c=1"]).await;
    assert!(api.count(is_list) >= 3);
}

#[tokio::test]
async fn bookmarks_tell_how_far_a_quiet_watch_is() {
    let api = KubeApi::builder().bookmark_interval(Duration::from_millis(20)).start().await;
    put(&api, "a", "1");
    let start = api.resource_version();
    let mut events =
        config_maps(&api).watch(&WatchParams::default().fields("metadata.name=a"), &start).await.unwrap().boxed();
    put(&api, "other", "1");
    let newest = api.resource_version();
    loop {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Bookmark(mark) if mark.metadata.resource_version == newest => break,
            WatchEvent::Bookmark(_) => {}
            other => panic!("nothing happened to a: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_watch_replays_history_and_selects() {
    let api = KubeApi::builder().start().await;
    put(&api, "a", "1");
    let start = api.resource_version();
    put(&api, "a", "2");
    put(&api, "a", "1");
    api.delete("ConfigMap", "default", "a");
    let params = WatchParams::default().labels("v=1").timeout(1);
    let events: Vec<String> = config_maps(&api)
        .watch(&params, &start)
        .await
        .unwrap()
        .filter_map(async |event| match event.unwrap() {
            WatchEvent::Added(map) => Some(format!("added {}", map.resource_version().unwrap())),
            WatchEvent::Deleted(map) => Some(format!("deleted {}", map.resource_version().unwrap())),
            WatchEvent::Bookmark(_) => None,
            other => Some(format!("{other:?}")),
        })
        .collect()
        .await;
    let start: u64 = start.parse().unwrap();
    assert_eq!(
        events,
        [format!("deleted {}", start + 1), format!("added {}", start + 2), format!("deleted {}", start + 3)]
    );
    api.compact();
    let old = config_maps(&api).watch(&WatchParams::default(), "1").await.unwrap().boxed().try_next().await.unwrap();
    match old {
        Some(WatchEvent::Error(status)) => assert_eq!((status.code, status.reason.as_str()), (410, "Expired")),
        other => panic!("expected 410, got {other:?}"),
    }
}

#[tokio::test]
async fn metadata_alone_can_be_listed_and_watched() {
    let api = KubeApi::builder().start().await;
    put(&api, "a", "1");
    let maps: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(api.client(), "default");
    let listed = config_maps(&api).list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(listed.items[0].labels()["v"], "1");
    let mut events = watcher(maps, watcher::Config::default()).applied_objects().boxed();
    assert_eq!(events.try_next().await.unwrap().unwrap().name_any(), "a");
}

#[tokio::test]
async fn a_watcher_picks_a_definition_up_when_it_appears() {
    let api = KubeApi::builder().start().await;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("serving.kserve.io", "v1beta1", "InferenceService"));
    let services: Api<DynamicObject> = Api::all_with(api.client(), &resource);
    let mut events = watcher(services, watcher::Config::default()).boxed();
    let mut first_error = None;
    while first_error.is_none() {
        first_error = events.next().await.unwrap().err();
    }
    assert!(first_error.unwrap().to_string().contains("404"));
    api.install_crd(&Definition::inference_services());
    api.apply(InferenceService::new("models", "granite").build());
    let mut applied = events.applied_objects();
    let next = async |applied: &mut futures::stream::BoxStream<'_, _>| -> String {
        let found: Result<DynamicObject, watcher::Error> = applied.next().await.unwrap();
        found.unwrap().name_any()
    };
    let mut applied = applied.by_ref().boxed();
    assert_eq!(next(&mut applied).await, "granite");
    assert!(api.remove_crd("inferenceservices.serving.kserve.io"));
    assert!(applied.next().await.unwrap().is_err(), "the watch ends with the definition");
    api.install_crd(&Definition::inference_services());
    api.apply(InferenceService::new("models", "llama").build());
    eventually(DEADLINE, "the object of the new definition", async || match applied.next().await {
        Some(Ok(object)) if object.name_any() == "llama" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_restarted_server_keeps_its_objects_and_port() {
    let api = KubeApi::builder().start().await;
    put(&api, "a", "1");
    let mirror = Mirror::of(&api, watcher::Config::default());
    mirror.shows("the list", &["a=1"]).await;
    api.stop().await;
    assert!(config_maps(&api).get("a").await.is_err());
    put(&api, "a", "2");
    api.restart().await;
    mirror.shows("the change made meanwhile", &["a=2"]).await;
}

#[tokio::test]
async fn a_paused_server_answers_later() {
    let api = KubeApi::builder().start().await;
    put(&api, "a", "1");
    api.pause();
    let maps = config_maps(&api);
    let waiting = tokio::spawn(async move { maps.get("a").await });
    eventually(DEADLINE, "the request has arrived", async || api.count(|request| request.is_on("configmaps")) == 1)
        .await;
    assert!(!waiting.is_finished() && api.requests()[0].status.is_none());
    api.resume();
    assert_eq!(waiting.await.unwrap().unwrap().name_any(), "a");
    assert_eq!(api.requests()[0].status, Some(200));
}

#[tokio::test]
async fn requests_go_wrong_on_demand() {
    let api = KubeApi::builder().start().await;
    put(&api, "a", "1");
    let maps = config_maps(&api);
    api.fail_next(|request| request.is_on("configmaps"), Fault::Status(500));
    assert!(matches!(maps.get("a").await, Err(kube::Error::Api(status)) if status.code == 500));
    for fault in [Fault::Reset, Fault::Truncated, Fault::Garbage] {
        api.fail_next(|request| request.method == "GET", fault.clone());
        assert!(maps.get("a").await.is_err(), "{fault:?}");
        assert!(maps.get("a").await.is_ok(), "{fault:?} strikes once");
    }
    api.fail_next(RecordedRequest::is_write, Fault::LostAnswer);
    let patch = Patch::Merge(json!({"data": {"k": "9"}}));
    assert!(maps.patch("a", &PatchParams::default(), &patch).await.is_err());
    assert_eq!(maps.get("a").await.unwrap().data.unwrap()["k"], "9", "the write was done");
    let guard = api.fail_while(RecordedRequest::is_write, Fault::Status(429));
    let other = serde_json::from_value(json!({"metadata": {"name": "b"}})).unwrap();
    for _ in 0..2 {
        assert!(maps.create(&PostParams::default(), &other).await.is_err());
    }
    drop(guard);
    maps.create(&PostParams::default(), &other).await.unwrap();
    api.fail_next(|_| true, Fault::Hang);
    assert!(tokio::time::timeout(Duration::from_millis(50), maps.get("a")).await.is_err());
    api.fail_next(|_| true, Fault::Delay(Duration::from_millis(5)));
    maps.get("a").await.unwrap();
    api.clear_requests();
    assert!(api.requests().is_empty());
}
