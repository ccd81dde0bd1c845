//! What the manifests name is there: settings, images, ports, labels, volumes, accounts; and each container is as confined
//! as the documentation says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use clap::CommandFactory as _;
use rstest::rstest;
use serde_json::{Value, json};

use crate::containers::{Container, SERVICES, settings, variables};
use crate::manifests::{APPLIED, EVERYTHING, Manifests, items, render, root, text, texts};

/// What is not in the manifests: what a cluster has in each namespace by itself, and Secrets that an operator makes.
const OF_OTHERS: [&str; 5] = [
    "kube-root-ca.crt",
    "openshift-service-ca.crt",
    "model-catalog-tokens",
    "model-catalog-backstage",
    "model-catalog-tls",
];

/// The component `tls`.
const WITH_TLS: &str = "tests/deploy/everything/tls";

/// Runs a check on each kustomization, and says which one it was that failed.
fn each(check: impl Fn(&Manifests)) {
    for directory in APPLIED.iter().chain([&EVERYTHING, &WITH_TLS]) {
        let Some(manifests) = render(directory) else { return };
        eprintln!("--- {directory}");
        check(&manifests);
    }
}

fn command(service: &str) -> clap::Command {
    match service {
        "normalizer" => normalizer::Settings::command(),
        "storage-rest" => storage_rest::Settings::command(),
        "location" => location::Settings::command(),
        other => panic!("{other} is none of the services"),
    }
}

/// Where a service listens, as the manifests tell it to.
fn port(manifests: &Manifests, service: &str) -> u16 {
    let environment = manifests.environment(&manifests.container(service));
    let address: SocketAddr = match service {
        "normalizer" => settings::<normalizer::Settings>(&environment).admin_address,
        "storage-rest" => settings::<storage_rest::Settings>(&environment).listen_address,
        _ => settings::<location::Settings>(&environment).listen_address,
    };
    address.port()
}

/// The containers of the bridge.
fn ours(manifests: &Manifests) -> Vec<Container<'_>> {
    let all = manifests.containers().into_iter();
    let ours: Vec<_> = all.filter(|container| SERVICES.contains(&container.name().as_str())).collect();
    assert_eq!(ours.len(), 3, "the three services");
    ours
}

/// The labels of pods: those that are here, and those that RHDH's operator gives.
fn pod_labels(manifests: &Manifests) -> Vec<Value> {
    let deployments =
        manifests.of_kind("Deployment").map(|object| object["spec"]["template"]["metadata"]["labels"].clone());
    let backstages = manifests
        .of_kind("Backstage")
        .map(|object| json!({"rhdh.redhat.com/app": format!("backstage-{}", text(&object["metadata"]["name"]))}));
    deployments.chain(backstages).collect()
}

fn has(labels: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().expect("labels");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn every_variable_is_a_setting_with_a_value_that_can_be_used() {
    let known: BTreeSet<String> = SERVICES.iter().flat_map(|service| variables(&command(service))).collect();
    each(|manifests| {
        for map in manifests.of_kind("ConfigMap").filter(|map| text(&map["metadata"]["name"]).contains("-settings")) {
            for name in map["data"].as_object().unwrap().keys() {
                assert!(known.contains(name), "{name} is a setting of no service");
            }
        }
        for container in ours(manifests) {
            let service = container.name();
            let known = variables(&command(&service));
            for variable in items(&container.spec["env"]) {
                let name = text(&variable["name"]);
                // For `$(POD_NAMESPACE)` in other values, too.
                assert!(known.contains(&name) || name == "POD_NAMESPACE", "{service} has no setting {name}");
            }
            let environment = manifests.environment(&container);
            match service.as_str() {
                "normalizer" => drop(settings::<normalizer::Settings>(&environment)),
                "storage-rest" => drop(settings::<storage_rest::Settings>(&environment)),
                _ => drop(settings::<location::Settings>(&environment)),
            }
        }
    });
}

#[test]
fn the_format_is_the_same_in_all_three() {
    each(|manifests| {
        let formats =
            ours(manifests).into_iter().map(|container| manifests.environment(&container)["NORMALIZER_FORMAT"].clone());
        let formats: BTreeSet<String> = formats.collect();
        assert_eq!(formats.len(), 1, "{formats:?}");
    });
}

#[test]
fn images_are_called_as_their_services_and_ports_are_those_on_which_they_listen() {
    each(|manifests| {
        for container in ours(manifests) {
            let service = container.name();
            let image = text(&container.spec["image"]);
            let (name, tag) = image.split_once(':').expect("an image with a tag");
            assert_eq!(name, format!("registry.invalid/model-catalog-bridge/{service}"), "nobody's");
            assert!(root().join(format!("Dockerfiles/{service}.Dockerfile")).is_file(), "`make images` builds it");
            assert_eq!(tag, env!("CARGO_PKG_VERSION"));
            let ports: Vec<&Value> = items(&container.spec["ports"]).collect();
            assert_eq!(ports.len(), 1, "{service}");
            assert_eq!(ports[0]["containerPort"], json!(port(manifests, &service)));
            let scheme = manifests.environment(&container).contains_key("TLS_CERT").then_some("HTTPS");
            for probe in ["livenessProbe", "readinessProbe"].map(|probe| &container.spec[probe]["httpGet"]) {
                assert!(probe.is_null() || probe["port"] == ports[0]["name"], "{service}: {probe}");
                assert!(probe.is_null() || probe["scheme"].as_str() == scheme, "{service}: {probe}");
            }
            assert_eq!(container.spec["livenessProbe"]["httpGet"]["path"], "/healthz", "{service}");
            let ready = &container.spec["readinessProbe"]["httpGet"]["path"];
            let is_alone = manifests.of_kind("Backstage").next().is_none();
            assert_eq!(ready.as_str(), is_alone.then_some("/readyz"), "{service}");
        }
    });
}

#[test]
fn every_container_is_confined() {
    each(|manifests| {
        for container in ours(manifests) {
            let name = container.name();
            let (own, pod) = (&container.spec["securityContext"], &container.pod["securityContext"]);
            let either = |field: &str| if own[field].is_null() { pod[field].clone() } else { own[field].clone() };
            assert_eq!(either("runAsNonRoot"), true, "{name}");
            assert_eq!(either("seccompProfile")["type"], "RuntimeDefault", "{name}");
            assert_eq!(own["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(own["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}), "{name}");
            // OpenShift gives each namespace users of its own.
            assert!(either("runAsUser").is_null(), "{name}");
            let resources = &container.spec["resources"];
            for wanted in
                [&resources["requests"]["cpu"], &resources["requests"]["memory"], &resources["limits"]["memory"]]
            {
                assert!(wanted.is_string(), "{name}: {resources}");
            }
        }
    });
}

#[test]
fn volumes_and_references_lead_to_objects_that_are_there() {
    each(|manifests| {
        let exists = |kind: &str, name: &Value| {
            name.is_null() || OF_OTHERS.iter().any(|other| name == other) || manifests.find(kind, &text(name)).is_some()
        };
        for container in ours(manifests) {
            let name = container.name();
            let volumes: BTreeMap<String, &Value> =
                items(&container.pod["volumes"]).map(|volume| (text(&volume["name"]), volume)).collect();
            for mount in items(&container.spec["volumeMounts"]) {
                assert!(volumes.contains_key(&text(&mount["name"])), "{name}: {mount}");
                assert_eq!(mount["readOnly"], true, "{name}: {mount}");
            }
            for volume in volumes.values() {
                for source in items(&volume["projected"]["sources"]).chain([*volume]) {
                    assert!(exists("ConfigMap", &source["configMap"]["name"]), "{name}: {source}");
                }
                assert!(exists("Secret", &volume["secret"]["secretName"]), "{name}: {volume}");
            }
            for source in items(&container.spec["envFrom"]) {
                assert!(exists("ConfigMap", &source["configMapRef"]["name"]), "{name}: {source}");
                assert!(exists("Secret", &source["secretRef"]["name"]), "{name}: {source}");
            }
            for variable in items(&container.spec["env"]) {
                let reference = &variable["valueFrom"]["secretKeyRef"];
                assert!(exists("Secret", &reference["name"]), "{name}: {variable}");
                assert!(reference.is_null() || reference["optional"] == true, "{name}: {variable} may be left out");
            }
            // A file that a setting names lies in a volume.
            let known = variables(&command(&name));
            for (variable, file) in manifests.environment(&container) {
                if !known.contains(&variable) {
                    continue;
                }
                let of_the_account = file.starts_with("/var/run/secrets/kubernetes.io/serviceaccount/");
                let is_mounted = items(&container.spec["volumeMounts"])
                    .any(|mount| std::path::Path::new(&file).starts_with(text(&mount["mountPath"])));
                assert!(!file.starts_with('/') || is_mounted || of_the_account, "{name}: {variable}={file}");
            }
        }
        for object in manifests.of_kind("Backstage") {
            let application = &object["spec"]["application"];
            for map in items(&application["appConfig"]["configMaps"]) {
                assert!(exists("ConfigMap", &map["name"]), "{map}");
            }
            let plugins = manifests.find("ConfigMap", &text(&application["dynamicPluginsConfigMapName"])).unwrap();
            assert!(plugins["data"]["dynamic-plugins.yaml"].is_string(), "what RHDH's operator asks for");
        }
    });
}

/// Also no empty one, which would take the place of what an operator has put there.
#[test]
fn no_secret_has_a_value() {
    each(|manifests| {
        for secret in manifests.of_kind("Secret") {
            let name = &secret["metadata"]["name"];
            assert_eq!(secret["type"], "kubernetes.io/service-account-token", "{name}: the cluster fills it in");
            assert!(secret["data"].is_null() && secret["stringData"].is_null(), "{name}");
        }
    });
}

#[test]
fn selectors_find_what_they_are_for() {
    each(|manifests| {
        let pods = pod_labels(manifests);
        let found = |wanted: &Value| pods.iter().filter(|labels| has(labels, wanted)).count();
        for deployment in manifests.of_kind("Deployment") {
            let spec = &deployment["spec"];
            assert!(has(&spec["template"]["metadata"]["labels"], &spec["selector"]["matchLabels"]));
            assert_eq!(found(&spec["selector"]["matchLabels"]), 1, "{}", deployment["metadata"]["name"]);
        }
        for service in manifests.of_kind("Service") {
            assert_eq!(found(&service["spec"]["selector"]), 1, "{}", service["metadata"]["name"]);
        }
        let budgets: Vec<usize> = manifests
            .of_kind("PodDisruptionBudget")
            .map(|budget| found(&budget["spec"]["selector"]["matchLabels"]))
            .collect();
        assert_eq!(budgets, vec![1; manifests.of_kind("Deployment").count()], "one for each");
        for monitor in manifests.of_kind("ServiceMonitor") {
            let wanted = &monitor["spec"]["selector"]["matchLabels"];
            let services = manifests.of_kind("Service").filter(|service| has(&service["metadata"]["labels"], wanted));
            let ports: Vec<String> =
                services.flat_map(|service| items(&service["spec"]["ports"]).map(|port| text(&port["name"]))).collect();
            assert_eq!(ports, ["http", "http", "http"], "the endpoint's port");
            assert_eq!(texts(&monitor["spec"]["targetLabels"]), ["app.kubernetes.io/name"]);
        }
        for monitor in manifests.of_kind("PodMonitor") {
            assert_eq!(found(&monitor["spec"]["selector"]["matchLabels"]), 1);
            let named = ours(manifests).into_iter().map(|container| container.spec["ports"][0]["name"].clone());
            let asked = items(&monitor["spec"]["podMetricsEndpoints"]).map(|endpoint| endpoint["port"].clone());
            assert_eq!(asked.collect::<Vec<_>>(), named.collect::<Vec<_>>(), "one endpoint a container");
        }
        let ports: BTreeSet<u64> =
            SERVICES.iter().map(|service| u64::from(port(manifests, service))).chain([7007, 9464]).collect();
        for policy in manifests.of_kind("NetworkPolicy") {
            let (name, spec) = (&policy["metadata"]["name"], &policy["spec"]);
            assert!(found(&spec["podSelector"]["matchLabels"]) > 0, "{name} is for no pod");
            for rule in items(&spec["ingress"]) {
                for port in items(&rule["ports"]) {
                    assert!(ports.contains(&port["port"].as_u64().unwrap()), "{name}: {port}");
                }
            }
            let sides = items(&spec["ingress"]).flat_map(|rule| items(&rule["from"]));
            let sides = sides.chain(items(&spec["egress"]).flat_map(|rule| items(&rule["to"])));
            for peer in sides.filter(|peer| peer["podSelector"].is_object()) {
                assert_eq!(found(&peer["podSelector"]["matchLabels"]), 1, "{name}: {peer}");
            }
        }
    });
}

/// Every pod of the bridge is closed but for what a policy lets in.
#[test]
fn every_pod_has_a_network_policy() {
    each(|manifests| {
        for labels in pod_labels(manifests) {
            let is_closed = |policy: &Value| {
                has(&labels, &policy["spec"]["podSelector"]["matchLabels"])
                    && texts(&policy["spec"]["policyTypes"]).contains(&"Ingress".to_owned())
            };
            assert!(manifests.of_kind("NetworkPolicy").any(is_closed), "{labels}");
        }
    });
}

/// `(Service, port)` behind a URL of this namespace.
fn service_of(url: &str, namespace: &str) -> Option<(String, u64)> {
    let url = url::Url::parse(url).ok()?;
    let host = url.host_str()?;
    let name = host.strip_suffix(&format!(".{namespace}.svc")).unwrap_or(host);
    (!name.contains('.') && name != "localhost")
        .then(|| (name.to_owned(), u64::from(url.port_or_known_default().unwrap())))
}

#[test]
fn urls_and_ways_in_lead_to_services() {
    each(|manifests| {
        let namespace = manifests.namespace();
        let has_port = |name: &str, wanted: &dyn Fn(&Value) -> bool| {
            let service = manifests.find("Service", name).unwrap_or_else(|| panic!("there is no Service {name}"));
            assert!(items(&service["spec"]["ports"]).any(wanted), "{name}: {service}");
        };
        for service in manifests.of_kind("Service") {
            let selector = &service["spec"]["selector"];
            let container = ours(manifests).into_iter().find(|container| has(container.labels, selector)).unwrap();
            for port in items(&service["spec"]["ports"]) {
                let target = items(&container.spec["ports"]).find(|named| named["name"] == port["targetPort"]);
                assert_eq!(target.unwrap()["containerPort"], port["port"], "the same port in and out");
            }
        }
        let mut internal = 0;
        for container in ours(manifests) {
            for (variable, value) in manifests.environment(&container).iter().filter(|(name, _)| name.ends_with("_URL"))
            {
                let Some((name, port)) = service_of(value, &namespace) else { continue };
                eprintln!("{variable}={value}");
                has_port(&name, &|known| known["port"] == json!(port));
                internal += 1;
            }
        }
        let is_sidecar = manifests.of_kind("Backstage").next().is_some();
        assert_eq!(internal, if is_sidecar { 0 } else { 12 }, "four in what each of the three is given");
        for ingress in manifests.of_kind("Ingress") {
            let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
            has_port(&text(&backend["name"]), &|known| known["name"] == backend["port"]["name"]);
        }
        for route in manifests.of_kind("Route") {
            has_port(&text(&route["spec"]["to"]["name"]), &|known| {
                known["targetPort"] == route["spec"]["port"]["targetPort"]
            });
        }
    });
}

/// Whoever asks a service that serves HTTPS does so by HTTPS, and trusts who signed its certificate.
#[test]
fn with_tls_everybody_asks_by_https() {
    let Some(manifests) = render(WITH_TLS) else { return };
    for container in ours(&manifests) {
        let name = container.name();
        let environment = manifests.environment(&container);
        for (variable, url) in environment.iter().filter(|(name, _)| name.ends_with("_URL")) {
            assert!(url.starts_with("https://"), "{name}: {variable}={url}");
        }
        assert_eq!(environment["STORAGE_CA"], "/var/run/tls/ca.crt");
        assert_eq!(environment["LOCATION_CA"], "/var/run/tls/ca.crt");
        assert_eq!(environment["NORMALIZER_CA"], "/var/run/tls/ca.crt");
        let secret = items(&container.pod["volumes"]).find(|volume| volume["name"] == "tls").unwrap();
        assert_eq!(secret["secret"]["secretName"], "model-catalog-tls", "{name}");
    }
    let endpoint = &manifests.of_kind("ServiceMonitor").next().unwrap()["spec"]["endpoints"][0];
    assert_eq!(endpoint["scheme"], "https");
    assert_eq!(endpoint["tlsConfig"]["ca"]["secret"], json!({"name": "model-catalog-tls", "key": "ca.crt"}));
    let route = manifests.of_kind("Route").next().unwrap();
    assert_eq!(route["spec"]["tls"]["termination"], "reencrypt");
}

#[test]
fn accounts_roles_and_bindings_fit_together() {
    each(|manifests| {
        for binding in manifests.of_kind("RoleBinding").chain(manifests.of_kind("ClusterRoleBinding")) {
            let reference = &binding["roleRef"];
            let role = manifests.find(&text(&reference["kind"]), &text(&reference["name"]));
            let role = role.unwrap_or_else(|| panic!("{reference} is not there"));
            assert_eq!(role["metadata"]["namespace"], binding["metadata"]["namespace"], "{reference}");
            for subject in items(&binding["subjects"]) {
                let account = manifests.find("ServiceAccount", &text(&subject["name"])).expect("an account");
                assert_eq!(account["metadata"]["namespace"], subject["namespace"], "{subject}");
            }
        }
        for account in manifests.of_kind("ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "pods say so themselves");
        }
        for deployment in manifests.of_kind("Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            assert!(manifests.find("ServiceAccount", &text(&pod["serviceAccountName"])).is_some(), "{pod}");
        }
        // Secrets into which the cluster writes an account's token.
        for secret in
            manifests.of_kind("Secret").filter(|secret| secret["type"] == "kubernetes.io/service-account-token")
        {
            let account = text(&secret["metadata"]["annotations"]["kubernetes.io/service-account.name"]);
            assert!(manifests.find("ServiceAccount", &account).is_some(), "{account}");
        }
    });
}

/// Whose tokens a service takes are those that another one sends.
#[test]
fn writers_are_known_to_those_they_write_to() {
    let Some(manifests) = render(EVERYTHING) else { return };
    let environment = |service| manifests.environment(&manifests.container(service));
    for (writer, service) in [("normalizer", "storage-rest"), ("storage-rest", "location")] {
        let expected = format!("{}:model-catalog-{writer}", manifests.namespace());
        assert_eq!(environment(service)["BRIDGE_ALLOWED_SERVICE_ACCOUNTS"], expected);
        let container = manifests.container(writer);
        let token = items(&container.pod["volumes"]).find_map(|volume| {
            let token = &volume["projected"]["sources"][0]["serviceAccountToken"];
            (!token.is_null()).then(|| token.clone())
        });
        assert_eq!(token.unwrap()["audience"], json!(environment(service)["BRIDGE_TOKEN_AUDIENCE"]));
    }
}

#[rstest]
#[case::rhdh_1("deploy/sidecar/example/rhdh-1")]
#[case::rhdh_2("deploy/sidecar/example/rhdh-2")]
fn rhdh_is_pointed_at_the_location_in_its_own_pod(#[case] directory: &str) {
    let Some(manifests) = render(directory) else { return };
    let map = manifests.find("ConfigMap", "model-catalog-app-config").unwrap();
    let config: Value = serde_yaml::from_str(&text(&map["data"]["app-config.model-catalog.yaml"])).unwrap();
    let host = format!("localhost:{}", port(&manifests, "location"));
    assert_eq!(config["backend"]["reading"]["allow"][0]["host"], json!(host));
    let base = format!("http://{host}");
    let provider = config["catalog"]["providers"]["modelCatalog"].as_object().unwrap();
    let (id, entry) = provider.iter().next().unwrap();
    if directory.ends_with("rhdh-1") {
        assert_eq!(entry["baseUrl"], json!(base));
    } else {
        let endpoint = &config["discovery"]["endpoints"][0];
        assert_eq!(endpoint["target"], json!(base));
        assert_eq!(endpoint["plugins"], json!([id]));
        assert_eq!(manifests.environment(&manifests.container("normalizer"))["EMIT"], "ai-model-server-api");
        let kinds = texts(&config["catalog"]["rules"][0]["allow"]);
        for kind in ["Domain", "System", "Component", "API", "Resource", "AiModelServerAPI"] {
            assert!(kinds.contains(&kind.to_owned()), "{kind}: these rules take the place of RHDH's");
        }
    }
    let cards = manifests.environment(&manifests.container("normalizer"))["BRIDGE_URL"].clone();
    assert_eq!(cards, base, "model cards are on the same host and port");
    let sources = manifests.environment(&manifests.container("location"))["NORMALIZER_URL"].clone();
    assert_eq!(sources, format!("http://localhost:{}", port(&manifests, "normalizer")), "what location's page shows");
    let plugins = manifests.find("ConfigMap", "model-catalog-dynamic-plugins").unwrap();
    let plugins: Value = serde_yaml::from_str(&text(&plugins["data"]["dynamic-plugins.yaml"])).unwrap();
    for plugin in ["catalog-backend-module-model-catalog", "catalog-techdoc-url-reader-backend"] {
        assert!(items(&plugins["plugins"]).any(|known| text(&known["package"]).contains(plugin)), "{plugin}");
    }
    // A library, of which RHDH could make no dynamic plugin.
    let is_library = |known: &Value| text(&known["package"]).contains("catalog-model-ai-model-server");
    assert!(!items(&plugins["plugins"]).any(is_library));
}
