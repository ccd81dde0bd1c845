//! A cluster with the rights of the manifests, and the services in it with the settings of the manifests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use service::Shutdown;
use system_tests::{SOON, http, port};
use tempfile::TempDir;
use testkit::kube::{KubeApi, RecordedRequest};

use super::granted::{self, Missing, Right};
use crate::containers::settings;
use crate::manifests::Manifests;

/// Where registries are.
pub(crate) const REGISTRIES: &str = "rhoai-model-registries";
/// Where models run.
pub(crate) const MODELS: &str = "ai-models";
/// So often a right must be refused before it counts as missing for good: what is done without it was done by then.
const FOR_GOOD: usize = 4;

/// A cluster, and what is needed to start the services in it.
pub(crate) struct World {
    pub(crate) kube: KubeApi,
    /// The bridge's namespace.
    pub(crate) namespace: String,
    manifests: Manifests,
    missing: Option<Right>,
    directory: TempDir,
    storage: u16,
    location: u16,
    shutdown: Shutdown,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// A pod's account by its service.
fn user(namespace: &str, service: &str) -> String {
    format!("system:serviceaccount:{namespace}:model-catalog-{service}")
}

/// The token by which the cluster knows a service.
pub(crate) fn cluster_token(service: &str) -> String {
    format!("cluster-token-of-{service}")
}

/// The token by which the other services know it.
pub(crate) fn bridge_token(service: &str) -> String {
    format!("bridge-token-of-{service}")
}

impl World {
    /// The cluster, in which nothing runs yet.
    pub(crate) async fn new(manifests: &Manifests, missing: Option<Missing>) -> Self {
        service::http_client::install_crypto_provider();
        let namespace = manifests.namespace();
        let plain = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]);
        // On plain Kubernetes there are neither Routes nor rights on them.
        let has_routes = granted::rights(manifests).iter().any(|right| right.contains("routes.route.openshift.io"));
        let builder = if has_routes { plain.with_routes() } else { plain };
        let kube = builder.namespace(&namespace).namespace(REGISTRIES).namespace(MODELS).start().await;
        let right = missing.as_ref().map(|missing| missing.right);
        for object in missing.map_or_else(|| manifests.rights(), |missing| missing.objects) {
            kube.apply(object);
        }
        for service in ["normalizer", "storage-rest", "location"] {
            let user = user(&namespace, service);
            kube.add_token(&cluster_token(service), &user);
            kube.add_token_for("model-catalog-bridge", &bridge_token(service), &user);
        }
        let (directory, manifests) = (tempfile::tempdir().unwrap(), manifests.clone());
        let (storage, location, shutdown) = (port(), port(), Shutdown::new());
        Self { kube, namespace, manifests, missing: right, directory, storage, location, shutdown }
    }

    /// The settings of the manifests, with what is different on this machine.
    fn environment(&self, service: &str, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut environment = self.manifests.environment(&self.manifests.container(service));
        // In a pod, registries on this machine would not be asked. The bundle is one of the pod's files.
        for name in ["POD_IP", "REGISTRY_CA", "RHDH_TOKEN_FILE"] {
            environment.remove(name);
        }
        let directory = self.directory.path().join(service);
        std::fs::create_dir_all(&directory).unwrap();
        let kubeconfig = self.kube.write_kubeconfig_for(&directory, &cluster_token(service), &self.namespace);
        if environment.contains_key("BRIDGE_TOKEN_FILE") {
            let file = directory.join("token");
            std::fs::write(&file, bridge_token(service)).unwrap();
            environment.insert("BRIDGE_TOKEN_FILE".to_owned(), path(file));
        }
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        let ours = [
            ("KUBECONFIG", path(kubeconfig)),
            ("STORAGE_URL", local(self.storage)),
            ("LOCATION_URL", local(self.location)),
            ("STORAGE_LISTEN_ADDRESS", format!("127.0.0.1:{}", self.storage)),
            ("LOCATION_LISTEN_ADDRESS", format!("127.0.0.1:{}", self.location)),
            ("NORMALIZER_ADMIN_ADDRESS", "127.0.0.1:0".to_owned()),
            ("NORMALIZER_FORMAT", "JsonArrayFormat".to_owned()),
            ("POLLING_INTERVAL", "300ms".to_owned()),
            ("DELIVERY_RETRY_MIN", "50ms".to_owned()),
            ("DELIVERY_RETRY_MAX", "300ms".to_owned()),
            ("PUSH_TO_RHDH", "false".to_owned()),
        ];
        environment.extend(ours.map(|(name, value)| (name.to_owned(), value)));
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        environment
    }

    // --- Services ---

    /// Starts storage-rest; ends with what is returned.
    pub(crate) async fn start_storage(&self, more: &[(&str, &str)]) -> Shutdown {
        let shutdown = self.shutdown.child();
        let settings = settings::<storage_rest::Settings>(&self.environment("storage-rest", more));
        storage_rest::start(settings, shutdown.clone()).await.unwrap();
        shutdown
    }

    /// Starts location.
    pub(crate) async fn start_location(&self, more: &[(&str, &str)]) {
        let settings = settings::<location::Settings>(&self.environment("location", more));
        location::start(settings, self.shutdown.child()).await.unwrap();
    }

    /// Starts the normalizer, and the two others for it.
    pub(crate) async fn start_all(&self, more: &[(&str, &str)]) {
        self.start_storage(&[]).await;
        self.start_location(&[]).await;
        let settings = settings::<normalizer::Settings>(&self.environment("normalizer", more));
        Box::pin(normalizer::start(settings, self.shutdown.child())).await.unwrap();
    }

    // --- What is seen ---

    /// Waits until something holds. An error when it cannot because of the missing right: it was refused again and again.
    pub(crate) async fn reaches<T>(&self, what: &str, seen: impl AsyncFn() -> Result<T, String>) -> Result<T, String> {
        let end = tokio::time::Instant::now() + SOON;
        loop {
            let refused = self.missing.is_some_and(|right| self.refusals(right) >= FOR_GOOD);
            let last = match seen().await {
                Ok(value) => return Ok(value),
                Err(last) if refused => return Err(format!("{what}: {last}")),
                Err(last) => last,
            };
            assert!(tokio::time::Instant::now() < end, "neither reached nor refused within {SOON:?}: {what}: {last}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often the cluster has refused this right.
    pub(crate) fn refusals(&self, right: Right) -> usize {
        let is_refusal = |request: &RecordedRequest| {
            request.status == Some(403) && request.is_on(right.plural()) && verb(request, right.plural()) == right.verb
        };
        self.kube.count(is_refusal) + self.denied(right)
    }

    /// How often somebody asked the cluster whether an account has this right, and was told no: what a proxy does.
    fn denied(&self, right: Right) -> usize {
        let asked = |request: &RecordedRequest| {
            let review: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let wanted = &review["spec"]["resourceAttributes"];
            request.is_on("subjectaccessreviews")
                && wanted["resource"] == right.plural()
                && wanted["verb"] == right.verb
        };
        if self.missing == Some(right) { self.kube.count(asked) } else { 0 }
    }

    /// Lists of a kind, as opposed to watches and to the registries' discovery, which lists with a selector.
    pub(crate) fn lists(&self, plural: &str) -> usize {
        let is_list = |request: &RecordedRequest| {
            request.is_on(plural) && verb(request, plural) == "list" && !request.query.contains("labelSelector")
        };
        self.kube.count(is_list)
    }

    /// The documents that location serves, by their URI.
    pub(crate) async fn documents(&self) -> Result<BTreeMap<String, Value>, String> {
        let list = self.get("/list").await?;
        let mut documents = BTreeMap::new();
        for uri in list["uris"].as_array().ok_or("no list")? {
            let uri = uri.as_str().ok_or("no uri")?;
            documents.insert(uri.to_owned(), self.get(uri).await?);
        }
        Ok(documents)
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let url = format!("http://127.0.0.1:{}{path}", self.location);
        let answer = http().get(url).send().await.map_err(|error| error.to_string())?;
        let answer = answer.error_for_status().map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }

    /// Writes an entry to a service as another one would; the status of the answer, and what it says.
    pub(crate) async fn upsert(
        &self,
        service: &str,
        writer: &str,
        key: &str,
        body: &str,
    ) -> Result<(u16, String), String> {
        let port = if service == "location" { self.location } else { self.storage };
        let url = format!("http://127.0.0.1:{port}/upsert?key={key}&type=kubeflow");
        let message = json!({"body": encoded(body), "lastUpdateTimeSinceEpoch": "1"});
        let answer = http().post(url).bearer_auth(bridge_token(writer)).json(&message).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        Ok((answer.status().as_u16(), answer.text().await.map_err(|error| error.to_string())?))
    }

    /// The keys that storage-rest lists.
    pub(crate) async fn stored(&self) -> Result<Vec<String>, String> {
        let url = format!("http://127.0.0.1:{}/list", self.storage);
        let answer = http().get(url).send().await.map_err(|error| error.to_string())?;
        let list: Value = answer.error_for_status().map_err(|error| error.to_string())?.json().await.unwrap();
        Ok(crate::manifests::texts(&list["keys"]))
    }

    /// Whether an account may do something, as the proxy in front of a registry asks.
    pub(crate) async fn may(&self, service: &str, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": user(&self.namespace, service),
                "resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace, "name": name},
            },
        });
        let url = self.kube.url().join("apis/authorization.k8s.io/v1/subjectaccessreviews").unwrap();
        let request = http().post(url).bearer_auth(testkit::kube::ADMIN_TOKEN).json(&review);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["status"]["allowed"] == true
    }
}

fn path(file: PathBuf) -> String {
    file.into_os_string().into_string().unwrap()
}

fn encoded(body: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(body)
}

/// The verb that RBAC sees in a request.
fn verb(request: &RecordedRequest, plural: &str) -> &'static str {
    let is_collection = request.path.ends_with(&format!("/{plural}"));
    match request.method.as_str() {
        "GET" if request.is_watch() => "watch",
        "GET" if is_collection => "list",
        "GET" => "get",
        "POST" => "create",
        "PATCH" => "patch",
        "PUT" => "update",
        _ => "delete",
    }
}
