//! The command line: exit codes, the last line, the summary, and what is printed.

use std::fs;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::{any, get};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::eventually;
use testkit::registry::{Fault, Matcher, ScriptedRegistry};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::registry::Served;
use crate::running::{Place, Ran, ended, model, program, run};

const SOON: Duration = Duration::from_mins(1);

async fn fetch(place: &Place, uri: &str, more: &[&str]) -> Ran {
    let destination = place.text("dest");
    let arguments: Vec<&str> = [uri, &destination].into_iter().chain(more.iter().copied()).collect();
    run(&mut program(&arguments)).await
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_model_is_fetched_and_a_second_run_fetches_nothing() {
    let place = Place::with_model();
    let summary = place.text("summary.json");
    let first = fetch(&place, &place.uri("model"), &["--summary", &summary]).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(place.fetched(), model());
    assert!(!place.path("dest/.storage-initializer").exists());
    let written = json(&fs::read_to_string(&summary).unwrap());
    assert_eq!(
        (&written["status"], &written["files"], &written["bytesFetched"]),
        (&json!("succeeded"), &json!(2), &json!(11))
    );
    let second = fetch(&place, &place.uri("model"), &["--summary", &summary]).await;
    assert_eq!(second.code, Some(0), "{second:?}");
    let written = json(&fs::read_to_string(&summary).unwrap());
    assert_eq!((&written["bytesFetched"], &written["bytesKept"]), (&json!(0), &json!(11)));
    fs::remove_file(place.path("dest/config")).unwrap();
    assert_eq!(fetch(&place, &place.uri("model"), &[]).await.code, Some(0));
    assert_eq!(place.fetched(), model());
}

#[tokio::test]
async fn a_destination_that_became_another_half_way_is_not_complete() {
    let place = Place::with_model();
    let marker = place.path("dest/.storage-initializer.json");
    assert_eq!(fetch(&place, &place.uri("model"), &[]).await.code, Some(0));
    assert!(marker.is_file());
    fs::write(place.path("model/config"), "new name").unwrap();
    fs::remove_file(place.path("dest/config")).unwrap();
    fs::create_dir(place.path("dest/config")).unwrap();
    let failed = fetch(&place, &place.uri("model"), &[]).await;
    assert_eq!(failed.code, Some(73), "{failed:?}");
    assert!(!marker.exists());
}

#[tokio::test]
async fn a_model_that_a_registry_knows_is_fetched() {
    let (place, served) = (Place::with_model(), Served::start().await);
    let id = served.model("iris").await;
    served.registered(&id, "v1", &place.uri("model")).await;
    let (destination, summary) = (place.text("dest"), place.text("summary.json"));
    let mut command = program(&["model-registry://iris/v1", &destination, "--summary", &summary]);
    let ran = run(command.env("MODEL_REGISTRY_BASE_URL", served.host())).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.fetched(), model());
    let written = json(&fs::read_to_string(&summary).unwrap());
    assert_eq!(written["source"], "model-registry://iris/v1");
    assert_eq!(written["resolved"]["uri"], place.uri("model"));
    assert_eq!(written["resolved"]["version"]["name"], "v1");
}

fn zip(path: &std::path::Path, files: &[(&str, &str)]) {
    let mut archive = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, text) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

#[tokio::test]
async fn a_model_that_is_one_archive_is_unpacked_unless_that_is_turned_off() {
    let place = Place::with_model();
    zip(&place.path("iris.zip"), &[("1/model.onnx", "weights"), ("config", "name")]);
    let uri = place.uri("iris.zip");
    for _ in 0..2 {
        let ran = fetch(&place, &uri, &[]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(place.fetched(), model());
    }
    let (other, summary) = (place.text("other"), place.text("summary.json"));
    let mut again = program(&[&uri, &place.text("dest"), "--summary", &summary]);
    run(&mut again).await;
    assert_eq!(json(&fs::read_to_string(&summary).unwrap())["bytesFetched"], 0);
    let never = run(&mut program(&[&uri, &other, "--unpack=never"])).await;
    assert_eq!(never.code, Some(0), "{never:?}");
    assert!(place.path("other/iris.zip").is_file() && !place.path("other/config").exists());
}

#[tokio::test]
async fn what_is_on_a_volume_is_linked_as_kserve_does() {
    let place = Place::with_model();
    let mount = place.text("model");
    for uri in ["pvc://claim/1", &format!("{mount}/1")] {
        let ran = fetch(&place, uri, &["--pvc-mount", &mount]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(fs::read_link(place.path("dest/model.onnx")).unwrap(), place.path("model/1/model.onnx"));
    }
    let missing = fetch(&place, "pvc://claim/2", &["--pvc-mount", &mount]).await;
    assert_eq!(missing.code, Some(66), "{missing:?}");
}

#[rstest]
#[case(&["s3://bucket/key"], "see the message above")]
#[case(&["ftp://host/model", "/tmp/never"], "the scheme of the source URI \"ftp://host/model\"")]
#[case(&["model-registry://a/b/c/d", "/tmp/never"], "more than three segments")]
#[case(&["file:///models", "/tmp/never", "--connections=0"], "see the message above")]
#[case(&["file:///models", "/tmp/never", "--no-such-flag"], "see the message above")]
#[case(&["model-registry://iris/v1", "/tmp/never", "--registry-token-file=/does/not/exist"], "MODEL_REGISTRY_TOKEN_FILE")]
#[tokio::test]
async fn a_wrong_call_ends_with_64(#[case] arguments: &[&str], #[case] part: &str) {
    let ran = run(&mut program(arguments)).await;
    assert_eq!(ran.code, Some(64), "{ran:?}");
    assert!(ran.last_line().starts_with("storage-initializer: ") && ran.last_line().contains(part), "{ran:?}");
}

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code_and_says_what_to_do() {
    let (place, registry) = (Place::with_model(), ScriptedRegistry::start().await);
    let edit = registry.edit();
    let id = edit.create_model("iris", json!({}));
    let version = edit.create_version(&id, "v1", json!({}));
    edit.create_artifact(&version, "weights", json!({ "uri": "model-registry://again", "state": "LIVE" }));
    let host = registry.address().to_string();
    let asked = async |uri: &str| fetch(&place, uri, &["--registry-base-url", &host, "--registry-retry-for=0s"]).await;
    let of_registry = |path: &str| format!("model-registry://{host}/{path}");

    let damaged = asked(&of_registry("iris/v1")).await;
    assert_eq!(damaged.code, Some(65), "{damaged:?}");
    let missing = asked(&of_registry("rose/v1")).await;
    assert_eq!(missing.code, Some(66), "{missing:?}");
    assert!(missing.last_line().contains("has no model \"rose\"; "), "{missing:?}");
    assert_eq!(asked("file:///does/not/exist").await.code, Some(66));
    registry.require_token(Some("planted"));
    let refused = asked(&of_registry("iris/v1")).await;
    assert_eq!(refused.code, Some(77), "{refused:?}");
    assert!(refused.last_line().contains("MODEL_REGISTRY_TOKEN_FILE"), "{refused:?}");
    registry.stop().await;
    let unavailable = asked(&of_registry("iris/v1")).await;
    assert_eq!(unavailable.code, Some(69), "{unavailable:?}");
    // Where the destination should be is a file.
    let _ = fs::remove_dir_all(place.path("dest"));
    fs::write(place.path("dest"), "").unwrap();
    let unwritable = asked(&place.uri("model")).await;
    assert_eq!(unwritable.code, Some(73), "{unwritable:?}");
    for ran in [damaged, missing, refused, unavailable, unwritable] {
        assert!(ran.last_line().starts_with("storage-initializer: "), "{ran:?}");
        assert!(ran.last_line().contains("; "), "no advice: {ran:?}");
    }
}

#[tokio::test]
async fn a_summary_is_written_of_failures_too() {
    let place = Place::with_model();
    let summary = place.text("summary.json");
    fs::write(&summary, "of an earlier run").unwrap();
    let ran = fetch(&place, "file:///does/not/exist", &["--summary", &summary]).await;
    let written = json(&fs::read_to_string(&summary).unwrap());
    assert_eq!((&written["status"], &written["exitCode"]), (&json!("failed"), &json!(66)));
    assert_eq!(written["reason"], "not_found");
    let last = format!(
        "storage-initializer: {}; {}",
        written["message"].as_str().unwrap(),
        written["advice"].as_str().unwrap()
    );
    assert_eq!(ran.last_line(), last);
    let elsewhere = fetch(&place, &place.uri("model"), &["--summary", "/does/not/exist/summary.json"]).await;
    assert_eq!(elsewhere.code, Some(0), "a summary is no reason to fail: {elsewhere:?}");
}

#[tokio::test]
async fn resolve_only_prints_where_the_model_is() {
    let served = Served::start().await;
    served.iris().await;
    let host = served.host();
    let ask = async |more: &[&str]| {
        let arguments = ["model-registry://iris", "--resolve-only", "--registry-base-url", &host];
        let arguments: Vec<&str> = arguments.into_iter().chain(more.iter().copied()).collect();
        run(&mut program(&arguments)).await
    };
    let text = ask(&[]).await;
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.stdout.starts_with("uri:      s3://models/iris/1\nmodel:    \"iris\" (id "), "{text:?}");
    let printed = json(&ask(&["--output=json"]).await.stdout);
    assert_eq!((&printed["uri"], &printed["version"]["name"]), (&json!("s3://models/iris/1"), &json!("v1")));
    let plain = run(&mut program(&["s3://bucket/key", "--resolve-only"])).await;
    assert_eq!(plain.stdout, "s3://bucket/key\n");
}

#[tokio::test]
async fn dry_run_lists_what_would_be_fetched() {
    let place = Place::with_model();
    let uri = place.uri("model");
    let text = run(&mut program(&[&uri, "--dry-run"])).await;
    assert_eq!(text.code, Some(0), "{text:?}");
    let mut lines: Vec<&str> = text.stdout.lines().map(str::trim).collect();
    assert_eq!(lines.pop(), Some("2 files, 11 B (11 bytes)"));
    lines.sort_unstable();
    assert_eq!(lines, ["4  config", "7  1/model.onnx"]);
    let printed = run(&mut program(&[&uri, "--dry-run", "--output=json"])).await.stdout;
    assert_eq!(json(printed.lines().next_back().unwrap())["bytes"], 11);
    let volume = run(&mut program(&["pvc://claim", "--dry-run", "--pvc-mount", &place.text("model")])).await;
    assert_eq!(volume.code, Some(0), "{volume:?}");
}

#[tokio::test]
async fn help_and_version_are_no_failure() {
    let help = run(&mut program(&["--help"])).await;
    assert_eq!(help.code, Some(0));
    for part in ["<SOURCE-URI> [DEST-PATH]", "MODEL_REGISTRY_BASE_URL", "73 no room"] {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
    let secret = run(program(&["--help"]).env("MODEL_REGISTRY_TOKEN", "planted")).await;
    assert!(!secret.stdout.contains("planted"));
    assert_eq!(run(&mut program(&["--version"])).await.code, Some(0));
}

#[rstest]
#[case("TERM", 143)]
#[case("INT", 130)]
#[tokio::test]
async fn a_signal_ends_it_at_once(#[case] signal: &str, #[case] code: i32) {
    let (place, registry) = (Place::with_model(), ScriptedRegistry::start().await);
    registry.fail(Matcher::Any, Fault::Hang);
    let (destination, summary) = (place.text("dest"), place.text("summary.json"));
    let host = registry.address().to_string();
    let uri = "model-registry://iris";
    let child = program(&[uri, &destination, "--summary", &summary, "--registry-base-url", &host]).spawn().unwrap();
    eventually(SOON, "the registry is asked", async || registry.total() > 0).await;
    let id = child.id().unwrap().to_string();
    let sent = tokio::process::Command::new("kill").args(["-s", signal, &id]).status().await.unwrap();
    assert!(sent.success());
    let ran = ended(child).await;
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.last_line().contains(&format!("stopped by SIG{signal}")), "{ran:?}");
    assert_eq!(json(&fs::read_to_string(&summary).unwrap())["status"], "stopped");
}

/// `http://host:port` of a server.
async fn served(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn how_far_a_download_is_is_told_every_so_often() {
    let endless = || {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from(vec![7; 64 << 10])) });
        let body = Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()));
        axum::http::Response::builder().header("content-length", 1 << 20).body(body).unwrap()
    };
    let url = served(Router::new().route("/model.bin", get(move || async move { endless() }))).await;
    let (place, uri) = (Place::with_model(), format!("{url}/model.bin"));
    let mut child = program(&[&uri, &place.text("dest"), "--progress-interval=20ms"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = eventually(SOON, "a line of progress", async || {
        let line = lines.next_line().await.unwrap().expect("it goes on");
        line.contains("64.0 KiB of 1.0 MiB").then_some(line)
    });
    let line = told.await;
    assert!(line.contains("0 of 1 files"), "{line}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn metrics_are_pushed_where_that_is_set() {
    let pushed: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let sink = Arc::clone(&pushed);
    let take = move |request: Request| {
        let sink = Arc::clone(&sink);
        async move {
            let path = format!("{} {}", request.method(), request.uri().path());
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            sink.lock().unwrap().push((path, String::from_utf8(body.to_vec()).unwrap()));
        }
    };
    let url = served(Router::new().fallback(any(take))).await;
    let place = Place::with_model();
    let (uri, destination) = (place.uri("model"), place.text("dest"));
    let mut command = program(&[&uri, &destination, "--metrics-push-url", &url]);
    let ran = run(command.env("HOSTNAME", "iris-predictor-0")).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (path, text) = pushed.lock().unwrap().pop().unwrap();
    assert_eq!(path, "PUT /metrics/job/storage-initializer/instance/iris-predictor-0");
    assert!(
        text.contains("storage_initializer_exit_code 0\n") && text.contains("storage_initializer_files 2\n"),
        "{text}"
    );
    let away = fetch(&place, &uri, &["--metrics-push-url=http://127.0.0.1:9"]).await;
    assert_eq!(away.code, Some(0), "metrics are no reason to fail: {away:?}");
}

#[tokio::test]
async fn log_lines_may_be_json_and_the_last_line_is_text() {
    let place = Place::with_model();
    let ran = fetch(&place, "file:///does/not/exist", &["--log-format=json"]).await;
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let (last, others) = lines.split_last().unwrap();
    assert!(last.starts_with("storage-initializer: "), "{ran:?}");
    assert!(others.iter().all(|line| json(line).is_object()), "{ran:?}");
}
