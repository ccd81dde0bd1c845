//! The registries and the cluster of a test, what people do in them, and the truth that follows.
//!
//! The truth is worked out here anew, in the plainest way, for plain names only: it shares no code with the normalizer.

use std::collections::BTreeMap;

use model_catalog::render::Format;
use sample_registry::Kind;
use serde_json::{Value, json};
use testkit::kube::KubeApi;
use testkit::kube::samples::InferenceService;
use testkit::registry::ScriptedRegistry;

use crate::{Shown, ShownServer};

const OWNER: &str = "rhdh-rhoai-bridge";
const LABEL: &str = "modelregistry.opendatahub.io";

/// What a bridge observes.
#[derive(Debug)]
pub struct Sources {
    /// Registries, by the name that `MR_URL` gives them.
    pub registries: Vec<(String, ScriptedRegistry)>,
    /// The cluster, where there is one.
    pub kube: Option<KubeApi>,
}

/// Ids of a model version in the first registry.
#[derive(Debug, Clone)]
pub struct Version {
    /// The registered model's id.
    pub model: String,
    /// The version's id.
    pub version: String,
}

impl Sources {
    /// One registry called `main`, and a cluster with KServe.
    pub async fn with_cluster() -> Self {
        let kube = KubeApi::builder().with_kserve().namespace("ai-models").start().await;
        Self { registries: vec![("main".to_owned(), ScriptedRegistry::start().await)], kube: Some(kube) }
    }

    /// One registry called `main`, no cluster.
    pub async fn without_cluster() -> Self {
        Self { registries: vec![("main".to_owned(), ScriptedRegistry::start().await)], kube: None }
    }

    /// The value of `MR_URL`.
    pub fn named_registries(&self) -> String {
        let named: Vec<String> =
            self.registries.iter().map(|(name, registry)| format!("{name}={}", registry.url())).collect();
        named.join(",")
    }

    /// The first registry.
    pub fn registry(&self) -> &ScriptedRegistry {
        &self.registries[0].1
    }

    /// The cluster.
    pub fn kube(&self) -> &KubeApi {
        self.kube.as_ref().expect("a cluster")
    }

    // --- What people do ---

    /// Registers a model with one version, which has an artifact.
    pub fn register(&self, model: &str, version: &str) -> Version {
        let registry = self.registry().edit();
        let id = registry.create_model(model, json!({"description": format!("The model {model}.")}));
        self.register_version(&id, version)
    }

    /// Registers a version of a model that is there.
    pub fn register_version(&self, model: &str, version: &str) -> Version {
        let registry = self.registry().edit();
        let id = registry.create_version(model, version, json!({"description": format!("Version {version}.")}));
        let uri = format!("oci://registry.example.com/models/{id}:{version}");
        registry.create_artifact(&id, "weights", json!({"uri": uri}));
        Version { model: model.to_owned(), version: id }
    }

    /// Registers so many models called `<prefix>-<number>`.
    pub fn register_many(&self, prefix: &str, count: usize) -> Vec<Version> {
        (0..count).map(|number| self.register(&format!("{prefix}-{number}"), "v1")).collect()
    }

    /// Describes a version otherwise.
    pub fn describe(&self, version: &Version, text: &str) {
        self.registry().edit().update_version(&version.version, json!({"description": text})).unwrap();
    }

    /// A ready InferenceService in `ai-models` that serves a registered version, by its labels.
    pub fn serve(&self, version: &Version, name: &str) -> Value {
        self.kube().apply(serving(version, name).build())
    }

    /// A ready InferenceService in `ai-models` of which no registry knows.
    pub fn serve_unregistered(&self, name: &str) -> Value {
        self.kube().apply(InferenceService::new("ai-models", name).build())
    }

    /// Replaces an InferenceService in `ai-models` by one made from the same sample.
    pub fn replace(&self, service: InferenceService) -> Value {
        self.kube().apply(service.build())
    }

    // --- What follows ---

    /// What should be served, for registries and services with plain names.
    pub fn truth(&self, format: Format) -> BTreeMap<String, Shown> {
        let services = self.kube.as_ref().map(inference_services).unwrap_or_default();
        let registries: Vec<Records> = self.registries.iter().map(|(_, registry)| Records::of(registry)).collect();
        let mut truth = BTreeMap::new();
        for records in &registries {
            for (model, version) in records.live_versions() {
                let (first, second) = (text(model, "name"), text(version, "name"));
                let server = services
                    .iter()
                    .find(|service| records.serves(service, model, version) && is_ready(service))
                    .map(shown_server);
                let descriptions = [text(model, "description"), text(version, "description")];
                let descriptions: Vec<&str> = descriptions.into_iter().filter(|text| !text.is_empty()).collect();
                let shown = Shown {
                    name: format!("{first}-{second}"),
                    description: descriptions.join("\n"),
                    owner: OWNER.to_owned(),
                    artifact: records.artifact(version),
                    server,
                };
                truth.insert(format!("/{first}/{second}/{}", format.file_name()), shown);
            }
        }
        let is_known = |service: &&Value| registries.iter().any(|records| records.knows(service));
        for service in services.iter().filter(|service| !is_known(service) && is_ready(service)) {
            let (first, second) = (text(&service["metadata"], "namespace"), text(&service["metadata"], "name"));
            let shown = Shown {
                name: format!("{first}-{second}"),
                description: format!("InferenceService {second} in namespace {first}"),
                owner: OWNER.to_owned(),
                artifact: service["spec"]["predictor"]["model"]["storageUri"].as_str().map(str::to_owned),
                server: Some(shown_server(service)),
            };
            truth.insert(format!("/{first}/{second}/{}", format.file_name()), shown);
        }
        truth
    }

    /// The URIs of [`Self::truth`].
    pub fn true_uris(&self, format: Format) -> Vec<String> {
        self.truth(format).into_keys().collect()
    }
}

/// A ready InferenceService in `ai-models` whose labels name a version.
pub(crate) fn serving(version: &Version, name: &str) -> InferenceService {
    InferenceService::new("ai-models", name)
        .label(&format!("{LABEL}/registered-model-id"), &version.model)
        .label(&format!("{LABEL}/model-version-id"), &version.version)
}

impl Version {
    /// A ready InferenceService in `ai-models` that serves this version.
    pub fn service(&self, name: &str) -> InferenceService {
        serving(self, name)
    }
}

fn inference_services(kube: &KubeApi) -> Vec<Value> {
    let installed = kube
        .list_objects("CustomResourceDefinition")
        .iter()
        .any(|crd| crd["metadata"]["name"] == "inferenceservices.serving.kserve.io");
    if installed { kube.list_objects("InferenceService") } else { Vec::new() }
}

fn is_ready(service: &Value) -> bool {
    let conditions = service["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |kind: &str| conditions.iter().any(|c| c["type"] == kind && c["status"] == "True");
    let stopped = service["metadata"]["annotations"]["serving.kserve.io/stop"] == "true";
    is("Ready") && !is("Stopped") && !stopped
}

fn shown_server(service: &Value) -> ShownServer {
    ShownServer {
        url: service["status"]["url"].as_str().map(str::to_owned),
        authentication: service["metadata"]["annotations"]["security.opendatahub.io/enable-auth"] == "true",
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// All records of a registry.
struct Records {
    models: Vec<Value>,
    versions: Vec<Value>,
    artifacts: BTreeMap<String, String>,
    services: Vec<Value>,
    environments: Vec<Value>,
}

impl Records {
    fn of(registry: &ScriptedRegistry) -> Self {
        let registry = registry.edit();
        let all = |kind: Kind| -> Vec<Value> {
            let ids = Kind::ALL.iter().map(|kind| registry.count(*kind)).sum::<usize>() + 1;
            (1..=ids).filter_map(|id| registry.get(kind, &id.to_string())).collect()
        };
        // Those of the harness name their version in their address.
        let artifacts = all(Kind::ModelArtifact).into_iter().filter_map(|artifact| {
            let uri = text(&artifact, "uri").to_owned();
            let version = uri.rsplit('/').next()?.split(':').next()?.to_owned();
            Some((version, uri))
        });
        Self {
            artifacts: artifacts.collect(),
            models: all(Kind::RegisteredModel),
            versions: all(Kind::ModelVersion),
            services: all(Kind::InferenceService),
            environments: all(Kind::ServingEnvironment),
        }
    }

    fn live_versions(&self) -> impl Iterator<Item = (&Value, &Value)> {
        let live = |value: &Value| value["state"] == "LIVE";
        self.versions.iter().filter(move |version| live(version)).filter_map(move |version| {
            let model = self.models.iter().find(|model| model["id"] == version["registeredModelId"])?;
            live(model).then_some((model, version))
        })
    }

    fn artifact(&self, version: &Value) -> Option<String> {
        self.artifacts.get(text(version, "id")).cloned()
    }

    /// Whether a service is one of that version: by its labels or by the registry's record.
    fn serves(&self, service: &Value, model: &Value, version: &Value) -> bool {
        let labels = &service["metadata"]["labels"];
        let labelled = labels[format!("{LABEL}/registered-model-id")] == model["id"]
            && labels[format!("{LABEL}/model-version-id")] == version["id"];
        labelled || self.records_of(service).any(|record| record["modelVersionId"] == version["id"])
    }

    fn knows(&self, service: &Value) -> bool {
        let labels = &service["metadata"]["labels"];
        let labelled = self.versions.iter().any(|version| {
            labels[format!("{LABEL}/registered-model-id")] == version["registeredModelId"]
                && labels[format!("{LABEL}/model-version-id")] == version["id"]
        });
        labelled || self.records_of(service).next().is_some()
    }

    fn records_of<'a>(&'a self, service: &'a Value) -> impl Iterator<Item = &'a Value> {
        self.services.iter().filter(move |record| {
            let environment = self.environments.iter().find(|e| e["id"] == record["servingEnvironmentId"]);
            record["desiredState"] == "DEPLOYED"
                && environment.is_some_and(|e| e["name"] == service["metadata"]["namespace"])
                && text(record, "name").split('/').next() == service["metadata"]["name"].as_str()
        })
    }
}
