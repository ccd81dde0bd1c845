//! Registries and catalogs: how they were found, and what keeps them from being read.

use std::net::TcpListener;

use rstest::rstest;
use serde_json::json;
use testkit::kube::samples::registry_service;
use testkit::kube::{ADMIN_TOKEN, KubeApi};
use testkit::registry::{Fault, Matcher, ScriptedRegistry};

use super::World;

#[rstest]
#[case(401, "KFMR_TOKEN")]
#[case(403, "bind it to the Role")]
#[case(404, "check host and path")]
#[case(500, "curl")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_registry_refuses_is_told_with_what_helps(#[case] status: u16, #[case] advice: &str) {
    let registry = ScriptedRegistry::start().await;
    registry.fail(Matcher::Any, Fault::Status(status));
    let found = World::with_registry(&registry).with("KFMR_TOKEN", "planted-token").check().await;
    found.says("Registries", "main", "failure", &[&status.to_string(), advice, "named by MR_URL"]);
    assert_eq!(found.code, Some(1));
    assert!(!found.said.contains("planted-token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_answers_is_fine_and_one_that_hangs_ends_at_the_deadline() {
    let registry = ScriptedRegistry::start().await;
    registry.edit().create_model("granite", json!({}));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let named = format!("main={},silent=http://{}", registry.url(), silent.local_addr().unwrap());
    let world = World::with_registry(&registry).with("MR_URL", &named);
    let found = world.check_with(&["--deadline", "3s"]).await;
    found.says("Registries", "main", "ok", &["its models can be read"]);
    found.says("Registries", "silent", "failure", &["no answer within 3s", "--deadline"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_where_nothing_listens_is_told() {
    let registry = ScriptedRegistry::start().await;
    let found = World::with_registry(&registry).with("MR_URL", "gone=http://127.0.0.1:9").check().await;
    found.says("Registries", "gone", "failure", &["cannot connect", "curl"]);
}

/// A catalog that can't be read costs model cards only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_fails_is_a_warning() {
    let (registry, catalog) = (ScriptedRegistry::start().await, ScriptedRegistry::start().await);
    let world = World::with_registry(&registry).with("CATALOG_URL", &format!("cards={}", catalog.url()));
    world.check().await.says("Registries", "cards", "ok", &["model catalog", "named by CATALOG_URL"]);
    catalog.fail(Matcher::Any, Fault::Status(500));
    let found = world.check().await;
    found.says("Registries", "cards", "warning", &["500"]);
    assert_eq!(found.code, Some(0));
}

/// A registry as a Service of a cluster, whose address from outside is this one.
fn service(namespace: &str, registry: &ScriptedRegistry) -> serde_json::Value {
    let address = format!("http://{}", registry.url().authority());
    registry_service(namespace, "found", "model-registry", "http-api", Some(&address))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discovered_registry_tells_how_it_was_found_and_whether_it_has_the_token() {
    let registry = ScriptedRegistry::start().await;
    registry.require_token(Some("right"));
    let kube = KubeApi::builder().namespace("rhdh").namespace("rhoai-model-registries").namespace("team").start().await;
    let world = World::with_cluster(&registry, &kube, ADMIN_TOKEN).with("MR_URL", "").with("KFMR_TOKEN", "right");
    world.check().await.says("Registries", "registries", "warning", &["there is none", "component=model-registry"]);
    kube.apply(service("rhoai-model-registries", &registry));
    kube.apply(service("team", &registry));
    let found = world.check().await;
    found.says("Registries", "rhoai-model-registries/found", "ok", &["found by its Service's label"]);
    found.says("Registries", "team/found", "failure", &["401", "REGISTRY_TOKEN_NAMESPACES"]);
    world.with("REGISTRY_TOKEN_NAMESPACES", "*").check().await.says("Registries", "team/found", "ok", &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_found_address_that_is_not_to_be_asked_is_told() {
    let registry = ScriptedRegistry::start().await;
    let kube = KubeApi::builder().namespace("rhdh").namespace("rhoai-model-registries").start().await;
    kube.apply(service("rhoai-model-registries", &registry));
    let world = World::with_cluster(&registry, &kube, ADMIN_TOKEN).with("MR_URL", "").with("ALLOW_LOOPBACK", "false");
    let found = world.check().await;
    found.says("Registries", "rhoai-model-registries/found", "failure", &["is not asked", "MR_URL"]);
    assert_eq!(registry.total(), 0);
}
