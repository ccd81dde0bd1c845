//! The container as KServe makes it from the kit, run as a process: it asks our own registry, which asks a cluster that has
//! the rights of the manifests and no others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model_registry::run::{self, Registry};
use model_registry::settings::{DatabaseSettings, ProxySettings};
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};
use service::Shutdown;
use service::telemetry::LogSettings;
use system_tests::{Process, Settings};
use tempfile::TempDir;
use testkit::kube::{ADMIN_TOKEN, KubeApi};
use testkit::s3::S3Server;

use super::{OPENSHIFT, OUR_REGISTRY, OUR_REGISTRY_ON_OPENSHIFT, PLAIN_REGISTRY, SAMPLE, container};
use crate::manifests::{Manifests, items, render, text};

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const MODEL: &[u8] = b"the model";
const DEADLINE: Duration = Duration::from_mins(1);

/// Kubernetes has it in every cluster.
const AUTH_DELEGATOR: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: 'system:auth-delegator'}
rules:
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
";

/// A registry with the model of the sample, the storage that it names, and what a pod has mounted.
struct World {
    registry: Registry,
    scheme: &'static str,
    storage: S3Server,
    directory: TempDir,
    shutdown: Shutdown,
    _kube: KubeApi,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl World {
    /// The registry as these manifests set it up, so far as access and HTTPS go.
    async fn new(manifests: &Manifests, sample: &Manifests) -> Self {
        service::http_client::install_crypto_provider();
        let directory = tempfile::tempdir().unwrap();
        let kube = cluster(manifests, sample).await;
        let shutdown = Shutdown::new();
        let settings = registry_settings(manifests, &kube, directory.path());
        let scheme = if settings.tls.tls_cert.is_some() { "https" } else { "http" };
        let registry = run::start(settings, shutdown.clone()).await.unwrap();
        registry.readiness.until_ready().await;
        let storage = S3Server::start().await;
        storage.put("models", "mnist/1/model.onnx", MODEL);
        storage.put("models", "mnist-old/1/model.onnx", &b"another model"[..]);
        let world = Self { registry, scheme, storage, directory, shutdown, _kube: kube };
        world.register().await;
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the registry's seeds register, where the storage of this test has it.
    async fn register(&self) {
        let certificate = reqwest::Certificate::from_pem(&std::fs::read(self.path("service-ca.crt")).unwrap()).unwrap();
        let http = reqwest::Client::builder().no_proxy().add_root_certificate(certificate).build().unwrap();
        let post = async |path: &str, body: Value| -> String {
            let url = self.url().join(&format!("/api/model_registry/v1alpha3/{path}")).unwrap();
            let answer = http.post(url).bearer_auth(ADMIN_TOKEN).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 201, "{path}");
            text(&answer.json::<Value>().await.unwrap()["id"])
        };
        let model = post("registered_models", json!({"name": "mnist"})).await;
        let version = post("model_versions", json!({"name": "v12", "registeredModelId": model})).await;
        let uri = format!("s3://models/mnist?endpoint={}&defaultRegion=us-east-1", self.storage.url());
        let artifact = json!({"artifactType": "model-artifact", "name": "mnist-v12", "uri": uri});
        post(&format!("model_versions/{version}/artifacts"), artifact).await;
    }

    /// The registry's address, by the name that its certificate is for.
    fn url(&self) -> url::Url {
        let mut url = self.registry.url().unwrap();
        url.set_scheme(self.scheme).unwrap();
        url.set_host(Some("localhost")).unwrap();
        url
    }

    /// The container's environment: that of the kit, with the places of this test, and what KServe takes from a Secret of the
    /// account for S3.
    fn environment(&self, container: &Value) -> Settings {
        let account = self.directory.path().to_str().unwrap();
        let of_kit = items(&container["env"]).map(|variable| {
            let (name, value) = (text(&variable["name"]), text(&variable["value"]));
            let value = match name.as_str() {
                "MODEL_REGISTRY_BASE_URL" => format!("localhost:{}", self.url().port().unwrap()),
                _ => value.replace(ACCOUNT, account),
            };
            (name, value)
        });
        let of_secret =
            [("AWS_ACCESS_KEY_ID", "key-of-digits"), ("AWS_SECRET_ACCESS_KEY", "planted"), ("S3_VERIFY_SSL", "1")];
        of_secret.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(of_kit).collect()
    }

    /// Runs the container of a kit with the token of an account, to its end.
    async fn run(&self, container: &Value, uri: &str, token: &str) -> Process {
        std::fs::write(self.path("token"), token).unwrap();
        let destination = self.path("models");
        // KServe's arguments.
        let arguments = [uri, destination.to_str().unwrap()];
        Process::run("storage-initializer", &arguments, &self.environment(container), DEADLINE).await
    }
}

/// A cluster with the rights of the registry's manifests and the sample's, and with three accounts.
async fn cluster(manifests: &Manifests, sample: &Manifests) -> KubeApi {
    let registry = "rhoai-model-registries";
    let kube = KubeApi::builder()
        .namespace(registry)
        .namespace("ai-tutorials")
        .token("of-registry", &format!("system:serviceaccount:{registry}:demo-registry"))
        .token("of-digits", "system:serviceaccount:ai-tutorials:digits")
        .token("of-another", "system:serviceaccount:ai-tutorials:another")
        .manifests(AUTH_DELEGATOR)
        .start()
        .await;
    for object in manifests.rights().into_iter().chain(sample.rights()) {
        kube.apply(object);
    }
    kube
}

/// What the manifests set about HTTPS and access, with the places of this test.
fn registry_settings(manifests: &Manifests, kube: &KubeApi, directory: &Path) -> ProxySettings {
    let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (directory.join("service-ca.crt"), directory.join("tls.key"));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let data = directory.join("registry");
    std::fs::create_dir(&data).unwrap();
    let mut settings = ProxySettings::here(DatabaseSettings::sqlite_in(&data), LogSettings::default());
    let deployment = manifests.find("Deployment", "demo-registry").unwrap();
    let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let sets = |name: &str| items(env).any(|variable| variable["name"] == name);
    if sets("TLS_CERT") {
        (settings.tls.tls_cert, settings.tls.tls_key) = (Some(certificate), Some(key));
    }
    if sets("MR_AUTH_KUBERNETES_SERVICE") {
        let namespace = text(&deployment["metadata"]["namespace"]);
        let kubeconfig = kube.write_kubeconfig_for(directory, "of-registry", &namespace);
        settings.access.auth_kubernetes_service = Some(format!("{namespace}/demo-registry").parse().unwrap());
        settings.access.cluster.kubeconfig = Some(kubeconfig.to_str().unwrap().to_owned());
    }
    settings
}

fn sample_uri(sample: &Manifests) -> String {
    let service = sample.of_kind("InferenceService").next().unwrap();
    text(&service["spec"]["predictor"]["model"]["storageUri"])
}

/// The files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        // What a container that is started again goes by.
        if entry.file_name() == ".storage-initializer.json" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_gets_its_model_with_its_accounts_token_and_rights() {
    let (Some(registry), Some(sample), Some((container, _))) =
        (render(OUR_REGISTRY_ON_OPENSHIFT), render(SAMPLE), container(OPENSHIFT))
    else {
        return;
    };
    let world = World::new(&registry, &sample).await;
    let mut process = world.run(&container, &sample_uri(&sample), "of-digits").await;
    assert_eq!(process.code(), Some(0), "{}", process.said());
    let file = world.path("models/1/model.onnx");
    assert_eq!(files(&world.path("models")), std::slice::from_ref(&file), "{}", process.said());
    assert_eq!(std::fs::read(file).unwrap(), MODEL);
    let requests = world.storage.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(request.signed_by.as_deref(), Some("key-of-digits"), "{request:?}");
    }
    for secret in ["planted", "of-digits"] {
        assert!(!process.said().contains(secret), "{}", process.said());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_the_right_is_told_what_is_missing() {
    let (Some(registry), Some(sample), Some((container, _))) =
        (render(OUR_REGISTRY_ON_OPENSHIFT), render(SAMPLE), container(OPENSHIFT))
    else {
        return;
    };
    let world = World::new(&registry, &sample).await;
    for token in ["of-another", "of-nobody"] {
        let mut process = world.run(&container, &sample_uri(&sample), token).await;
        assert_eq!(process.code(), Some(77), "{}", process.said());
        let last = process.log().pop().unwrap_or_default();
        assert!(last.starts_with("storage-initializer: "), "{}", process.said());
        assert!(last.contains("token") || last.contains("account"), "{last}");
    }
    assert!(world.storage.requests().is_empty());
}

/// The kit as it is, with a registry that asks for nothing; and the Deployment without KServe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_components_a_registry_is_asked_without_a_token() {
    let (Some(registry), Some(sample)) = (render("deploy/model-registry/server/sqlite"), render(SAMPLE)) else {
        return;
    };
    let world = World::new(&registry, &sample).await;
    for directory in [PLAIN_REGISTRY, super::WITHOUT_KSERVE] {
        let (container, _) = container(directory).unwrap();
        let mut process = world.run(&container, &sample_uri(&sample), "of-nobody").await;
        assert_eq!(process.code(), Some(0), "{directory}: {}", process.said());
        assert_eq!(std::fs::read(world.path("models/1/model.onnx")).unwrap(), MODEL, "{directory}");
        std::fs::remove_dir_all(world.path("models")).unwrap();
    }
}

/// A registry over plain HTTP that asks for a token is sent it: the component says nothing of HTTPS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_alone_is_enough_for_a_registry_that_speaks_http() {
    let (Some(registry), Some(sample), Some((container, _))) =
        (render(OUR_REGISTRY), render(SAMPLE), container(super::WITH_TOKEN))
    else {
        return;
    };
    let world = World::new(&registry, &sample).await;
    let mut process = world.run(&container, &sample_uri(&sample), "of-digits").await;
    assert_eq!(process.code(), Some(0), "{}", process.said());
    let mut process = world.run(&container, &sample_uri(&sample), "of-another").await;
    assert_eq!(process.code(), Some(77), "{}", process.said());
}
