//! What `kubectl kustomize` makes of a directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize as _;
use serde_json::Value;

/// Every kustomization that people apply, from the root of the repository.
pub(crate) const APPLIED: &[&str] = &[
    "deploy/standalone/overlays/kubernetes",
    "deploy/standalone/overlays/openshift",
    "deploy/sidecar/example/rhdh-1",
    "deploy/sidecar/example/rhdh-2",
];

/// All of `deploy/standalone` at once.
pub(crate) const EVERYTHING: &str = "tests/deploy/everything";

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The kubectl that `tests/deploy/setup.sh` installed, else the one on the path.
pub(crate) fn kubectl() -> Option<PathBuf> {
    let installed = root().join("tests/deploy/.venv/bin/kubectl");
    let candidates = [installed, PathBuf::from("kubectl")];
    let found = candidates.into_iter().find(|program| minor_version(program) >= Some(OLDEST));
    let required = std::env::var("REQUIRE_KUBECTL").is_ok_and(|value| value == "1");
    assert!(found.is_some() || !required, "there is no kubectl: run tests/deploy/setup.sh");
    if found.is_none() {
        eprintln!("skipped: there is no kubectl of 1.{OLDEST} or newer (tests/deploy/setup.sh)");
    }
    found
}

/// The kustomize of an older kubectl knows no components, or not all of them.
const OLDEST: u32 = 27;

fn minor_version(kubectl: &Path) -> Option<u32> {
    let output = Command::new(kubectl).args(["version", "--client", "--output", "json"]).output().ok()?;
    let version: Value = serde_json::from_slice(&output.stdout).ok()?;
    version["clientVersion"]["minor"].as_str()?.trim_end_matches('+').parse().ok()
}

/// Objects as kustomize renders them.
#[derive(Debug, Clone)]
pub(crate) struct Manifests(Arc<Vec<Value>>);

static RENDERED: Mutex<BTreeMap<String, Manifests>> = Mutex::new(BTreeMap::new());

/// Renders a directory, once in this process; `None` where there is no kubectl.
pub(crate) fn render(directory: &str) -> Option<Manifests> {
    let mut rendered = RENDERED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = rendered.get(directory) {
        return Some(known.clone());
    }
    let output = Command::new(kubectl()?).arg("kustomize").arg(root().join(directory)).output().unwrap();
    assert!(output.status.success(), "{directory}: {}", String::from_utf8_lossy(&output.stderr));
    let manifests = Manifests::parse(&String::from_utf8(output.stdout).unwrap());
    rendered.insert(directory.to_owned(), manifests.clone());
    Some(manifests)
}

impl Manifests {
    fn parse(text: &str) -> Self {
        let read = |document| Value::deserialize(document).expect("kustomize writes YAML");
        Self(Arc::new(serde_yaml::Deserializer::from_str(text).map(read).collect()))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.all().filter(move |object| object["kind"] == kind)
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.all().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// The namespace of the bridge: of its storage-rest account.
    pub(crate) fn namespace(&self) -> String {
        let account = self.find("ServiceAccount", "model-catalog-storage-rest").expect("an account");
        text(&account["metadata"]["namespace"])
    }

    /// Accounts, Roles and bindings.
    pub(crate) fn rights(&self) -> Vec<Value> {
        const KINDS: [&str; 5] = ["ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
        self.all().filter(|object| KINDS.iter().any(|kind| object["kind"] == *kind)).cloned().collect()
    }
}

/// A text that must be there.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The texts of an array; none where there is no array.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    items(value).map(text).collect()
}

/// The items of an array; none where there is no array.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
