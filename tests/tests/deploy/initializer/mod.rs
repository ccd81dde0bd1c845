//! The storage initializer's kit: what its manifests name is there, it is confined, and in the pods that KServe would make of
//! it, it fetches models from our own registry with the rights of the manifests.

mod pods;

use std::path::Path;

use clap::CommandFactory as _;
use regex::Regex;
use serde_json::{Value, json};
use storage_initializer::settings::Settings;

use crate::containers::variables;
use crate::manifests::{Manifests, items, render, root, text, texts};

/// For a registry that asks for nothing.
const PLAIN_REGISTRY: &str = "deploy/storage-initializer/kserve";
/// With everything for OpenShift, and an operator's own image.
const OPENSHIFT: &str = "tests/deploy/everything/storage-initializer";
/// With the account's token.
const WITH_TOKEN: &str = "tests/deploy/everything/storage-initializer-token";
/// With KServe's authorities.
const KSERVE_CA: &str = "tests/deploy/everything/storage-initializer-ca";
const SAMPLE: &str = "deploy/storage-initializer/sample";
const WITHOUT_KSERVE: &str = "deploy/storage-initializer/plain";

/// All that have the container.
const CONTAINERS: [&str; 5] = [PLAIN_REGISTRY, WITH_TOKEN, KSERVE_CA, OPENSHIFT, WITHOUT_KSERVE];

/// The registries of `deploy/model-registry` that the addresses are of.
const OUR_REGISTRY: &str = "tests/deploy/everything/registry";
const OUR_REGISTRY_ON_OPENSHIFT: &str = "tests/deploy/everything/registry-openshift";
const OPERATORS_REGISTRY: &str = "deploy/model-registry/mariadb";

/// The spec by which KServe knows the container.
fn storage_container(manifests: &Manifests) -> &Value {
    let mut found = manifests.of_kind("ClusterStorageContainer");
    let spec = &found.next().expect("a ClusterStorageContainer")["spec"];
    assert!(found.next().is_none(), "one of them");
    spec
}

/// The container, wherever it is, and what its pod says of security.
fn container(directory: &str) -> Option<(Value, Value)> {
    let manifests = render(directory)?;
    if directory != WITHOUT_KSERVE {
        return Some((storage_container(&manifests)["container"].clone(), Value::Null));
    }
    let pod = &manifests.of_kind("Deployment").next().expect("a Deployment")["spec"]["template"]["spec"];
    Some((pod["initContainers"][0].clone(), pod["securityContext"].clone()))
}

/// A variable's value.
fn variable(container: &Value, name: &str) -> Option<String> {
    let variable = items(&container["env"]).find(|variable| variable["name"] == name)?;
    Some(text(&variable["value"]))
}

/// Whether KServe gives an URI to this container.
fn takes(spec: &Value, uri: &str) -> bool {
    items(&spec["supportedUriFormats"]).any(|format| match (format["prefix"].as_str(), format["regex"].as_str()) {
        (Some(prefix), _) => uri.starts_with(prefix),
        (None, Some(regex)) => Regex::new(regex).unwrap().is_match(uri),
        (None, None) => false,
    })
}

#[test]
fn the_container_is_our_image_and_confined() {
    for directory in CONTAINERS {
        let Some((container, of_pod)) = container(directory) else { return };
        assert_eq!(container["name"], "storage-initializer", "{directory}: KServe knows it by its name");
        let name = if directory == OPENSHIFT {
            "registry.example.com/platform/storage-initializer"
        } else {
            "registry.invalid/model-catalog-bridge/storage-initializer"
        };
        assert_eq!(container["image"], format!("{name}:{}", env!("CARGO_PKG_VERSION")), "{directory}");
        let own = &container["securityContext"];
        let either = |field: &str| if own[field].is_null() { of_pod[field].clone() } else { own[field].clone() };
        assert_eq!(either("runAsNonRoot"), true, "{directory}");
        assert_eq!(either("seccompProfile")["type"], "RuntimeDefault", "{directory}");
        assert!(either("runAsUser").is_null(), "{directory}: OpenShift and Istio have users of their own for it");
        assert_eq!(own["readOnlyRootFilesystem"], true, "{directory}");
        assert_eq!(own["allowPrivilegeEscalation"], false, "{directory}");
        assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}), "{directory}");
        for wanted in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(container["resources"].pointer(wanted).is_some_and(Value::is_string), "{directory}: {wanted}");
        }
    }
    assert!(root().join("Dockerfiles/storage-initializer.Dockerfile").is_file(), "`make images` builds it");
}

/// Where the cluster, and KServe, mount what is in no volume of the kit's.
const MOUNTED_BY_OTHERS: [&str; 2] = ["/var/run/secrets/kubernetes.io/serviceaccount/", "/etc/ssl/custom-certs/"];

#[test]
fn every_variable_is_a_setting_and_every_file_is_mounted() {
    let known = variables(&Settings::command());
    for directory in CONTAINERS {
        let Some((container, _)) = container(directory) else { return };
        let mounts: Vec<String> = items(&container["volumeMounts"]).map(|mount| text(&mount["mountPath"])).collect();
        for variable in items(&container["env"]) {
            let (name, value) = (text(&variable["name"]), text(&variable["value"]));
            assert!(known.contains(&name), "{directory}: {name} is no setting");
            let is_mounted = mounts.iter().any(|mount| Path::new(&value).starts_with(mount))
                || MOUNTED_BY_OTHERS.iter().any(|place| value.starts_with(place));
            assert!(!value.starts_with('/') || is_mounted, "{directory}: {name}={value}");
        }
    }
}

/// The address is that of the registry's Service, by the scheme that its port speaks.
#[test]
fn the_registry_is_where_the_container_looks_for_it() {
    let places =
        [(PLAIN_REGISTRY, OUR_REGISTRY), (WITHOUT_KSERVE, OUR_REGISTRY), (OPENSHIFT, OUR_REGISTRY_ON_OPENSHIFT)];
    for (directory, registry) in places {
        let (Some((container, _)), Some(registry)) = (container(directory), render(registry)) else { return };
        let scheme = variable(&container, "MODEL_REGISTRY_SCHEME").unwrap_or_else(|| "http".to_owned());
        let address = variable(&container, "MODEL_REGISTRY_BASE_URL").expect("an address");
        let service = registry.find("Service", "demo-registry").expect("the registry's Service");
        let host = format!("demo-registry.{}.svc", text(&service["metadata"]["namespace"]));
        let port = items(&service["spec"]["ports"]).find(|port| port["name"] == format!("{scheme}-api"));
        let port = port.unwrap_or_else(|| panic!("{directory}: the registry does not speak {scheme}"));
        assert_eq!(address, format!("{host}:{}", port["port"]), "{directory}");
        let named = variable(&container, "MODEL_REGISTRY_SERVICE_NAME");
        assert_eq!(named.as_deref().unwrap_or("demo-registry"), "demo-registry", "{directory}");
    }
}

#[test]
fn kserve_gives_it_the_uris_that_the_readme_says() {
    let (Some(registry), Some(every)) = (render(PLAIN_REGISTRY), render(OPENSHIFT)) else { return };
    let others = [
        "s3://bucket/model",
        "gs://bucket/model",
        "abfs://container@account.dfs.core.windows.net/model",
        "abfss://container@account.dfs.core.windows.net/model",
        "az://container/model",
        "hf://owner/model",
        "oci://registry.example.com/models/mnist:12",
        "https://models.example.com/mnist.onnx",
        "http://models.example.com/mnist.onnx",
        "https://account.blob.core.windows.net/container/model",
        "/mnt/pvc/model",
    ];
    for spec in [storage_container(&registry), storage_container(&every)] {
        assert_eq!(spec["workloadType"], "initContainer");
        assert!(takes(spec, "model-registry://mnist/v12"));
        assert!(!takes(spec, "pvc://claim/model"), "KServe makes a path of it, or mounts it");
        assert!(!takes(spec, "hdfs://cluster/model"), "nobody fetches it");
    }
    for uri in others {
        assert!(!takes(storage_container(&registry), uri), "{uri} is KServe's own container's");
        assert!(takes(storage_container(&every), uri), "{uri}");
    }
}

/// The model is one that the registry's seeds register, so that the two kits fit together as they are.
#[test]
fn the_samples_serve_a_model_that_is_registered() {
    let (Some(sample), Some((plain, _)), Some(kserve)) =
        (render(SAMPLE), container(WITHOUT_KSERVE), render(PLAIN_REGISTRY))
    else {
        return;
    };
    let seed = std::fs::read_to_string(root().join("deploy/model-registry/seed/models.json")).unwrap();
    let seed: Value = serde_json::from_str(&seed).unwrap();
    let (model, version) = (&seed["models"][0]["name"], &seed["models"][0]["versions"][0]["name"]);
    let uri = format!("model-registry://{}/{}", text(model), text(version));
    let service = sample.of_kind("InferenceService").next().expect("an InferenceService");
    assert_eq!(service["spec"]["predictor"]["model"]["storageUri"], uri);
    assert!(takes(storage_container(&kserve), &uri));
    assert_eq!(texts(&plain["args"]), [uri.as_str(), "/mnt/models"]);
    let runtime = sample.of_kind("ServingRuntime").next().expect("a ServingRuntime");
    assert_eq!(service["spec"]["predictor"]["model"]["runtime"], runtime["metadata"]["name"]);
}

/// The registry's network policy lets the samples' namespaces in, and theirs lets the container out to the registry.
#[test]
fn the_samples_reach_the_registry() {
    let (Some(registry), Some(sample), Some(plain)) = (render(OUR_REGISTRY), render(SAMPLE), render(WITHOUT_KSERVE))
    else {
        return;
    };
    let policy = registry.find("NetworkPolicy", "demo-registry").expect("a policy");
    let mut peers = items(&policy["spec"]["ingress"]).flat_map(|rule| items(&rule["from"]));
    let label = peers.find_map(|peer| {
        let wanted = &peer["namespaceSelector"]["matchLabels"]["modelcatalogbridge.rhdh.io/registers"];
        wanted.as_str().map(str::to_owned)
    });
    for manifests in [&sample, &plain] {
        let namespace = manifests.of_kind("Namespace").next().expect("a namespace");
        let given = &namespace["metadata"]["labels"]["modelcatalogbridge.rhdh.io/registers"];
        assert_eq!(given.as_str(), label.as_deref(), "{namespace}");
    }
    let deployment = plain.of_kind("Deployment").next().expect("a Deployment");
    let policy = &plain.of_kind("NetworkPolicy").next().expect("a policy")["spec"];
    assert_eq!(policy["podSelector"]["matchLabels"], deployment["spec"]["template"]["metadata"]["labels"]);
    let service = registry.find("Service", "demo-registry").unwrap();
    let way_out = items(&policy["egress"]).find(|rule| rule["to"].is_array()).expect("a way to the registry");
    let namespace = &way_out["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
    assert_eq!(*namespace, service["metadata"]["namespace"]);
    let allowed: Vec<&Value> = items(&way_out["ports"]).map(|port| &port["port"]).collect();
    for port in items(&service["spec"]["ports"]) {
        assert!(allowed.contains(&&port["port"]), "{port}");
    }
}

/// Both kinds of registry have the Role, and the account is the one that the model server runs as, with its token.
#[test]
fn the_samples_account_is_bound_to_the_registrys_users() {
    let (Some(sample), Some(ours), Some(operators)) =
        (render(SAMPLE), render(OUR_REGISTRY), render(OPERATORS_REGISTRY))
    else {
        return;
    };
    let bindings: Vec<&Value> = sample.of_kind("RoleBinding").collect();
    assert_eq!(bindings.len(), 1, "one right");
    let (binding, role) = (bindings[0], text(&bindings[0]["roleRef"]["name"]));
    for registry in [&ours, &operators] {
        let role = registry.find("Role", &role).unwrap_or_else(|| panic!("there is no Role {role}"));
        assert_eq!(role["metadata"]["namespace"], binding["metadata"]["namespace"]);
        let only = json!([{"apiGroups": [""], "resources": ["services"], "resourceNames": ["demo-registry"], "verbs": ["get"]}]);
        assert_eq!(role["rules"], only);
    }
    let service = sample.of_kind("InferenceService").next().expect("an InferenceService");
    let predictor = &service["spec"]["predictor"];
    assert_eq!(binding["subjects"][0]["name"], predictor["serviceAccountName"]);
    assert_eq!(binding["subjects"][0]["namespace"], service["metadata"]["namespace"]);
    let account = sample.find("ServiceAccount", &text(&predictor["serviceAccountName"])).expect("an account");
    assert_eq!(account["metadata"]["namespace"], service["metadata"]["namespace"]);
    assert_eq!(predictor["automountServiceAccountToken"], true, "the token is what the registry is sent");
}
