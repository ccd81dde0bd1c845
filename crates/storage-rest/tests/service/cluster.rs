//! The service on a cluster: which store it takes, how it waits for the API, how it finds Backstage's Route.

use http::StatusCode;
use serde_json::json;
use storage_rest::store::config_map::CONFIG_MAP_NAME;
use testkit::backstage::ScriptedBackstage;
use testkit::eventually;
use testkit::kube::{Fault, KubeApi};

use crate::support::{DEADLINE, ScriptedLocation, Storage, http, key, post};

struct Cluster {
    api: KubeApi,
    _directory: tempfile::TempDir,
    kubeconfig: String,
}

impl Cluster {
    async fn new() -> Self {
        service::http_client::install_crypto_provider();
        let api = KubeApi::builder().with_routes().namespace("rhdh").start().await;
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = api.write_kubeconfig(directory.path()).to_str().unwrap().to_owned();
        Self { api, _directory: directory, kubeconfig }
    }

    fn add_route(&self, name: &str, label: &str, host: &str) {
        self.api.apply(json!({
            "apiVersion": "route.openshift.io/v1", "kind": "Route",
            "metadata": {"name": name, "namespace": "rhdh", "labels": {"app.kubernetes.io/name": label}},
            "spec": {"host": host, "to": {"kind": "Service", "name": name}},
            "status": {"ingress": [{"host": host}]},
        }));
    }

    async fn storage(&self, location: &ScriptedLocation, args: &[&str]) -> Storage {
        let cluster =
            ["--kubeconfig", &self.kubeconfig, "--namespace", "rhdh", "--location-url", location.url.as_str()];
        Storage::start_with(&[&cluster, args].concat()).await
    }
}

async fn becomes_ready(storage: &Storage) {
    eventually(DEADLINE, "storage is ready", async || storage.ready().await == StatusCode::OK).await;
}

#[tokio::test]
async fn with_cluster_credentials_entries_are_kept_in_the_config_map() {
    let cluster = Cluster::new().await;
    let location = ScriptedLocation::start().await;
    let storage = cluster.storage(&location, &[]).await;
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    location.holds(&[("a_1", "one")]).await;
    let stored = cluster.api.get_object("ConfigMap", "rhdh", CONFIG_MAP_NAME).unwrap();
    assert!(stored["binaryData"]["a_1"].is_string());
    storage.stop().await;
}

#[tokio::test]
async fn a_cluster_that_is_away_at_the_start_is_waited_for() {
    let cluster = Cluster::new().await;
    let location = ScriptedLocation::start().await;
    cluster.api.stop().await;
    let storage = cluster.storage(&location, &[]).await;
    assert_eq!(storage.ready().await, StatusCode::SERVICE_UNAVAILABLE);
    let error = storage.client.list().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    cluster.api.restart().await;
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    location.holds(&[("a_1", "one")]).await;
}

#[tokio::test]
async fn what_the_store_can_not_do_is_answered_by_what_it_is() {
    let cluster = Cluster::new().await;
    let location = ScriptedLocation::start().await;
    let storage = cluster.storage(&location, &["--storage-type", "ConfigMap"]).await;
    becomes_ready(&storage).await;
    let is_patch = |request: &testkit::kube::RecordedRequest| request.method == "PATCH";
    let upsert = async |body: &str| {
        let url = storage.url.join("upsert?key=a_1").unwrap();
        let response = http().post(url).json(&post(body)).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    cluster.api.fail_next(is_patch, Fault::Status(403));
    let (status, body) = upsert("one").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.contains("may not patch configmaps in namespace rhdh"), "{body}");
    let outage = cluster.api.fail_while(is_patch, Fault::Status(500));
    assert_eq!(upsert("one").await.0, StatusCode::SERVICE_UNAVAILABLE);
    drop(outage);
    let (status, body) = upsert(&testkit::noisy_text(2 << 20)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(body.contains("a_1"), "{body}");
    assert_eq!(upsert("one").await.0, StatusCode::CREATED);
    assert_eq!(storage.client.fetch(&key("a_1")).await.unwrap().unwrap().body, b"one");
}

#[tokio::test]
async fn backstage_is_found_by_its_route() {
    let cluster = Cluster::new().await;
    let (location, backstage) = (ScriptedLocation::start().await, ScriptedBackstage::start().await);
    cluster.add_route("another", "registry", "127.0.0.1:9");
    cluster.add_route("backstage-developer-hub", "my-backstage", backstage.url().authority());
    let push = ["--push-to-rhdh", "--pod-namespace", "rhdh", "--bridge-url", "http://bridge:9090"];
    let storage = cluster.storage(&location, &push).await;
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    eventually(DEADLINE, "the entry is registered", async || backstage.targets().len() == 1).await;
    assert_eq!(backstage.targets(), ["http://bridge:9090/a/1/catalog-info.yaml"]);
}

#[tokio::test]
async fn a_route_that_is_made_later_is_waited_for() {
    let cluster = Cluster::new().await;
    let (location, backstage) = (ScriptedLocation::start().await, ScriptedBackstage::start().await);
    let push = ["--push-to-rhdh", "--pod-namespace", "rhdh", "--bridge-url", "http://bridge:9090"];
    let storage = cluster.storage(&location, &push).await;
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    location.holds(&[("a_1", "one")]).await;
    eventually(DEADLINE, "a Route was looked for", async || {
        cluster.api.requests().iter().any(|request| request.path.ends_with("/routes"))
    })
    .await;
    cluster.add_route("backstage-developer-hub", "my-backstage", backstage.url().authority());
    eventually(DEADLINE, "the entry is registered", async || backstage.targets().len() == 1).await;
}

#[tokio::test]
async fn without_a_route_nothing_is_registered_and_all_else_works() {
    let cluster = Cluster::new().await;
    let location = ScriptedLocation::start().await;
    let storage = cluster.storage(&location, &["--push-to-rhdh"]).await;
    becomes_ready(&storage).await;
    storage.upsert("a_1", "one").await;
    location.holds(&[("a_1", "one")]).await;
    storage.stop().await;
}
