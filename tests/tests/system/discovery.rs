//! Where registries and services are found: in a cluster with and without KServe, by Services, by Routes, without any
//! cluster, with a token.

use model_catalog::render::Format::{CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use system_tests::Kept::{InConfigMap, InSqlite};
use system_tests::{Bridge, Reader, SOON, Service, Sources};
use testkit::eventually;
use testkit::kube::samples::{registry_route, registry_service};
use testkit::kube::{ADMIN_TOKEN, Definition, KubeApi};
use testkit::registry::ScriptedRegistry;

const REGISTRIES: &str = "rhoai-model-registries";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kserve_may_be_installed_later() {
    let format = CatalogInfoYaml;
    let kube = KubeApi::builder().namespace("ai-models").start().await;
    let sources = Sources { registries: vec![("main".to_owned(), ScriptedRegistry::start().await)], kube: Some(kube) };
    let granite = sources.register("granite", "v1");
    let mut bridge = Bridge::new(format, InConfigMap, &sources).started();
    bridge.serves_truth_of(&sources).await;
    bridge.logs(Service::Normalizer, "is not installed in this cluster").await;
    bridge.compares().await;
    let log = bridge.log(Service::Normalizer);
    let said: Vec<&str> = log.lines().filter_map(|line| line.split(" INFO ").nth(1)).collect();
    let absent: Vec<&&str> = said.iter().filter(|line| line.contains("is not installed")).collect();
    assert_eq!(absent.iter().collect::<BTreeSet<_>>().len(), absent.len(), "once for each kind: {absent:?}");
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));

    sources.kube().install_crd(&Definition::inference_services());
    sources.serve(&granite, "served");
    sources.serve_unregistered("alone");
    bridge.serves_truth_of(&sources).await;
    assert_eq!(sources.truth(format).len(), 2);
    // Started again with it, it is there at once.
    bridge.restart(Service::Normalizer);
    bridge.compares().await;
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cluster_is_needed_for_registries_that_are_named() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources).started();
    bridge.serves_truth_of(&sources).await;
    bridge.logs(Service::Normalizer, "no cluster is configured").await;
}

/// Two registries: each has a model of its own and one that is called the same in both.
async fn two_registries() -> [ScriptedRegistry; 2] {
    let registries = [ScriptedRegistry::start().await, ScriptedRegistry::start().await];
    for (registry, own) in registries.iter().zip(["one", "two"]) {
        for name in [own, "shared"] {
            let model = registry.edit().create_model(name, json!({"description": format!("{name} of {own}")}));
            registry.edit().create_version(&model, "v1", json!({}));
        }
    }
    registries
}

/// The descriptions that location serves.
async fn descriptions(bridge: &Bridge) -> Result<Vec<String>, String> {
    let served = bridge.served().await?;
    let names: BTreeSet<&String> = served.values().map(|shown| &shown.name).collect();
    assert_eq!(names.len(), served.len(), "each entry has its own name: {served:?}");
    let mut all: Vec<String> = served.into_values().map(|shown| shown.description).collect();
    all.sort();
    Ok(all)
}

async fn describes(bridge: &Bridge, expected: &[&str]) {
    eventually(SOON, "location serves these", async || {
        let found = descriptions(bridge).await?;
        if found == expected { Ok(()) } else { Err(found.join(", ")) }
    })
    .await;
}

#[rstest]
#[case::by_services(false)]
#[case::by_routes(true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registries_are_discovered_and_the_same_model_in_two_of_them_is_two_entries(#[case] by_routes: bool) {
    let format = ModelCatalogJson;
    let registries = two_registries().await;
    let kube = KubeApi::builder().with_kserve().with_routes().namespace(REGISTRIES).start().await;
    let found = |name: &str, registry: &ScriptedRegistry| -> Value {
        let address = registry.address().to_string();
        if by_routes {
            let mut route = registry_route(REGISTRIES, name, &address);
            route["spec"].as_object_mut().unwrap().remove("tls");
            route
        } else {
            registry_service(REGISTRIES, name, "model-registry", "http-api", Some(&address))
        }
    };
    let kind = if by_routes { "Route" } else { "Service" };
    kube.apply(found("first", &registries[0]));
    let sources = Sources { registries: Vec::new(), kube: Some(kube) };
    let mut bridge =
        Bridge::new(format, InConfigMap, &sources).with(Service::Normalizer, "SOURCE_GRACE", "1s").started();
    describes(&bridge, &["one of one", "shared of one"]).await;

    sources.kube().apply(found("second", &registries[1]));
    let all = ["one of one", "shared of one", "shared of two", "two of two"];
    describes(&bridge, &all).await;
    let before = bridge.documents().await.unwrap();
    let reader = Reader::start(&bridge);
    reader.expect(before.keys().cloned());

    // Names are the same after a restart, whichever registry answers first, or not at all.
    for registry in &registries {
        registry.stop().await;
        bridge.restart(Service::Normalizer);
        bridge.logs(Service::Normalizer, "its entries stay as they are").await;
        bridge.compares().await;
        assert_eq!(bridge.documents().await.unwrap(), before);
        registry.restart().await;
        bridge.compares().await;
    }
    assert_eq!(bridge.documents().await.unwrap(), before);
    reader.finish();

    sources.kube().delete(kind, REGISTRIES, "second");
    describes(&bridge, &["one of one", "shared of one"]).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_may_be_named(#[values("rhoai-model-registries:second", "second")] named: &str) {
    let registries = two_registries().await;
    let kube = KubeApi::builder().with_kserve().with_routes().namespace(REGISTRIES).start().await;
    for (name, registry) in ["first", "second"].into_iter().zip(&registries) {
        let mut route = registry_route(REGISTRIES, name, &registry.address().to_string());
        route["spec"].as_object_mut().unwrap().remove("tls");
        kube.apply(route);
    }
    let sources = Sources { registries: Vec::new(), kube: Some(kube) };
    let bridge =
        Bridge::new(ModelCatalogJson, InSqlite, &sources).with(Service::Normalizer, "MR_ROUTE", named).started();
    describes(&bridge, &["shared of two", "two of two"]).await;
}

/// A registry whose Route lost its host is not gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_lost_its_host_loses_no_entry() {
    let registries = two_registries().await;
    let kube = KubeApi::builder().with_kserve().with_routes().namespace(REGISTRIES).start().await;
    let mut route = registry_route(REGISTRIES, "first", &registries[0].address().to_string());
    route["spec"].as_object_mut().unwrap().remove("tls");
    kube.apply(route);
    let sources = Sources { registries: Vec::new(), kube: Some(kube) };
    let mut bridge =
        Bridge::new(CatalogInfoYaml, InConfigMap, &sources).with(Service::Normalizer, "SOURCE_GRACE", "0s").started();
    describes(&bridge, &["one of one", "shared of one"]).await;
    let reader = Reader::start(&bridge);
    reader.expect(bridge.uris().await.unwrap());

    sources.kube().set_status("Route", REGISTRIES, "first", json!({"ingress": []}));
    bridge.logs(Service::Normalizer, "no ingress host").await;
    bridge.compares().await;
    bridge.restart(Service::Normalizer);
    bridge.compares().await;
    describes(&bridge, &["one of one", "shared of one"]).await;
    reader.finish();
}

#[rstest]
#[case::configured(Some("registry-secret"), "registry-secret")]
#[case::of_the_cluster(None, ADMIN_TOKEN)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_may_ask_for_a_token(#[case] given: Option<&str>, #[case] wanted: &str) {
    let sources = Sources::with_cluster().await;
    sources.register("granite", "v1");
    sources.registry().require_token(Some(wanted));
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    if let Some(token) = given {
        bridge.set(Service::Normalizer, "KFMR_TOKEN", "wrong");
        bridge.start_all();
        bridge.fails_to_read().await;
        bridge.logs(Service::Normalizer, "answered 401").await;
        assert!(bridge.stored().await.unwrap().keys.is_empty());
        assert!(
            bridge.uris().await.is_err(),
            "what the registry holds is not known, so nobody is told that it is empty"
        );
        bridge.set(Service::Normalizer, "KFMR_TOKEN", token);
        bridge.restart(Service::Normalizer);
    } else {
        bridge.start_all();
    }
    bridge.serves_truth_of(&sources).await;
}

/// Whoever may create a Service somewhere can have it found. The token is for those whom the settings trust.
#[rstest]
#[case::where_registries_are("rhoai-model-registries", None, true)]
#[case::in_the_bridges_own_namespace("ai-models", None, true)]
#[case::elsewhere("team-a", None, false)]
#[case::where_the_settings_say("team-a", Some("team-a,team-b"), true)]
#[case::anywhere("team-a", Some("*"), true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_was_found_is_sent_the_token_only_in_namespaces_that_are_trusted(
    #[case] namespace: &str,
    #[case] setting: Option<&str>,
    #[case] is_sent: bool,
) {
    let [registry, _] = two_registries().await;
    let kube = KubeApi::builder().with_kserve().namespace("ai-models").namespace(namespace).start().await;
    let address = registry.address().to_string();
    kube.apply(registry_service(namespace, "first", "model-registry", "http-api", Some(&address)));
    let sources = Sources { registries: Vec::new(), kube: Some(kube) };
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    bridge.set(Service::Normalizer, "NAMESPACE", "ai-models");
    if let Some(namespaces) = setting {
        bridge.set(Service::Normalizer, "REGISTRY_TOKEN_NAMESPACES", namespaces);
    }
    bridge.start_all();
    describes(&bridge, &["one of one", "shared of one"]).await;
    let requests = registry.requests();
    let with_token = requests.iter().filter(|request| request.headers.contains_key("authorization")).count();
    assert_eq!(with_token, if is_sent { requests.len() } else { 0 });
    if !is_sent {
        bridge.logs(Service::Normalizer, "REGISTRY_TOKEN_NAMESPACES").await;
    }
}

#[rstest]
#[case::metadata("169.254.169.254:80", "ALLOW_LOOPBACK", "true", "is a link-local or metadata address")]
#[case::own_host("127.0.0.1:9", "ALLOW_LOOPBACK", "false", "is the bridge's own host")]
#[case::own_host_in_a_pod("127.0.0.1:9", "POD_IP", "192.0.2.1", "is the bridge's own host")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_found_address_that_may_not_be_asked_is_no_absent_registry(
    #[case] address: &str,
    #[case] setting: &str,
    #[case] value: &str,
    #[case] expected: &str,
) {
    let kube = KubeApi::builder().with_kserve().namespace(REGISTRIES).start().await;
    kube.apply(registry_service(REGISTRIES, "first", "model-registry", "http-api", Some(address)));
    let sources = Sources { registries: Vec::new(), kube: Some(kube) };
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    bridge.set(Service::Normalizer, setting, value);
    bridge.start(Service::Storage);
    bridge.start(Service::Normalizer);
    bridge.logs(Service::Normalizer, expected).await;
    bridge.logs(Service::Normalizer, "registries cannot be found for certain, nothing is removed").await;
}
