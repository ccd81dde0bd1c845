//! The services that run, what they tell of themselves, and clocks.

use axum::Router;
use axum::http::{StatusCode, header};
use model_catalog::render::Format::{CatalogInfoYaml, ModelCatalogJson};
use serde_json::{Value, json};
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, Service, Sources, http};
use testkit::registry::ScriptedRegistry;

use super::World;

fn beside(bridge: &Bridge, sources: &Sources) -> World {
    let admin = bridge.url(Service::Normalizer).replace("http://", "");
    World::with_registry(sources.registry())
        .with("STORAGE_URL", &bridge.url(Service::Storage))
        .with("LOCATION_URL", &bridge.url(Service::Location))
        .with("NORMALIZER_ADMIN_ADDRESS", &admin)
        .with("SQLITE_PATH", &bridge.sqlite().display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_runs_is_fine_and_one_with_another_format_is_not() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let world = beside(&bridge, &sources).with("NORMALIZER_FORMAT", "JsonArrayFormat");
    let found = world.check().await;
    for name in ["storage-rest", "location", "normalizer", "formats"] {
        found.says("Running services", name, "ok", &[]);
    }
    found.says("Storage", "storage", "ok", &["can be written"]);
    found.says("Backstage", "location as Backstage sees it", "ok", &["lists 1 entries"]);
    found.says("Backstage", "BRIDGE_URL", "warning", &["only for a Backstage on this machine"]);
    assert_eq!(found.code, Some(0), "{}", found.said);

    let found = world.with("NORMALIZER_FORMAT", "CatalogInfoYamlFormat").check().await;
    found.says("Running services", "formats", "failure", &["location: JsonArrayFormat", "NORMALIZER_FORMAT"]);
    assert_eq!(found.code, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_tell_their_status() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let status = async |service| -> Value {
        http().get(format!("{}/status", bridge.url(service))).send().await.unwrap().json().await.unwrap()
    };
    for service in Service::ALL {
        assert_eq!(status(service).await["format"], "CatalogInfoYamlFormat", "{service:?}");
    }
    assert_eq!(status(Service::Location).await["entries"], 1);
    testkit::eventually(system_tests::SOON, "storage tells of its entry", async || {
        let told = status(Service::Storage).await;
        let wanted = json!({"entries": 1, "settled": true, "pushToBackstage": false, "undelivered": {"location": 0}});
        let has = |name: &str| told[name] == wanted[name];
        if ["entries", "settled", "pushToBackstage", "undelivered"].into_iter().all(has) {
            Ok(())
        } else {
            Err(told.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_run_is_left_out_unless_a_setting_says_where_it_is() {
    let registry = ScriptedRegistry::start().await;
    let found = World::with_registry(&registry).with("STORAGE_URL", "http://127.0.0.1:9").check().await;
    found.says("Running services", "storage-rest", "failure", &["nothing answers", "STORAGE_URL"]);
    found.says("Running services", "normalizer", "skipped", &["does not run here"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_differs_is_told() {
    let sources = Sources::without_cluster().await;
    let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
    bridge.set(Service::Storage, "BRIDGE_TOKEN", "planted-right");
    bridge.set(Service::Storage, "REQUIRE_READ_TOKEN", "true");
    bridge.start(Service::Storage);
    bridge.ready(Service::Storage).await;
    let world = beside(&bridge, &sources).with("BRIDGE_TOKEN", "planted-wrong");
    let found = world.check().await;
    found.says("Running services", "storage-rest", "failure", &["BRIDGE_TOKEN", "the same for all three"]);
    assert!(!found.said.contains("planted"));
    world.with("BRIDGE_TOKEN", "planted-right").check().await.says("Running services", "storage-rest", "ok", &[]);
}

/// A peer whose clock is off by so many seconds.
async fn peer_with_clock(off: i64) -> String {
    let router = Router::new().fallback(async move || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let theirs = std::time::UNIX_EPOCH + std::time::Duration::from_secs(now.checked_add_signed(off).unwrap());
        (StatusCode::NOT_FOUND, [(header::DATE, httpdate::fmt_http_date(theirs))])
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_differ_are_told() {
    let registry = ScriptedRegistry::start().await;
    let named =
        format!("main={},ahead={},behind={}", registry.url(), peer_with_clock(3600).await, peer_with_clock(-90).await);
    let found = World::with_registry(&registry).with("MR_URL", &named).check().await;
    found.says("Clocks", "main", "ok", &[]);
    found.says("Clocks", "ahead", "failure", &["ahead of this machine", "NTP"]);
    found.says("Clocks", "behind", "warning", &["behind this machine"]);
}
