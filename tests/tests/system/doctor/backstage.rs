//! Backstage, and location as Backstage sees it.

use http::Method;
use model_catalog::render::Format::{CatalogInfoYaml, ModelCatalogJson};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rstest::rstest;
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, Service, Settings, Sources};
use testkit::backstage::{Fault, ScriptedBackstage};
use testkit::registry::ScriptedRegistry;

use super::World;

const NOT_ALLOWED: &str = "Error: Unable to read url, NotAllowedError: Reading from 'http://127.0.0.1' is not allowed. You may \
                           need to configure an integration for the target host, or add it to the configured list of \
                           allowed hosts at 'backend.reading.allow'";
const VIEW: &str = "location as Backstage sees it";

async fn peers() -> (ScriptedRegistry, ScriptedBackstage) {
    (ScriptedRegistry::start().await, ScriptedBackstage::start().await.with_token("right"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backstage_that_takes_our_locations_is_fine_and_holds_none_afterwards() {
    let (registry, backstage) = peers().await;
    let world = World::with_registry(&registry).pushing_to(&backstage);
    let found = world.check().await;
    found.says("Backstage", "Backstage", "ok", &["accepts the token"]);
    found.says("Backstage", "location type", "ok", &["`url`"]);
    found.says("Backstage", "reading from location", "ok", &["catalog-info.yaml"]);
    assert!(backstage.locations().is_empty());
    let trials = backstage.requests().into_iter().filter(|request| request.method == Method::POST);
    assert!(trials.clone().count() == 1 && trials.clone().all(|request| request.query == "dryRun=true"));
    let left_to_itself = world.with("PUSH_TO_RHDH", "false").check().await;
    left_to_itself.says("Backstage", "location type", "skipped", &["PUSH_TO_RHDH is off"]);
}

#[rstest]
#[case::wrong("wrong-token", Some(Fault::Status(401)), &["401", "backend.auth.externalAccess"])]
#[case::forbidden("right", Some(Fault::Status(403)), &["403", "accessRestrictions"])]
#[case::another("right", Some(Fault::Html), &["URL of its backend", "BKSTG_URL"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backstage_that_refuses_is_told(#[case] token: &str, #[case] fault: Option<Fault>, #[case] words: &[&str]) {
    let (registry, backstage) = peers().await;
    if let Some(fault) = fault {
        backstage.fail_next(&Method::GET, "/locations", fault, 10);
    }
    let found = World::with_registry(&registry).pushing_to(&backstage).with("RHDH_TOKEN", token).check().await;
    found.says("Backstage", "Backstage", "failure", words);
    assert_eq!(found.code, Some(1));
    assert!(!found.said.contains("wrong-token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_type_that_is_not_known_is_told() {
    let (registry, backstage) = peers().await;
    let world = World::with_registry(&registry).pushing_to(&backstage).with("NORMALIZER_FORMAT", "JsonArrayFormat");
    let words = ["`rhdh-rhoai-bridge`", "CatalogInfoYamlFormat", "BKSTG_LOCATION_TYPE"];
    world.check().await.says("Backstage", "location type", "failure", &words);
    let with_provider = backstage.with_bridge_location_type();
    let found = world.with("BKSTG_URL", with_provider.url().as_str()).check().await;
    found.says("Backstage", "location type", "ok", &["`rhdh-rhoai-bridge`"]);
}

#[rstest]
#[case(NOT_ALLOWED, &["127.0.0.1:4711", "backend.reading.allow: [{host:"])]
#[case("Error: Unable to read url, FetchError: connect ECONNREFUSED", &["can't read", "BRIDGE_URL"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_that_backstage_may_or_can_not_read_is_told(#[case] says: &str, #[case] words: &[&str]) {
    let (registry, backstage) = peers().await;
    backstage.cannot_read("http://127.0.0.1:4711/", says);
    let world = World::with_registry(&registry).pushing_to(&backstage).with("BRIDGE_URL", "http://127.0.0.1:4711");
    let found = world.check().await;
    found.says("Backstage", "location type", "ok", &[]);
    found.says("Backstage", "reading from location", "failure", words);
}

/// That the host may be read is known even when nothing is served there yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_without_entries_is_no_failure_of_reading() {
    let (registry, backstage) = peers().await;
    let says = "NotFoundError: Unable to read url, could not read http://127.0.0.1:4711/not-there/v1, 404 Not Found";
    backstage.cannot_read("http://127.0.0.1:4711/", says);
    let world = World::with_registry(&registry).pushing_to(&backstage).with("BRIDGE_URL", "http://127.0.0.1:4711");
    world.check().await.says("Backstage", "reading from location", "ok", &["no entry is served yet"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_leads_elsewhere_from_backstage_is_told() {
    let registry = ScriptedRegistry::start().await;
    let world = World::with_registry(&registry)
        .with("BKSTG_URL", "http://backstage.invalid:7007")
        .with("PUSH_TO_RHDH", "true")
        .with("BRIDGE_URL", "http://0.0.0.0:9090");
    world.check().await.says("Backstage", "BRIDGE_URL", "failure", &["the address of no machine", "--bridge-url"]);
    let world = world.with("BRIDGE_URL", "http://localhost:9");
    world.check().await.says("Backstage", "BRIDGE_URL", "failure", &["on its own machine", "--bridge-url"]);
    let found = world.with("BRIDGE_URL", "http://location.rhdh.svc:9090").check().await;
    found.says("Backstage", VIEW, "warning", &["an address of the cluster's own", "in a pod"]);
    found.says("Backstage", "links to model cards", "ok", &["location.rhdh.svc"]);
    found.says("Backstage", "Backstage", "failure", &["backstage.invalid"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_location_is_read_as_backstage_reads_it() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    bridge.set(Service::Location, "BRIDGE_TOKEN", "right");
    bridge.set(Service::Storage, "BRIDGE_TOKEN", "right");
    bridge.set(Service::Normalizer, "BRIDGE_TOKEN", "right");
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    let backstage = ScriptedBackstage::start().await.with_token("right").with_bridge_location_type();
    let world = World::with_registry(sources.registry())
        .pushing_to(&backstage)
        .with("NORMALIZER_FORMAT", "JsonArrayFormat")
        .with("BRIDGE_URL", &bridge.url(Service::Location));
    let found = world.check().await;
    found.says("Backstage", VIEW, "ok", &["lists 1 entries"]);
    found.says("Backstage", "reading from location", "ok", &["/granite/v1/model-catalog.json"]);
    // The bridge's own token must not help: Backstage has none.
    bridge.set(Service::Location, "REQUIRE_READ_TOKEN", "true");
    bridge.restart(Service::Location);
    bridge.ready(Service::Location).await;
    let found = world.with("BRIDGE_TOKEN", "right").check().await;
    found.says("Backstage", VIEW, "warning", &["asks readers for a token", "REQUIRE_READ_TOKEN"]);
}

/// Location with a certificate for this name, which ends at this time.
async fn with_certificate(bridge: &mut Bridge, name: &str, year: i32) -> String {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    parameters.not_before = date_time_ymd(2000, 1, 1);
    parameters.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    for (variable, text) in [("TLS_CERT", certificate), ("TLS_KEY", key.serialize_pem())] {
        let path = bridge.directory().join(variable);
        std::fs::write(&path, text).unwrap();
        bridge.set(Service::Location, variable, &path.display().to_string());
    }
    bridge.start(Service::Location);
    bridge.logs(Service::Location, "listen").await;
    bridge.url(Service::Location).replace("http://127.0.0.1", "https://localhost")
}

#[rstest]
#[case::unknown_issuer("localhost", 2999, &["whom nobody here trusts", "it signs itself", "LOCATION_CA"])]
#[case::another_name("elsewhere.example.com", 2999, &["elsewhere.example.com, and not for localhost"])]
#[case::expired("localhost", 2001, &["has expired", "must renew"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_refused_is_explained(#[case] name: &str, #[case] year: i32, #[case] words: &[&str]) {
    let sources = Sources::without_cluster().await;
    let mut bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
    let url = with_certificate(&mut bridge, name, year).await;
    let world = World::with_registry(sources.registry()).with("BRIDGE_URL", &url);
    let found = world.check().await;
    found.says("Backstage", &format!("{VIEW}: certificate"), "failure", words);
}

/// Wrong settings are no finding but an error, as with the services.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_read_end_the_doctor() {
    let settings = Settings::from([("BKSTG_URL".to_owned(), "not a url".to_owned())]);
    let mut ended = system_tests::Process::run("model-catalog-bridge", &["check"], &settings, super::A_WHILE).await;
    assert_eq!(ended.code(), Some(2));
    assert!(ended.said().contains("BKSTG_URL"), "{}", ended.said());
}
