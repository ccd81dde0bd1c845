//! The seed job's script, against a registry.

use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::Ordering;

use sample_registry::Kind;
use tokio::process::Command;

use crate::manifests::{root, text};
use crate::writable::{WritableRegistry, all};

const TOKEN: &str = "token-of-the-seed";

/// The Python that `tests/deploy/setup.sh` installed, else the one on the path; `None` where there is neither.
fn python() -> Option<PathBuf> {
    let candidates = [root().join("tests/deploy/.venv/bin/python"), PathBuf::from("python3")];
    let runs = |program: &PathBuf| std::process::Command::new(program).arg("--version").output().is_ok();
    let found = candidates.into_iter().find(runs);
    if found.is_none() {
        eprintln!("skipped: there is no Python");
    }
    found
}

async fn seed(python: &PathBuf, registry: &WritableRegistry, token: &str) -> Output {
    let directory = root().join("deploy/model-registry/seed");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{token}\n")).unwrap();
    let mut command = Command::new(python);
    command
        .arg(directory.join("seed.py"))
        .arg(directory.join("models.json"))
        .env("REGISTRY_URL", format!("{}/", registry.url))
        .env("REGISTRY_TOKEN_FILE", file.path());
    command.output().await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_model_is_registered_once_however_often_it_runs() {
    let Some(python) = python() else { return };
    let registry = WritableRegistry::start(TOKEN).await;
    registry.not_up_for.store(2, Ordering::SeqCst);
    let first = seed(&python, &registry, TOKEN).await;
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains("waiting for the registry") && said(&first).contains("model mnist is registered"));
    assert_eq!(registry.counts(), [1, 1, 1]);
    assert_eq!(registry.registry.live_versions().len(), 1);
    let again = seed(&python, &registry, TOKEN).await;
    assert!(again.status.success() && said(&again).contains("artifact mnist-v12 is there already"), "{}", said(&again));
    assert_eq!(registry.counts(), [1, 1, 1]);
}

/// Whoever serves the model finds the labels for it in the job's log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_gives_the_labels_by_which_a_service_is_found() {
    let Some(python) = python() else { return };
    let registry = WritableRegistry::start(TOKEN).await;
    let log = said(&seed(&python, &registry, TOKEN).await);
    for (label, kind) in [("registered-model-id", Kind::RegisteredModel), ("model-version-id", Kind::ModelVersion)] {
        let id = text(&all(&registry.registry, kind)[0]["id"]);
        assert!(log.contains(&format!("modelregistry.opendatahub.io/{label}: \"{id}\"")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_ends_it_at_once_with_what_to_look_at() {
    let Some(python) = python() else { return };
    let registry = WritableRegistry::start(TOKEN).await;
    let output = seed(&python, &registry, "wrong").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("401") && said(&output).contains("get"), "{}", said(&output));
    assert_eq!(registry.counts(), [0, 0, 0]);
}
