//! What an operator sets reaches the services, and what an operator's Backstage resource has is kept.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::Value;

use crate::containers::SERVICES;
use crate::manifests::{APPLIED, EVERYTHING, Manifests, items, render, text, texts};

/// What belongs to the manifests: pods' addresses, files in volumes, accounts. To change it is to patch the manifests.
const FIXED: [&str; 7] = [
    "POD_NAMESPACE",
    "POD_IP",
    "BRIDGE_TOKEN_FILE",
    "BRIDGE_ALLOWED_SERVICE_ACCOUNTS",
    "BRIDGE_TOKEN_AUDIENCE",
    "RHDH_TOKEN_FILE",
    // What makes RHDH's generation.
    "EMIT",
];

fn settings(manifests: &Manifests) -> &Value {
    let is_settings = |map: &&Value| text(&map["metadata"]["name"]).starts_with("model-catalog-settings-");
    let map = manifests.of_kind("ConfigMap").find(is_settings);
    &map.expect("a ConfigMap with settings, whose name changes with them")["data"]
}

#[rstest]
#[case::standalone("deploy/standalone/overlays/openshift", "tests/deploy/everything/settings")]
#[case::sidecar("deploy/sidecar/example/rhdh-2", "tests/deploy/everything/sidecar")]
fn each_setting_can_be_another_one(#[case] ours: &str, #[case] theirs: &str) {
    let (Some(ours), Some(theirs)) = (render(ours), render(theirs)) else { return };
    for (name, value) in settings(&ours).as_object().unwrap() {
        let fixed = FIXED.contains(&name.as_str());
        let other = &settings(&theirs)[name];
        assert!(fixed || (other.is_string() && other != value), "{name} is not another one: {other}");
    }
    for service in SERVICES {
        let environment = theirs.environment(&theirs.container(service));
        for (name, value) in settings(&theirs).as_object().unwrap() {
            assert_eq!(environment.get(name), Some(&text(value)), "{service}: {name}");
        }
    }
}

/// A container's own `env` wins over what an operator sets.
#[test]
fn what_a_container_sets_itself_belongs_to_the_manifests() {
    for directory in APPLIED.iter().chain([&EVERYTHING]) {
        let Some(manifests) = render(directory) else { return };
        for service in SERVICES {
            for variable in
                items(&manifests.container(service).spec["env"]).filter(|variable| variable["value"].is_string())
            {
                let name = text(&variable["name"]);
                assert!(FIXED.contains(&name.as_str()), "{directory}: {service}: {name}");
            }
        }
    }
}

#[test]
fn what_a_backstage_resource_has_is_kept() {
    let Some(manifests) = render("tests/deploy/everything/sidecar") else { return };
    let backstage = manifests.of_kind("Backstage").next().unwrap();
    let application = &backstage["spec"]["application"];
    let names = |list: &Value| items(list).map(|item| text(&item["name"])).collect::<BTreeSet<_>>();
    let expected =
        |own: &[&str], added: &[&str]| own.iter().chain(added).map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        names(&application["appConfig"]["configMaps"]),
        expected(&["own-app-config"], &["model-catalog-app-config"])
    );
    assert_eq!(application["dynamicPluginsConfigMapName"], "own-plugins");
    let pod = &backstage["spec"]["deployment"]["patch"]["spec"]["template"]["spec"];
    assert_eq!(names(&pod["containers"]), expected(&["backstage-backend", "own-sidecar"], &SERVICES));
    assert_eq!(names(&pod["volumes"]), expected(&["own-volume"], &["model-catalog-registry-ca"]));
    let ports: Vec<&Value> = items(&pod["containers"]).flat_map(|container| items(&container["ports"])).collect();
    let different: BTreeSet<u64> = ports.iter().map(|port| port["containerPort"].as_u64().unwrap()).collect();
    assert_eq!(different.len(), ports.len(), "{different:?}");
}

/// kustomize follows its own names into the Backstage resource.
#[test]
fn an_operators_own_tokens_and_images_reach_the_sidecar() {
    let Some(manifests) = render("tests/deploy/everything/sidecar") else { return };
    for service in SERVICES {
        let container = manifests.container(service);
        for variable in items(&container.spec["env"]) {
            if let Some(secret) = variable["valueFrom"]["secretKeyRef"]["name"].as_str() {
                let secret = manifests.find("Secret", secret).unwrap_or_else(|| panic!("there is no Secret {secret}"));
                let key = text(&variable["valueFrom"]["secretKeyRef"]["key"]);
                assert!(secret["data"].get(&key).is_some(), "{service}: {key}");
            }
        }
    }
    assert_eq!(manifests.container("normalizer").spec["image"], "registry.example.com/platform/normalizer:0.1.0");
}

/// The namespace that the overlay makes is the one in the address that others ask.
#[test]
fn the_public_address_is_in_the_bridges_namespace() {
    for directory in &APPLIED[..2] {
        let Some(manifests) = render(directory) else { return };
        let expected = format!("http://model-catalog-location.{}.svc:9090", manifests.namespace());
        assert_eq!(settings(&manifests)["BRIDGE_URL"], expected, "{directory}");
    }
}

/// Networks that know pods by their labels alone (Cilium) match no address block with them.
#[test]
fn the_normalizer_reaches_pods_and_the_api_server_on_any_network() {
    for directory in &APPLIED[..2] {
        let Some(manifests) = render(directory) else { return };
        let policy = manifests.find("NetworkPolicy", "model-catalog-normalizer").unwrap();
        let rules: Vec<&Value> = items(&policy["spec"]["egress"]).collect();
        let any_pod = |rule: &&Value| {
            rule["ports"].is_null() && items(&rule["to"]).any(|peer| peer["namespaceSelector"] == serde_json::json!({}))
        };
        assert!(rules.iter().any(any_pod), "{directory}: pods");
        let ports = |rule: &&Value| items(&rule["ports"]).filter_map(|port| port["port"].as_u64()).collect::<Vec<_>>();
        let anywhere: Vec<u64> = rules.iter().filter(|rule| rule["to"].is_null()).flat_map(ports).collect();
        assert!([443, 6443].iter().all(|port| anywhere.contains(port)), "{directory}: the API server: {anywhere:?}");
    }
}

/// Backstage in any namespace: a label there is all that it takes.
#[test]
fn a_namespace_may_be_let_read_by_a_label() {
    for directory in &APPLIED[..2] {
        let Some(manifests) = render(directory) else { return };
        let policy = manifests.find("NetworkPolicy", "model-catalog-location").unwrap();
        let peers: Vec<&Value> = items(&policy["spec"]["ingress"]).flat_map(|rule| items(&rule["from"])).collect();
        let label =
            |peer: &&Value| peer["namespaceSelector"]["matchLabels"]["modelcatalogbridge.rhdh.io/reads"] == "true";
        assert!(peers.iter().any(label), "{directory}");
        assert_eq!(texts(&policy["spec"]["policyTypes"]), ["Ingress", "Egress"]);
    }
}
