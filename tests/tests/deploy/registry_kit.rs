//! The scripts of `deploy/model-registry` with a real kubectl, against a cluster in which an operator is played.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::kube::samples::{condition, registry_route, registry_service};
use testkit::kube::{ADMIN_TOKEN, Definition, KubeApi};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::manifests::{EVERYTHING, Manifests, kubectl, render, root, text};

const NAMESPACE: &str = "rhoai-model-registries";
const REGISTRY: &str = "demo-registry";
const DATABASES: [&str; 2] = ["deploy/model-registry/mariadb", "deploy/model-registry/postgresql"];

/// A cluster, a kubectl that is set up for it, and a curl that says what a Route would.
struct Kit {
    kube: Arc<KubeApi>,
    kubectl: PathBuf,
    directory: TempDir,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Kit {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn model_registries() -> Definition {
    Definition::new("modelregistry.opendatahub.io", "ModelRegistry", "modelregistries", &["v1beta1"])
}

fn script(directory: &Path, name: &str, text: &str) -> PathBuf {
    let file = directory.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// What stands before testkit's API for kubectl, which sends no token over plain HTTP: it is always the administrator.
async fn front(api: &str) -> (JoinHandle<()>, String) {
    let (api, http) = (api.trim_end_matches('/').to_owned(), system_tests::http());
    let forward = move |request: Request| {
        let (api, http) = (api.clone(), http.clone());
        async move {
            let (parts, body) = request.into_parts();
            let mut headers = parts.headers;
            headers.remove("host");
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let sent = http.request(parts.method, format!("{api}{}", parts.uri)).headers(headers).body(body);
            let answer = sent.bearer_auth(ADMIN_TOKEN).send().await.unwrap();
            let mut forwarded = Response::new(());
            *forwarded.status_mut() = answer.status();
            *forwarded.headers_mut() = answer.headers().clone();
            forwarded.headers_mut().remove("transfer-encoding");
            forwarded.map(|()| Body::from_stream(answer.bytes_stream()))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = axum::serve(listener, axum::Router::new().fallback(forward));
    (tokio::spawn(async move { server.await.unwrap() }), address)
}

impl Kit {
    /// `None` where there is no kubectl.
    async fn new() -> Option<Self> {
        let real = kubectl()?;
        let kube = KubeApi::builder().with_routes().with_crd(model_registries()).start().await;
        let directory = tempfile::tempdir().unwrap();
        let (front, address) = front(kube.url().as_str()).await;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "testkit",
            "clusters": [{"name": "testkit", "cluster": {"server": address}}],
            "contexts": [{"name": "testkit", "context": {"cluster": "testkit", "user": ""}}],
        });
        std::fs::write(directory.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
        // testkit describes its kinds to nobody, so what is applied cannot be checked before it is sent.
        let real = real.display();
        let wrapper =
            format!("case \"$1\" in apply) exec {real} \"$@\" --validate=false;; *) exec {real} \"$@\";; esac");
        let kubectl = script(directory.path(), "kubectl", &wrapper);
        Some(Self { kube: Arc::new(kube), kubectl, directory, tasks: vec![front] })
    }

    /// From now on things that are applied become ready.
    fn with_operator(mut self) -> Self {
        let kube = Arc::clone(&self.kube);
        self.tasks.push(tokio::spawn(async move {
            loop {
                settle(&kube);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }));
        self
    }

    /// Runs a script of the kit; the Route answers with this status.
    async fn run(&self, name: &str, arguments: &[&str], route_answers: &str) -> Output {
        let curl = script(self.directory.path(), "curl", &format!("printf %s '{route_answers}'"));
        let mut command = Command::new(root().join("deploy/model-registry").join(name));
        command.args(arguments).env("KUBECTL", &self.kubectl).env("CURL", curl).env("HOME", self.directory.path());
        command.env("KUBECONFIG", self.directory.path().join("kubeconfig"));
        command.output().await.unwrap()
    }

    fn password(&self) -> Option<String> {
        let secret = self.kube.get_object("Secret", NAMESPACE, "demo-registry-db")?;
        secret["data"]["database-password"].as_str().map(str::to_owned)
    }
}

/// What the controllers of a cluster and the operator do.
fn settle(kube: &KubeApi) {
    let is_new = |kind: &str, name: &str| {
        kube.get_object(kind, NAMESPACE, name)
            .is_some_and(|object| object["status"]["conditions"].is_null() && object["status"]["phase"].is_null())
    };
    let ready = |kind: &str| json!({"conditions": [condition(kind, "True")]});
    if is_new("PersistentVolumeClaim", "demo-registry-db") {
        kube.set_status("PersistentVolumeClaim", NAMESPACE, "demo-registry-db", json!({"phase": "Bound"}));
    }
    if is_new("Deployment", "demo-registry-db") {
        kube.set_status("Deployment", NAMESPACE, "demo-registry-db", ready("Available"));
    }
    if is_new("ModelRegistry", REGISTRY) {
        kube.apply(registry_service(NAMESPACE, REGISTRY, "model-registry", "https-api", None));
        let mut route = registry_route(NAMESPACE, "demo-registry-https", "demo.apps.example.com");
        route["metadata"]["labels"]["app"] = json!(REGISTRY);
        kube.apply(route);
        kube.set_status("ModelRegistry", NAMESPACE, REGISTRY, ready("Available"));
    }
    if is_new("Job", "demo-registry-seed") {
        kube.set_status("Job", NAMESPACE, "demo-registry-seed", ready("Complete"));
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The bridge's own rights, without which its account could not read the registry.
fn grant(kube: &KubeApi) {
    for object in render(EVERYTHING).unwrap().rights() {
        kube.apply(object);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_installed_validated_and_installed_again_with_the_same_password() {
    let Some(kit) = Kit::new().await else { return };
    let kit = kit.with_operator();
    grant(&kit.kube);
    let first = kit.run("deploy.sh", &[], "401").await;
    assert!(first.status.success() && said(&first).contains("all is well"), "{}", said(&first));
    let password = kit.password().unwrap();
    assert!(!password.is_empty());
    let job = kit.kube.get_object("Job", NAMESPACE, "demo-registry-seed").unwrap()["metadata"]["uid"].clone();
    let again = kit.run("deploy.sh", &["--database", "postgresql", "--no-validate"], "401").await;
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(kit.password().unwrap(), password);
    assert!(!said(&again).contains(&password) && !said(&first).contains(&password));
    let registry = kit.kube.get_object("ModelRegistry", NAMESPACE, REGISTRY).unwrap();
    assert!(registry["spec"]["postgres"].is_object() && registry["spec"]["mysql"].is_null(), "{registry}");
    let now = kit.kube.get_object("Job", NAMESPACE, "demo-registry-seed").unwrap()["metadata"]["uid"].clone();
    assert_ne!(job, now, "the seed runs again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_become_ready_is_explained() {
    let Some(kit) = Kit::new().await else { return };
    let output = kit.run("deploy.sh", &["--timeout", "1s"], "401").await;
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("the database is not ready after 1s"), "{said}");
    assert!(said.contains("kubectl logs deployment/demo-registry-db"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_asks_no_cluster() {
    let Some(kit) = Kit::new().await else { return };
    let output = kit.run("deploy.sh", &["--dry-run", "--database", "postgresql"], "401").await;
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for part in [
        "ModelRegistry/demo-registry",
        "PersistentVolumeClaim/demo-registry-db",
        "Secret/demo-registry-db",
        "postgresql",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(kit.kube.requests().len(), 0);
}

/// Argo CD does the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_alone_can_be_made_before_there_is_an_operator() {
    let Some(kit) = Kit::new().await else { return };
    kit.kube.remove_crd("modelregistries.modelregistry.opendatahub.io");
    let output = kit.run("deploy.sh", &["--only-secret"], "401").await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(kit.password().is_some_and(|password| password.len() > 20));
    assert_eq!(kit.kube.list_objects("Deployment").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_the_operator_is_told_what_to_install() {
    let Some(kit) = Kit::new().await else { return };
    kit.kube.remove_crd("modelregistries.modelregistry.opendatahub.io");
    for name in ["deploy.sh", "validate.sh"] {
        let output = kit.run(name, &[], "401").await;
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(said(&output).contains("DataScienceCluster"), "{name}: {}", said(&output));
    }
    assert!(kit.kube.get_object("Namespace", "", NAMESPACE).is_none(), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_thing_that_is_wrong_is_said_with_what_to_do() {
    let Some(kit) = Kit::new().await else { return };
    let kube = &kit.kube;
    for object in render(DATABASES[0]).unwrap().all() {
        kube.apply(object.clone());
    }
    settle(kube);
    let failed = |kind: &str, name: &str, status: Value| drop(kube.set_status(kind, NAMESPACE, name, status));
    failed("PersistentVolumeClaim", "demo-registry-db", json!({"phase": "Pending"}));
    let mut unavailable = condition("Available", "False");
    unavailable["message"] = json!("no pod is ready");
    failed("Deployment", "demo-registry-db", json!({"conditions": [unavailable]}));
    failed("ModelRegistry", REGISTRY, json!({"conditions": [condition("Available", "False")]}));
    failed("Job", "demo-registry-seed", json!({"conditions": [condition("Failed", "True")]}));
    kube.edit("Service", NAMESPACE, REGISTRY, |service| service["metadata"]["labels"] = json!({}));
    kube.delete("RoleBinding", NAMESPACE, "demo-registry-users");
    let output = kit.run("validate.sh", &["team:reader"], "200").await;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (wrong, advice) in [
        ("has no database-password", "run deploy.sh"),
        ("volume is not bound", "storageClassName"),
        ("the database is not up: no pod is ready", "kubectl logs deployment/demo-registry-db"),
        ("the registry is not up", "kubectl describe modelregistry"),
        ("label component=model-registry is missing", "model-registry-operator-controller-manager"),
        ("the seed job has failed", "kubectl logs job/demo-registry-seed"),
        ("everybody gets in", "kubeRBACProxy"),
        ("group model-registry-users may not read it", "kubectl describe rolebinding"),
        ("account team:reader may not read it", "validate.sh NAMESPACE:NAME"),
    ] {
        let told = said.lines().skip_while(|line| !(line.starts_with("WRONG") && line.contains(wrong))).skip(1);
        let told: Vec<&str> = told.take_while(|line| line.starts_with("        -> ")).collect();
        assert!(told.iter().any(|line| line.contains(advice)), "{wrong}: {told:?}\n{said}");
    }
    assert!(said.contains("9 wrong"), "{said}");
}

/// Each object comes after what it needs.
#[test]
fn waves_are_in_order() {
    let wave = |manifests: &Manifests, kind: &str, name: &str| -> u8 {
        let object = manifests.find(kind, name).unwrap_or_else(|| panic!("there is no {kind} {name}"));
        text(&object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]).parse().unwrap()
    };
    for directory in DATABASES {
        let Some(manifests) = render(directory) else { return };
        let order = [
            ("Namespace", NAMESPACE),
            ("Deployment", "demo-registry-db"),
            ("ModelRegistry", REGISTRY),
            ("Job", "demo-registry-seed"),
        ];
        let waves: Vec<u8> = order.iter().map(|(kind, name)| wave(&manifests, kind, name)).collect();
        assert!(waves.is_sorted_by(|before, after| before < after), "{directory}: {waves:?}");
        for object in manifests.all() {
            let kind = text(&object["kind"]);
            assert!(wave(&manifests, &kind, &text(&object["metadata"]["name"])) <= 3, "{kind}");
            let namespace = &object["metadata"]["namespace"];
            assert!(kind == "Namespace" || *namespace == NAMESPACE, "{kind} in {namespace}");
        }
    }
}

/// The registry, its database and their Secret speak of the same things.
#[test]
fn the_registry_and_its_database_fit_together() {
    for (directory, field) in DATABASES.iter().zip(["mysql", "postgres"]) {
        let Some(manifests) = render(directory) else { return };
        let secret = render("deploy/model-registry/secret").unwrap();
        let secret = secret.find("Secret", "demo-registry-db").unwrap().clone();
        let database = &manifests.find("ModelRegistry", REGISTRY).unwrap()["spec"][field];
        let service = manifests.find("Service", &text(&database["host"])).unwrap();
        assert_eq!(service["spec"]["ports"][0]["port"], database["port"]);
        let deployment = manifests.find("Deployment", "demo-registry-db").unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["containerPort"], database["port"]);
        for variable in container["env"].as_array().unwrap() {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            assert_eq!(reference["name"], secret["metadata"]["name"]);
            assert!(secret["data"].get(text(&reference["key"])).is_some(), "{variable}");
        }
        assert_eq!(database["passwordSecret"], json!({"name": "demo-registry-db", "key": "database-password"}));
        let written = std::fs::read_to_string(root().join("deploy/model-registry/secret/database.env")).unwrap();
        for (key, field) in [("database-name", "database"), ("database-user", "username")] {
            assert!(written.contains(&format!("{key}={}\n", text(&database[field]))), "{key}");
        }
        assert!(written.contains("database-password=\n"), "no password in the repository");
    }
}

/// What people apply to a cluster is taken by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kustomizations_of_the_bridge_can_be_applied() {
    let Some(kit) = Kit::new().await else { return };
    for definition in [
        Definition::new("monitoring.coreos.com", "ServiceMonitor", "servicemonitors", &["v1"]),
        Definition::new("monitoring.coreos.com", "PodMonitor", "podmonitors", &["v1"]),
        Definition::new("rhdh.redhat.com", "Backstage", "backstages", &["v1alpha3"]),
    ] {
        kit.kube.install_crd(&definition);
    }
    // In a real cluster they are there: the registries' and RHDH's.
    for namespace in [NAMESPACE, "rhdh"] {
        kit.kube.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
    }
    for directory in [
        "deploy/standalone/overlays/openshift",
        "deploy/standalone/overlays/kubernetes",
        "deploy/sidecar/example/rhdh-1",
    ] {
        let mut command = Command::new(&kit.kubectl);
        command.args(["apply", "--kustomize"]).arg(root().join(directory)).env("HOME", kit.directory.path());
        let output = command.env("KUBECONFIG", kit.directory.path().join("kubeconfig")).output().await.unwrap();
        assert!(output.status.success(), "{directory}: {}", said(&output));
    }
    assert!(kit.kube.get_object("Deployment", "model-catalog-bridge", "model-catalog-location").is_some());
    assert!(kit.kube.get_object("Backstage", "rhdh", "developer-hub").is_some());
}
