//! Registries and clusters as people write them, and as nobody should: what the properties of the projection are held
//! against, and what a real Backstage is shown of it (`tests/tests/backstage`).

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Names and texts as people write them, and as nobody should.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-bA-B_. -]{0,5}",
        3 => "\\PC{0,30}",
        2 => any::<String>(),
        1 => "[a-z0-9-]{58,70}",
        1 => "[\\u{0}-\\u{20}\\u{85}\\u{a0}\\u{2028}\\u{2029}\\u{feff}\\u{fffe}a:/#-]{0,12}",
        1 => prop::sample::select(vec![
            "null", "true", "yes", "no", "on", "~", "0x1f", "0o7", "1e3", "1_000", ".inf", "12:30:45", "2025-04-03", "---",
            "...", "- a", "a: b", "a #b", "#a", "!tag", "&a", "*a", "%YAML", "{}", "[]", "\"", "'", "|", ">", "=", "<<",
            "user:jane", "group:default/ml", "User:Default/x", "kube:admin", "a/b/c", "::", "模型", "İ", "ſ", "K", "\t", "\r\n",
            "2025-04-03T12:00:00.000Z", "apache-2.0", "GraphQL",
        ]).prop_map(str::to_owned),
    ]
}

fn url() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => text(),
        3 => "(https?|s3|oci|hf|pvc|git)://[a-z]{1,4}(\\.example)?(:[0-9]{1,6})?(/\\PC{0,8})?(\\?\\PC{0,4})?(#\\PC{0,4})?",
        1 => "(https|oci|s3)://\\PC{0,10}",
        2 => prop::sample::select(vec![
            "https://", "oci://", "s3:///", "s3://?", "https://例え.example/パス?問=い#片", "https://u:p@h.example/", "oci://u@h/x",
            "javascript:alert(1)", "data:text/html,x", "https://h.example/%zz%", "https://h.example/a|b^c`d{e}", "HTTPS://H.example",
            "https://[::1]:8080/[x]", "https://h.example/a#b#c", "https:\\\\h.example\\a", "oci://[", "https://h.example:99999/",
            "s3://bucket/a\\b", "http://a.svc.cluster.local:80/", "https://h.example/\"x\"<y>",
        ]).prop_map(str::to_owned),
    ]
}

const KNOWN: &[&str] = &[
    "Owner",
    "Lifecycle",
    "Ethics",
    "How to use",
    "Support",
    "Training",
    "Usage",
    "Homepage URL",
    "API Spec",
    "API Type",
    "License",
    "TechDocs",
    "Provider",
    "Registered from",
    "Source model",
    "Source model version",
    "_lastModified",
    "_registeredFromCatalogRepositoryName",
    "rhdh.modelcatalog.io/model-name",
    "Description",
];

fn property() -> impl Strategy<Value = (String, Value)> {
    let key = prop_oneof![3 => prop::sample::select(KNOWN).prop_map(str::to_owned), 2 => text()];
    let value = prop_oneof![
        4 => text().prop_map(|text| json!({"metadataType": "MetadataStringValue", "string_value": text})),
        2 => url().prop_map(|text| json!({"metadataType": "MetadataStringValue", "string_value": text})),
        1 => any::<i64>().prop_map(|number| json!({"metadataType": "MetadataIntValue", "int_value": number.to_string()})),
        1 => any::<bool>().prop_map(|flag| json!({"metadataType": "MetadataBoolValue", "bool_value": flag})),
        1 => any::<f64>().prop_map(|number| json!({"metadataType": "MetadataDoubleValue", "double_value": number})),
    ];
    (key, value)
}

fn map<T: Into<Value>>(pairs: Vec<(String, T)>) -> Value {
    pairs.into_iter().map(|(key, value)| (key, value.into())).collect::<Map<_, _>>().into()
}

fn custom_properties() -> impl Strategy<Value = Value> {
    prop::collection::vec(property(), 0..6).prop_map(map)
}

fn state() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["LIVE", "LIVE", "LIVE", "ARCHIVED"])
}

fn time() -> impl Strategy<Value = String> {
    (0..3u8).prop_map(|time| time.to_string())
}

fn model() -> impl Strategy<Value = Value> {
    (text(), text(), text(), (text(), url()), state(), custom_properties()).prop_map(
        |(name, description, owner, (license, link), state, properties)| {
            json!({
                "name": name, "description": description, "owner": owner, "license": license, "licenseLink": link,
                "state": state, "customProperties": properties,
            })
        },
    )
}

fn version() -> impl Strategy<Value = (usize, Value)> {
    (0..4usize, text(), text(), state(), time(), custom_properties()).prop_map(
        |(model, name, description, state, time, properties)| {
            let version = json!({
                "name": name, "description": description, "state": state, "registeredModelId": model.to_string(),
                "createTimeSinceEpoch": time, "customProperties": properties,
            });
            (model, version)
        },
    )
}

fn artifact() -> impl Strategy<Value = Value> {
    (url(), time(), state(), "[ab]{0,1}", "[ab&/ ]{0,2}", custom_properties()).prop_map(
        |(uri, time, state, class, name, properties)| {
            json!({
                "uri": uri, "createTimeSinceEpoch": time, "state": state, "modelSourceClass": class, "modelSourceGroup": name,
                "modelSourceName": name, "customProperties": properties,
            })
        },
    )
}

fn record() -> impl Strategy<Value = Value> {
    (service_name(), 0..4usize, 0..6usize, time()).prop_map(|(name, model, version, time)| {
        json!({
            "name": format!("{name}/1"), "registeredModelId": model.to_string(), "modelVersionId": version.to_string(),
            "servingEnvironmentId": "1", "desiredState": "DEPLOYED", "createTimeSinceEpoch": time,
        })
    })
}

fn with_ids(records: Vec<Value>) -> Vec<Value> {
    let with_id = |(id, mut record): (usize, Value)| {
        record["id"] = json!(id.to_string());
        record
    };
    records.into_iter().enumerate().map(with_id).collect()
}

/// A catalog has one card, or none, of a model.
fn without_doubles(cards: Vec<Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    cards.into_iter().filter(|card| seen.insert((card["source"].to_string(), card["name"].to_string()))).collect()
}

fn registry() -> impl Strategy<Value = Value> {
    let models = prop::collection::vec(model(), 1..4);
    let versions = prop::collection::vec((version(), prop::collection::vec(artifact(), 0..3)), 1..6);
    let card = ("[ab]", "[ab&/ ]{0,2}", prop::option::of("\\PC{1,5}"));
    let card = card
        .prop_map(|(source, name, readme)| json!({"source": source, "group": name, "name": name, "readme": readme}));
    (models, versions, prop::collection::vec(record(), 0..4), prop::collection::vec(card, 0..4)).prop_map(
        |(models, versions, records, cards)| {
            let (versions, artifacts): (Vec<_>, Vec<_>) =
                versions.into_iter().map(|((_, version), a)| (version, a)).unzip();
            let artifacts = artifacts.into_iter().enumerate().map(|(id, list)| (id.to_string(), with_ids(list)));
            json!({
                "registered_models": with_ids(models),
                "model_versions": with_ids(versions),
                "model_artifacts": map(artifacts.collect()),
                "inference_services": with_ids(records),
                "serving_environments": [{"id": "1", "name": "a"}],
                "cards": without_doubles(cards),
            })
        },
    )
}

fn service_name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-b](-[a-b]){0,2}", 1 => "[a-z]{60,70}", 1 => "[a-b]\\PC{0,5}"]
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let ids = (0..4usize, 0..6usize).prop_map(|(model, version)| {
        let label = |name: &str, id: usize| (format!("modelregistry.opendatahub.io/{name}"), id.to_string());
        vec![label("registered-model-id", model), label("model-version-id", version)]
    });
    (prop::option::of(ids), prop::collection::vec((text(), text()), 0..3))
        .prop_map(|(ids, other)| other.into_iter().chain(ids.into_iter().flatten()).collect())
}

fn service() -> impl Strategy<Value = Value> {
    let annotation = prop_oneof![
        3 => (prop::sample::select(KNOWN), prop::sample::select(vec!["modelcatalogbridge.rhdh.io/", "rhdh.io/"]))
            .prop_map(|(property, prefix)| format!("{prefix}{}", property.to_lowercase().replace(' ', ""))),
        1 => prop::sample::select(vec!["openshift.io/display-name", "openshift.io/description"]).prop_map(str::to_owned),
        1 => text(),
    ];
    let annotations = prop::collection::vec((annotation, prop_oneof![text(), url()]), 0..5);
    let ready = prop::sample::select(vec!["True", "True", "True", "False"]);
    ("[a-b]", service_name(), labels(), annotations, url(), url(), ready, text()).prop_map(
        |(namespace, name, labels, annotations, url, storage, ready, format)| {
            json!({
                "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
                "metadata": {"namespace": namespace, "name": name, "labels": map(labels), "annotations": map(annotations)},
                "spec": {"predictor": {"model": {"modelFormat": {"name": format}, "storageUri": storage}}},
                "status": {"url": url, "conditions": [{"type": "Ready", "status": ready}]},
            })
        },
    )
}

/// A language model with adapters, in the same namespaces and of the same names as other services.
fn llm_service() -> impl Strategy<Value = Value> {
    let adapters = prop::collection::vec((text(), url()), 0..3).prop_map(|adapters| {
        adapters.into_iter().map(|(name, uri)| json!({"name": name, "uri": uri})).collect::<Vec<_>>()
    });
    let addresses = prop::sample::select(vec!["gateway-external", "gateway-internal", "internal"]);
    ("[a-b]", service_name(), labels(), text(), adapters, addresses, url(), url()).prop_map(
        |(namespace, name, labels, model, adapters, address, url, status)| {
            json!({
                "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
                "metadata": {"namespace": namespace, "name": name, "labels": map(labels)},
                "spec": {"model": {"name": model, "uri": url, "lora": {"adapters": adapters}}},
                "status": {
                    "url": status, "addresses": [{"name": address, "url": url}],
                    "conditions": [{"type": "Ready", "status": "True"}],
                },
            })
        },
    )
}

/// Services, each with one predictor Service or none; no two of one namespace and name, as in a cluster.
fn cluster() -> impl Strategy<Value = Value> {
    let port = prop::option::of((any::<bool>(), 1..9000u16, 1..9000u16));
    let services = prop::collection::vec((service(), port), 0..5);
    (services, prop::collection::vec(llm_service(), 0..3)).prop_map(|(services, llm_services)| {
        let mut seen = BTreeSet::new();
        let mut objects = Vec::new();
        for service in llm_services {
            let metadata = &service["metadata"];
            if seen.insert((metadata["namespace"].to_string(), metadata["name"].to_string(), "llm")) {
                objects.push(service);
            }
        }
        for (service, port) in services {
            let metadata = service["metadata"].clone();
            if !seen.insert((metadata["namespace"].to_string(), metadata["name"].to_string(), "any")) {
                continue;
            }
            objects.push(service);
            let Some((headless, port, target)) = port else { continue };
            let owner = json!([{"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "name": metadata["name"], "uid": ""}]);
            let cluster_ip = if headless { "None" } else { "10.0.0.1" };
            for suffix in ["predictor", "canary-predictor"] {
                let name = format!("{}-{suffix}", metadata["name"].as_str().unwrap());
                objects.push(json!({
                    "apiVersion": "v1", "kind": "Service",
                    "metadata": {"namespace": metadata["namespace"], "name": name, "ownerReferences": owner},
                    "spec": {"clusterIP": cluster_ip, "ports": [{"port": port, "targetPort": target}]},
                }));
            }
        }
        json!(objects)
    })
}

/// Two registries at most, and a cluster.
pub(crate) fn world() -> impl Strategy<Value = Value> {
    (registry(), prop::option::of(registry()), cluster()).prop_map(|(one, two, cluster)| {
        let mut registries = json!({"one": one});
        if let Some(two) = two {
            registries["two"] = two;
        }
        json!({"registries": registries, "clusters": {"local": cluster}})
    })
}
