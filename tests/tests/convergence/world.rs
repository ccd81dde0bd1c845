//! The registry, the cluster, the services under test, and all that can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sample_registry::{EditError, Kind, SampleRegistry};
use serde_json::json;
use service::http_client::{TlsSettings, client};
use service::settings::try_parse_from;
use service::{Running, Shutdown};
use testkit::kube::samples::{InferenceService, condition};
use testkit::kube::{KubeApi, RecordedRequest};
use testkit::registry::{Matcher, ScriptedRegistry};
use testkit::wait::eventually;
use url::Url;

use crate::Op;
use crate::truth::{Names, Truth, healthy};
use crate::witness::Witness;

/// Longer than the longest backoff of anything that has to recover.
const DEADLINE: Duration = Duration::from_secs(90);
const NAMESPACE: &str = "ai-models";

pub(crate) struct World {
    registry: ScriptedRegistry,
    cluster: KubeApi,
    truth: Truth,
    witness: Witness,
    directory: tempfile::TempDir,
    normalizer: Option<Service>,
    storage: Option<Service>,
    models: Vec<String>,
    versions: Vec<(String, String)>,
    services: Vec<String>,
    created: usize,
}

struct Service {
    running: Running,
    shutdown: Shutdown,
}

impl Service {
    /// Ends it as SIGTERM would. What SIGKILL does takes a process of its own: see the system tests.
    async fn stop(self) {
        self.shutdown.trigger();
        self.running.task.await.unwrap().unwrap();
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        let registry = ScriptedRegistry::start().await;
        let cluster = KubeApi::builder().with_kserve().namespace(NAMESPACE).start().await;
        let directory = tempfile::tempdir().unwrap();
        let truth = Truth::default();
        let storage = storage(&directory).await;
        let http = client(&TlsSettings::default(), "the witness").unwrap();
        let url = Url::parse(&format!("http://{}", storage.running.address)).unwrap();
        let witness = Witness::start(url, truth.clone(), http).await;
        let mut world = Self {
            registry,
            cluster,
            truth,
            witness,
            directory,
            normalizer: None,
            storage: Some(storage),
            models: Vec::new(),
            versions: Vec::new(),
            services: Vec::new(),
            created: 0,
        };
        for _ in 0..3 {
            world.create_model(2);
        }
        world.tell();
        world.start_normalizer().await;
        world
    }

    fn sample(&self) -> SampleRegistry {
        self.registry.edit().clone()
    }

    fn tell(&self) {
        let shown: BTreeSet<Names> = healthy(self.registry.edit(), &self.cluster).into_keys().collect();
        self.truth.tell(&shown);
    }

    async fn start_normalizer(&mut self) {
        let kubeconfig = self.cluster.write_kubeconfig(self.directory.path());
        let flags = [
            "normalizer".to_owned(),
            "--admin-address=127.0.0.1:0".to_owned(),
            format!("--mr-url=lab={}", self.registry.url()),
            format!("--storage-url={}", self.witness.url),
            format!("--kubeconfig={}", kubeconfig.display()),
            "--polling-interval=150ms".to_owned(),
            "--resync-interval=900ms".to_owned(),
            "--probe-interval=40ms".to_owned(),
            "--format=JsonArrayFormat".to_owned(),
        ];
        let settings = try_parse_from(flags, |_| Some("".into())).unwrap();
        let shutdown = Shutdown::new();
        let running = normalizer::start(settings, shutdown.clone()).await.unwrap();
        self.normalizer = Some(Service { running, shutdown });
    }

    fn create_model(&mut self, versions: usize) {
        let sample = self.sample();
        self.created += 1;
        let model = sample.create_model(&format!("model-{}", self.created), json!({}));
        for _ in 0..versions {
            self.create_version(&model);
        }
        self.models.push(model);
    }

    fn create_version(&mut self, model: &str) {
        let sample = self.sample();
        self.created += 1;
        let version = sample.create_version(model, &format!("v{}", self.created), json!({}));
        sample.create_artifact(&version, "artifact", json!({"uri": "oci://registry.example.com/m:1"}));
        self.versions.push((model.to_owned(), version));
    }

    fn name(&self, kind: Kind, id: &str) -> String {
        self.registry.edit().get(kind, id).unwrap()["name"].as_str().unwrap().to_owned()
    }

    fn serve(&mut self, version: usize, labelled: bool) {
        let Some((model, version)) = pick(&self.versions, version).cloned() else { return };
        self.created += 1;
        let name = format!("service-{}", self.created);
        let (model_name, version_name) =
            (self.name(Kind::RegisteredModel, &model), self.name(Kind::ModelVersion, &version));
        // What the test knows; the bridge has to find out by label or by record.
        let mut service = InferenceService::new(NAMESPACE, &name)
            .annotation("test/model", &model_name)
            .annotation("test/version", &version_name);
        if labelled {
            service = service
                .label("modelregistry.opendatahub.io/registered-model-id", &model)
                .label("modelregistry.opendatahub.io/model-version-id", &version);
        } else {
            let sample = self.sample();
            let environment = self.environment();
            let record = json!({"registeredModelId": model, "modelVersionId": version, "desiredState": "DEPLOYED"});
            sample.create_inference_service(&environment, &format!("{name}/{version}"), record);
        }
        self.cluster.apply(service.build());
        self.services.push(name);
    }

    fn environment(&self) -> String {
        let sample = self.sample();
        let known = (1..500).map(|id| id.to_string()).find(|id| {
            sample.get(Kind::ServingEnvironment, id).is_some_and(|environment| environment["name"] == NAMESPACE)
        });
        known.unwrap_or_else(|| sample.create_serving_environment(NAMESPACE, json!({})))
    }

    fn with_model(&self, model: usize, edit: impl Fn(&SampleRegistry, &str) -> Result<(), EditError>) {
        if let Some(id) = pick(&self.models, model) {
            edit(self.registry.edit(), id).unwrap();
        }
    }

    fn with_version(&self, version: usize, edit: impl Fn(&SampleRegistry, &str) -> Result<(), EditError>) {
        if let Some((_, id)) = pick(&self.versions, version) {
            edit(self.registry.edit(), id).unwrap();
        }
    }

    fn set_ready(&self, service: usize, ready: bool) {
        let Some(name) = pick(&self.services, service) else { return };
        let status = if ready { "True" } else { "False" };
        self.cluster.edit("InferenceService", NAMESPACE, name, |object| {
            object["status"]["conditions"] =
                json!([condition("PredictorReady", status), condition("Ready", status), condition("Stopped", "False")]);
        });
    }

    pub(crate) async fn apply(&mut self, op: &Op) {
        let sample = self.sample();
        match op {
            Op::CreateModel { versions } => self.create_model(*versions),
            Op::CreateVersion(n) => {
                if let Some(model) = pick(&self.models, *n).cloned() {
                    self.create_version(&model);
                }
            }
            Op::EditVersion(n) => {
                if let Some((_, version)) = pick(&self.versions, *n) {
                    self.created += 1;
                    sample.update_version(version, json!({"description": format!("edit {}", self.created)})).unwrap();
                }
            }
            Op::ArchiveModel(n) => self.with_model(*n, SampleRegistry::archive_model),
            Op::UnarchiveModel(n) => self.with_model(*n, SampleRegistry::unarchive_model),
            Op::ArchiveVersion(n) => self.with_version(*n, SampleRegistry::archive_version),
            Op::UnarchiveVersion(n) => self.with_version(*n, SampleRegistry::unarchive_version),
            Op::Serve { version, labelled } => self.serve(*version, *labelled),
            Op::ServeAlone => {
                self.created += 1;
                let name = format!("alone-{}", self.created);
                self.cluster.apply(InferenceService::new(NAMESPACE, &name).build());
                self.services.push(name);
            }
            Op::SetReady { service, ready } => self.set_ready(*service, *ready),
            Op::DeleteService(n) => {
                if !self.services.is_empty() {
                    let name = self.services.remove(n % self.services.len());
                    self.cluster.delete("InferenceService", NAMESPACE, &name);
                }
            }
            Op::RegistryFault(fault, times) => self.registry.fail_next(*times, Matcher::Any, fault.clone()),
            Op::ClusterFault(fault) => {
                self.cluster.fail_next(|request: &RecordedRequest| request.is_on("inferenceservices"), fault.clone());
            }
            Op::StorageFault => self.witness.fail_next(3),
            Op::RegistryDown => {
                self.registry.stop().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.registry.restart().await;
            }
            Op::DropWatches => self.cluster.drop_watches(),
            Op::ExpireWatches => {
                self.cluster.compact();
                self.cluster.expire_watches();
            }
            Op::RestartNormalizer => {
                if let Some(normalizer) = self.normalizer.take() {
                    normalizer.stop().await;
                }
                self.start_normalizer().await;
            }
            Op::RestartStorage => {
                if let Some(storage) = self.storage.take() {
                    storage.stop().await;
                }
                let again = storage(&self.directory).await;
                self.witness.moved(Url::parse(&format!("http://{}", again.running.address)).unwrap());
                self.storage = Some(again);
            }
            // Time passes: it is part of the sequence, not a wait for something.
            Op::Breathe => tokio::time::sleep(Duration::from_millis(120)).await,
        }
        self.tell();
    }

    /// All is well again: waits until storage holds the truth, and tells what was wrong on the way.
    pub(crate) async fn settle(mut self) -> Result<(), String> {
        self.registry.clear_faults();
        self.cluster.clear_faults();
        self.witness.fail_next(0);
        let truth = healthy(self.registry.edit(), &self.cluster);
        eventually(DEADLINE, "storage holds the truth", async || {
            let stored = self.witness.origins().await.unwrap_or_default();
            let stored: BTreeMap<Names, bool> = stored
                .into_values()
                .map(|origin| ((origin.first, origin.second), origin.served_by.is_some()))
                .collect();
            if stored == truth { Ok(()) } else { Err(difference(&stored, &truth)) }
        })
        .await;
        for service in [self.normalizer.take(), self.storage.take()].into_iter().flatten() {
            service.stop().await;
        }
        let wrong = self.witness.wrong_removals();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

fn difference(stored: &BTreeMap<Names, bool>, truth: &BTreeMap<Names, bool>) -> String {
    let missing: Vec<_> = truth.iter().filter(|(names, served)| stored.get(*names) != Some(*served)).collect();
    let besides: Vec<_> = stored.keys().filter(|names| !truth.contains_key(*names)).collect();
    format!("missing or other: {missing:?}; besides: {besides:?}")
}

fn pick<T>(all: &[T], number: usize) -> Option<&T> {
    if all.is_empty() { None } else { all.get(number % all.len()) }
}

async fn storage(directory: &tempfile::TempDir) -> Service {
    let flags = [
        "storage-rest".to_owned(),
        "--listen-address=127.0.0.1:0".to_owned(),
        "--storage-type=Sqlite".to_owned(),
        format!("--sqlite-path={}", directory.path().join("storage.sqlite").display()),
        // Nobody listens there: delivery is not what this is about.
        "--location-url=http://127.0.0.1:9".to_owned(),
        "--format=JsonArrayFormat".to_owned(),
    ];
    let settings = try_parse_from(flags, |_| Some("".into())).unwrap();
    let shutdown = Shutdown::new();
    let running = storage_rest::start(settings, shutdown.clone()).await.unwrap();
    Service { running, shutdown }
}
