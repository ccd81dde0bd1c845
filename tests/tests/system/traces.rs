//! One change is one trace, from the read of its registry to the request that tells Backstage; and traces are nobody's
//! trouble.

mod collector;

use std::collections::BTreeSet;
use std::time::Duration;

use model_catalog::render::Format::CatalogInfoYaml;
use serde_json::json;
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources};
use testkit::backstage::ScriptedBackstage;
use testkit::eventually;

use collector::{Collector, Trace, links};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// After so many milliseconds spans go out.
const DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
const AN_HOUR: &str = "3600000";

/// A bridge that imports to Backstage.
async fn importing(sources: &Sources) -> (Bridge, ScriptedBackstage) {
    let backstage = ScriptedBackstage::start().await.with_token("backstage-secret");
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, sources);
    let location = bridge.url(Service::Location);
    let mut bridge = bridge
        .with(Service::Storage, "PUSH_TO_RHDH", "true")
        .with(Service::Storage, "BKSTG_URL", backstage.url().as_str())
        .with(Service::Storage, "RHDH_TOKEN", "backstage-secret")
        .with(Service::Storage, "BRIDGE_URL", &location);
    set(&mut bridge, "BRIDGE_TOKEN", "bridge-secret");
    (bridge, backstage)
}

fn set(bridge: &mut Bridge, name: &str, value: &str) {
    for service in Service::ALL {
        bridge.set(service, name, value);
    }
}

async fn imports(backstage: &ScriptedBackstage, models: &[&str]) {
    eventually(SOON, "Backstage has the locations", async || {
        let targets = backstage.targets();
        let has = |model: &&str| targets.iter().any(|target| target.contains(&format!("/{model}/")));
        if targets.len() == models.len() && models.iter().all(has) { Ok(()) } else { Err(format!("{targets:?}")) }
    })
    .await;
}

/// Ends all three: what waits to be sent goes out then.
async fn terminate(bridge: &mut Bridge) {
    for service in [Service::Normalizer, Service::Storage, Service::Location] {
        assert!(bridge.terminate(service).await.success(), "{service:?}");
    }
}

/// What the three services are called in traces.
#[derive(Debug, Clone, Copy)]
struct Names {
    normalizer: &'static str,
    storage: &'static str,
    location: &'static str,
}

const THREE: Names = Names { normalizer: "normalizer", storage: "storage-rest", location: "location" };
const IN_ONE: Names =
    Names { normalizer: "model-catalog-bridge", storage: "model-catalog-bridge", location: "model-catalog-bridge" };

impl Names {
    /// How the spans of an upsert hang together.
    fn of_upsert(self) -> BTreeSet<String> {
        let Self { normalizer, storage, location } = self;
        BTreeSet::from([
            format!("{normalizer}: read"),
            format!("{normalizer}: read > {normalizer}: GET registry"),
            format!("{normalizer}: read > {normalizer}: publish"),
            format!("{normalizer}: publish > {normalizer}: POST storage"),
            format!("{normalizer}: POST storage > {storage}: POST /upsert"),
            format!("{storage}: POST /upsert > {storage}: deliver to location"),
            format!("{storage}: deliver to location > {storage}: POST location"),
            format!("{storage}: POST location > {location}: POST /upsert"),
            format!("{storage}: POST /upsert > {storage}: tell Backstage"),
            format!("{storage}: tell Backstage > {storage}: POST backstage"),
        ])
    }

    /// How the spans of a removal hang together.
    fn of_removal(self) -> BTreeSet<String> {
        let Self { normalizer, storage, location } = self;
        BTreeSet::from([
            format!("{normalizer}: read"),
            format!("{normalizer}: read > {normalizer}: GET registry"),
            format!("{normalizer}: read > {normalizer}: publish removals"),
            format!("{normalizer}: publish removals > {normalizer}: POST storage"),
            format!("{normalizer}: POST storage > {storage}: POST /currentkeyset"),
            format!("{storage}: POST /currentkeyset > {storage}: deliver to location"),
            format!("{storage}: deliver to location > {storage}: DELETE location"),
            format!("{storage}: DELETE location > {location}: DELETE /remove"),
            format!("{storage}: POST /currentkeyset > {storage}: tell Backstage"),
            format!("{storage}: tell Backstage > {storage}: DELETE backstage"),
        ])
    }
}

/// A whole trace of a change of `key` in which spans hang together like this.
fn found(collector: &Collector, key: &str, expected: &BTreeSet<String>) -> Trace {
    let traces = collector.traces_of("deliver to location", key);
    let all: Vec<BTreeSet<String>> = traces.iter().map(links).collect();
    let is_whole = |links: &BTreeSet<String>| {
        let roots: Vec<&String> = links.iter().filter(|link| !link.contains(" > ") || link.starts_with('?')).collect();
        roots.len() == 1 && links.is_superset(expected)
    };
    let at = all.iter().position(is_whole);
    traces[at.unwrap_or_else(|| panic!("{key}: {expected:#?}\nis in none of {all:#?}"))].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_one_trace_from_the_registry_to_backstage() {
    let sources = Sources::without_cluster().await;
    sources.register("first", "v1");
    let collector = Collector::start().await;
    let (mut bridge, backstage) = importing(&sources).await;
    set(&mut bridge, ENDPOINT, &collector.url);
    set(&mut bridge, "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collector-secret");
    set(&mut bridge, DELAY, AN_HOUR);
    bridge.start_all();
    imports(&backstage, &["first"]).await;
    bridge.compares().await;

    let version = sources.register("second", "v1");
    imports(&backstage, &["first", "second"]).await;
    bridge.serves_truth_of(&sources).await;
    bridge.compares().await;
    sources.registry().edit().update_version(&version.version, json!({"state": "ARCHIVED"})).unwrap();
    imports(&backstage, &["first"]).await;
    terminate(&mut bridge).await;

    let upsert = found(&collector, "second_v1", &THREE.of_upsert());
    found(&collector, "second_v1", &THREE.of_removal());
    let is_registration = |sent: &&collector::Sent| sent.span.name == "POST backstage";
    let registration = &upsert.values().find(is_registration).unwrap().span;
    let trace = u128::from_be_bytes(registration.trace_id.clone().try_into().unwrap());
    let span = u64::from_be_bytes(registration.span_id.clone().try_into().unwrap());
    let parent = format!("00-{trace:032x}-{span:016x}-01");
    let received = backstage.requests().into_iter().find(|request| request.traceparent.as_ref() == Some(&parent));
    assert!(received.unwrap().body["target"].as_str().unwrap().contains("/second/"));
    assert!(sources.registry().requests().iter().any(|request| request.headers.contains_key("traceparent")));

    // What belongs to no change, such as lists, health and comparisons, is not traced.
    let roots = collector.spans().into_iter().filter(|sent| sent.span.parent_span_id.is_empty());
    assert_eq!(roots.map(|root| root.span.name).collect::<BTreeSet<_>>(), BTreeSet::from(["read".to_owned()]));

    assert_eq!(collector.authorizations(), BTreeSet::from(["Bearer collector-secret".to_owned()]));
    let all = format!("{:?}", collector.spans());
    for secret in ["backstage-secret", "bridge-secret", "collector-secret", "?key="] {
        assert!(!all.contains(secret), "{secret} is in a span");
    }
}

/// The read that brought an entry at some time is not what a service of a cluster changes it by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_changes_is_a_trace_from_its_publication_on() {
    let sources = Sources::with_cluster().await;
    let version = sources.register("model", "v1");
    let collector = Collector::start().await;
    let (mut bridge, backstage) = importing(&sources).await;
    set(&mut bridge, ENDPOINT, &collector.url);
    set(&mut bridge, DELAY, AN_HOUR);
    bridge.start_all();
    imports(&backstage, &["model"]).await;
    bridge.compares().await;

    sources.serve(&version, "served");
    eventually(SOON, "Backstage is told to read again", async || !backstage.refreshed().is_empty()).await;
    bridge.serves_truth_of(&sources).await;
    terminate(&mut bridge).await;
    let mut links = THREE.of_upsert();
    links.retain(|link| !link.starts_with("normalizer: read"));
    links.insert("normalizer: publish".to_owned());
    found(&collector, "model_v1", &links);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_for_the_three_in_one_process() {
    let sources = Sources::without_cluster().await;
    let collector = Collector::start().await;
    let (mut bridge, backstage) = importing(&sources).await;
    set(&mut bridge, ENDPOINT, &collector.url);
    set(&mut bridge, DELAY, AN_HOUR);
    let mut settings = Settings::new();
    for service in Service::ALL {
        settings.extend(bridge.settings(service).clone());
    }
    settings.retain(|name, _| !matches!(name.as_str(), "STORAGE_URL" | "LOCATION_URL"));
    let mut up = Process::start("model-catalog-bridge", &["up"], &settings);
    bridge.ready(Service::Location).await;
    bridge.compares().await;

    sources.register("model", "v1");
    imports(&backstage, &["model"]).await;
    up.terminate();
    assert!(up.ended(Duration::from_secs(10)).await.success());
    found(&collector, "model_v1", &IN_ONE.of_upsert());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_no_one_is_told_of_traces() {
    let sources = Sources::without_cluster().await;
    sources.register("model", "v1");
    let (mut bridge, backstage) = importing(&sources).await;
    bridge.start_all();
    imports(&backstage, &["model"]).await;
    let of_registry = sources.registry().requests();
    assert!(!of_registry.is_empty());
    for request in of_registry {
        assert!(!request.headers.contains_key("traceparent"), "{request:?}");
    }
    for request in backstage.requests() {
        assert_eq!(request.traceparent, None, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_takes_nothing_costs_one_line_and_is_served_again() {
    let sources = Sources::without_cluster().await;
    let collector = Collector::start().await;
    collector.refuses();
    let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
    set(&mut bridge, ENDPOINT, &collector.url);
    set(&mut bridge, DELAY, "50");
    bridge.start_all();
    sources.register("model", "v1");
    bridge.serves_truth_of(&sources).await;
    eventually(SOON, "several batches are refused", async || collector.refused() > 10).await;
    collector.accepts();
    bridge.logs(Service::Normalizer, "takes traces again").await;
    assert_eq!(bridge.log(Service::Normalizer).matches("traces are lost").count(), 1);
    assert!(!collector.spans().is_empty());
}

/// Nobody listens there, or somebody who never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_dead_holds_nobody_back() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (silent.local_addr().unwrap().port(), Some(silent));
    for (port, _listener) in [(system_tests::port(), None), silent] {
        let sources = Sources::without_cluster().await;
        sources.register("model", "v1");
        let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
        set(&mut bridge, ENDPOINT, &format!("http://127.0.0.1:{port}"));
        set(&mut bridge, DELAY, "50");
        bridge.start_all();
        bridge.serves_truth_of(&sources).await;
        sources.register("another", "v1");
        bridge.serves_truth_of(&sources).await;
        terminate(&mut bridge).await;
    }
}
