//! The rights of `deploy/model-registry/server/reconcile`: the reconciler works with them, and without any of them it does not.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Parser as _;
use model_registry::run::{self, Registry};
use model_registry::settings::{Cli, Command, DatabaseSettings, ProxySettings};
use rstest::rstest;
use serde_json::json;
use service::Shutdown;
use service::telemetry::LogSettings;
use system_tests::{SOON, http};
use tempfile::TempDir;
use testkit::kube::samples::InferenceService;
use testkit::kube::{KubeApi, RecordedRequest};

use crate::manifests::{Manifests, render};
use crate::rights::granted::{self, Missing, Right};

const RENDERED: &str = "tests/deploy/everything/registry-reconcile";
const ACCOUNT: &str = "demo-registry-reconcile";
const NAMESPACE: &str = "rhoai-model-registries";
const LABEL: &str = "modelregistry.opendatahub.io/inference-service-id";

fn right(verb: &'static str) -> Right {
    Right { account: ACCOUNT, verb, resource: "inferenceservices.serving.kserve.io", place: "everywhere" }
}

/// A cluster with those rights, a registry with one model, and a reconciler.
struct World {
    kube: KubeApi,
    model: String,
    shutdown: Shutdown,
    _registry: Registry,
    _directory: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl World {
    async fn new(manifests: &Manifests, missing: Option<Right>) -> Self {
        service::http_client::install_crypto_provider();
        let kube = KubeApi::builder().with_kserve().namespace(NAMESPACE).namespace("models").start().await;
        let objects = missing.map_or_else(|| manifests.rights(), |right| Missing::new(right, manifests).objects);
        for object in objects {
            kube.apply(object);
        }
        kube.add_token("of-the-pod", &format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}"));
        let (directory, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
        let database = DatabaseSettings::sqlite_in(directory.path());
        let own = ProxySettings::here(database, LogSettings::default());
        let registry = run::start(own, shutdown.clone()).await.unwrap();
        registry.readiness.until_ready().await;
        let url = registry.url().unwrap();
        let models = url.join("api/model_registry/v1alpha3/registered_models").unwrap();
        let made = http().post(models).json(&json!({"name": "granite"})).send().await.unwrap();
        let made: serde_json::Value = made.json().await.unwrap();
        let kubeconfig = kube.write_kubeconfig_for(directory.path(), "of-the-pod", NAMESPACE);
        let model = made["id"].as_str().unwrap().to_owned();
        let world = Self { kube, model, shutdown, _registry: registry, _directory: directory };
        world.serve("first");
        let arguments = ["--url", url.as_str(), "--kubeconfig", kubeconfig.to_str().unwrap()];
        let arguments = ["model-registry", "reconcile", "--admin-address", "127.0.0.1:0"].into_iter().chain(arguments);
        let Command::Reconcile(settings) = Cli::parse_from(arguments).command else { panic!("another command") };
        Box::pin(model_registry::reconcile::start(*settings, world.shutdown.clone())).await.unwrap();
        world
    }

    fn serve(&self, name: &str) {
        let label = "modelregistry.opendatahub.io/registered-model-id";
        self.kube.apply(InferenceService::new("models", name).label(label, &self.model).build());
    }

    fn refusals(&self, verb: &str) -> usize {
        let is_refusal = |request: &RecordedRequest| request.status == Some(403) && verb_of(request) == verb;
        self.kube.count(is_refusal)
    }

    /// Waits until a service knows its record; an error when the cluster refuses what that takes.
    async fn knows(&self, name: &str, missing: Option<Right>) -> Result<(), String> {
        let end = tokio::time::Instant::now() + SOON;
        loop {
            let service = self.kube.get_object("InferenceService", "models", name).unwrap();
            if service["metadata"]["labels"][LABEL].is_string() {
                return Ok(());
            }
            if let Some(right) = missing.filter(|right| self.refusals(right.verb) > 0) {
                return Err(format!("{right} is refused"));
            }
            assert!(tokio::time::Instant::now() < end, "neither labelled nor refused: {service}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One service is recorded from the first list, another one because it is watched.
    async fn run(&self, missing: Option<Right>) -> Result<(), String> {
        self.knows("first", missing).await?;
        if let Some(right) = missing.filter(|right| right.verb == "watch") {
            testkit::eventually(SOON, "the watch is refused", async || self.refusals(right.verb) > 0).await;
        }
        self.serve("second");
        self.knows("second", missing).await
    }
}

fn verb_of(request: &RecordedRequest) -> &'static str {
    match request.method.as_str() {
        "GET" if request.is_watch() => "watch",
        "GET" => "list",
        "PATCH" => "patch",
        _ => "another",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_rights_the_reconciler_works() {
    let Some(manifests) = render(RENDERED) else { return };
    let world = World::new(&manifests, None).await;
    world.run(None).await.unwrap();
    assert_eq!(world.kube.count(|request| request.status == Some(403)), 0, "nothing else is asked for");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_of_them_it_does_not(#[values("list", "watch", "patch")] verb: &'static str) {
    let Some(manifests) = render(RENDERED) else { return };
    let missing = Some(right(verb));
    let world = World::new(&manifests, missing).await;
    world.run(missing).await.expect_err("it works without that right, so it need not be granted");
}

#[test]
fn it_is_granted_nothing_else() {
    let Some(manifests) = render(RENDERED) else { return };
    let expected: BTreeSet<String> = ["list", "watch", "patch"].map(|verb| right(verb).to_string()).into();
    assert_eq!(granted::rights(&manifests), expected);
}
