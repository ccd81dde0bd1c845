//! The bridge before our own Model Registry.

use http::StatusCode;
use model_catalog::render::Format::CatalogInfoYaml;
use model_registry::run::{self, Registry};
use model_registry::settings::{DatabaseSettings, ProxySettings};
use serde_json::{Value, json};
use service::Shutdown;
use service::telemetry::LogSettings;
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, SOON, Service, Sources, http};
use tempfile::TempDir;
use testkit::eventually;

async fn start(directory: &TempDir, shutdown: &Shutdown) -> (Registry, String) {
    let database = DatabaseSettings::sqlite_in(directory.path());
    let registry = run::start(ProxySettings::here(database, LogSettings::default()), shutdown.clone()).await.unwrap();
    registry.readiness.until_ready().await;
    let url = registry.url().unwrap().to_string();
    (registry, url)
}

async fn post(registry: &str, path: &str, body: &Value) -> String {
    let url = format!("{registry}api/model_registry/v1alpha3/{path}");
    let answer = http().post(url).json(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_tells_of_is_shown_without_waiting_for_the_next_poll() {
    let (directory, shutdown) = (TempDir::new().unwrap(), Shutdown::new());
    let (registry, url) = start(&directory, &shutdown).await;
    let model = post(&url, "registered_models", &json!({"name": "granite"})).await;
    let version = |name: &str| json!({"name": name, "registeredModelId": model});
    post(&url, "model_versions", &version("v1")).await;

    let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &Sources { registries: Vec::new(), kube: None });
    bridge.set(Service::Normalizer, "MR_URL", &url);
    for (never, long) in [("POLLING_INTERVAL", "12h"), ("RESYNC_INTERVAL", "24h"), ("PROBE_INTERVAL", "0s")] {
        bridge.set(Service::Normalizer, never, long);
    }
    let bridge = bridge.started();
    let shows = async |expected: &[&str]| {
        let what = format!("location lists {expected:?}");
        eventually(SOON, &what, async || {
            let listed = bridge.uris().await?;
            if listed == expected { Ok(()) } else { Err(format!("{listed:?}")) }
        })
        .await;
    };
    shows(&["/granite/v1/catalog-info.yaml"]).await;
    // The second one tells that the bridge goes on to listen.
    post(&url, "model_versions", &version("v2")).await;
    shows(&["/granite/v1/catalog-info.yaml", "/granite/v2/catalog-info.yaml"]).await;
    post(&url, "model_versions", &version("v3")).await;
    let all = ["v1", "v2", "v3"].map(|version| format!("/granite/{version}/catalog-info.yaml"));
    shows(&all.each_ref().map(String::as_str)).await;

    shutdown.trigger();
    registry.running.task.await.unwrap().unwrap();
}
