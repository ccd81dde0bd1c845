//! The pages of location in a browser: real binaries here, and what is done in Chromium in `tests/browser`. Without Chromium
//! or Node this test does nothing, and `make test` says so. Screenshots are left in `target/screenshots`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop at once"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use system_tests::{Process, SOON, Settings, http, port};
use testkit::eventually;

/// How long all that is done in the browser may take, on a machine that is busy with other tests.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(8);

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// The browser that `tests/setup/chromium.sh` found; `None` where it found none.
fn browser() -> Option<String> {
    let installed = std::fs::read_to_string(directory().join("node_modules/.installed"));
    let found = installed.ok().and_then(|text| text.lines().nth(1).map(str::to_owned));
    let insists = std::env::var("REQUIRE_BROWSER").is_ok_and(|value| value == "1");
    assert!(found.is_some() || !insists, "REQUIRE_BROWSER=1, but there is no browser: run tests/setup/chromium.sh");
    if found.is_none() {
        eprintln!("skipped: there is no browser; tests/setup/chromium.sh installs one");
    }
    found
}

/// What a normalizer says that has had all kinds of trouble.
fn status() -> Value {
    json!({
        "lastSync": "2026-01-01T12:00:00Z", "entries": 31, "entriesBySource": {"registry/main": 24, "registry/team-a": 5, "cluster/default": 2},
        "sources": {
            "cluster/default": {"stale": false, "lastRead": "2026-01-01T12:00:00Z", "lastCompleteRead": "2026-01-01T12:00:00Z", "completeReads": 1, "records": 9},
            "registry/main": {"stale": false, "lastRead": "2026-01-01T12:00:00Z", "lastCompleteRead": "2026-01-01T11:40:00Z", "completeReads": 12, "records": 48},
            "registry/team-a": {"stale": true, "lastRead": "2026-01-01T09:00:00Z", "lastCompleteRead": "2026-01-01T09:00:00Z", "completeReads": 4, "records": 11,
                "failure": "the registry at https://registry.team-a.example.com answers 401 Unauthorized: set KFMR_TOKEN"},
            "registry/team-b": {"stale": false},
        },
        "heldRemovals": [{"source": "registry/team-a", "entries": 18, "since": "2026-01-01T11:58:00Z"}],
        "refused": ["large-model_v1: the entry is larger than a ConfigMap may be"],
        "diagnostics": [
            {"source": "registry/main", "subject": "model `llama-3.1-8b-instruct` version `base`", "problem": "licence `llama3.1` is neither a URL nor a known SPDX identifier: kept as a tag"},
            {"source": "registry/main", "subject": "<script>globalThis.pwned=1</script>", "problem": "property `How to use` left out: relative URL without a base"},
        ],
    })
}

async fn normalizer() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/status", get(async || Json(status())));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

#[tokio::test]
async fn the_pages_hold_in_a_browser() {
    let Some(browser) = browser() else { return };
    let files = tempfile::tempdir().unwrap();
    let (storage, location) = (format!("127.0.0.1:{}", port()), format!("127.0.0.1:{}", port()));
    let url = |address: &str| format!("http://{address}");
    let common = [("HOME", files.path().display().to_string()), ("NORMALIZER_FORMAT", "JsonArrayFormat".to_owned())];
    let with = |own: &[(&str, String)]| -> Settings {
        common.iter().chain(own).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let storage_settings = with(&[
        ("STORAGE_LISTEN_ADDRESS", storage.clone()),
        ("STORAGE_TYPE", "Sqlite".to_owned()),
        ("SQLITE_PATH", files.path().join("storage.sqlite").display().to_string()),
        ("LOCATION_URL", url(&location)),
    ]);
    let location_settings = with(&[
        ("LOCATION_LISTEN_ADDRESS", location.clone()),
        ("STORAGE_URL", url(&storage)),
        ("NORMALIZER_URL", normalizer().await),
    ]);
    let _storage = Process::start("storage-rest", &[], &storage_settings);
    let _location = Process::start("location", &[], &location_settings);
    let reachable = async |address: &str, path: &str| http().get(format!("{}{path}", url(address))).send().await.ok();
    eventually(SOON, "storage-rest answers", async || reachable(&storage, "/list").await).await;
    eventually(SOON, "location answers", async || reachable(&location, "/healthz").await).await;

    let target = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target");
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", "src/pages.test.js"]).current_dir(directory());
    let settings = Settings::from(
        [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", files.path().display().to_string()),
            ("TMPDIR", files.path().display().to_string()),
            ("LOCATION_URL", url(&location)),
            ("STORAGE_URL", url(&storage)),
            ("CHROMIUM", browser),
            ("SCREENSHOTS", target.join("screenshots").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let mut node = Process::spawn("node", node, &settings);
    let ended = node.ended(PATIENCE).await;
    assert!(ended.success(), "{}", node.said());
    assert!(node.output().contains("pass"), "it has tested something: {}", node.said());
}
