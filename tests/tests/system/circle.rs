//! The whole circle: a model is registered with the Python client, resolved and downloaded by the storage initializer,
//! served, recorded by the reconciler, shown by the bridge, followed by a better version, and put away.
//!
//! It is the story that `model-catalog-bridge demo --lifecycle` tells, which ends with an error where something in it does
//! not come to pass: files that are not what was uploaded, a record or a document that does not follow.

use std::path::Path;
use std::time::Duration;

use system_tests::{Process, Settings};

/// For some twenty waits of a story, each of them short.
const STORY: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_goes_once_around_the_circle() {
    let story = tell(&Settings::new()).await;
    assert!(story.contains("with the requests of the Python client"), "{story}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_the_python_client_registers_goes_once_around_the_circle() {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/python-client");
    let python = client.join("environment/bin/python");
    if !python.is_file() {
        assert!(std::env::var_os("REQUIRE_PYTHON_CLIENT").is_none(), "{} is not there", python.display());
        eprintln!(
            "*** NOT TESTED: the circle with the Python client, which tests/python-client/check.sh --install brings"
        );
        return;
    }
    let settings = Settings::from([
        ("LIFECYCLE_PYTHON".to_owned(), python.display().to_string()),
        ("PYTHONPATH".to_owned(), client.join("newest").display().to_string()),
    ]);
    let story = tell(&settings).await;
    assert!(story.contains("upload_artifact_and_register_model"), "{story}");
}

/// Runs the story to its end, and answers it.
async fn tell(settings: &Settings) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut settings = settings.clone();
    settings.insert("HOME".to_owned(), home.path().display().to_string());
    let demo = Process::run("model-catalog-bridge", &["demo", "--lifecycle", "--port", "0"], &settings, STORY).await;
    let story = demo.output();
    for part in [
        "its init container: 2 files",
        "version 1.0, DEPLOYED",
        "version 1.0 is served at https://granite-ai-models.apps.example.com",
        "version 2.0 is promoted",
        "version 2.0, DEPLOYED",
        "version 2.0 is served at https://granite-ai-models.apps.example.com",
        "version 1.0 is ARCHIVED; the portal is without it",
        "now means version 2.0",
        "its record is UNDEPLOYED",
        "version 1.0: ARCHIVED",
        "version 2.0: LIVE",
        "state LIVE -> ARCHIVED",
        "desiredState DEPLOYED -> UNDEPLOYED",
    ] {
        assert!(story.contains(part), "{part:?} is not told:\n{story}\n{}", demo.said());
    }
    story
}
