//! A Hub.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rstest::rstest;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use storage_initializer::Kind;
use storage_initializer::environment::Environment;
use storage_initializer::source::hub::HubSource;
use storage_initializer::uri::HubUri;
use tempfile::TempDir;

use super::images::digest;
use super::server::{Asked, Server, file, status};
use super::*;
use crate::suite::{self, Files};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const FILES: [(&str, &str); 5] = [
    ("README.md", "# Model"),
    ("config.json", "{}"),
    ("onnx/a b#1.onnx", "onnx"),
    ("onnx/model.onnx", "other"),
    ("onnx-old/model.onnx", "old"),
];
const LARGE: (&str, &str) = ("model.safetensors", "large weights");

/// The SHA-1 of a git blob.
fn git(content: &[u8]) -> String {
    let blob = [format!("blob {}\0", content.len()).as_bytes(), content].concat();
    hex(&Sha1::digest(&blob))
}

fn entry((path, content): (&String, &Vec<u8>)) -> Value {
    if path == LARGE.0 {
        let sha = digest(content);
        let lfs = json!({ "oid": sha.trim_start_matches("sha256:"), "size": content.len(), "pointerSize": 130 });
        return json!({ "type": "file", "oid": git(b"pointer"), "size": 130, "path": path, "lfs": lfs });
    }
    json!({ "type": "file", "oid": git(content), "size": content.len(), "path": path })
}

fn refusal(code: StatusCode, error: &'static str) -> Response {
    (code, [("x-error-code", error), ("x-error-message", "because")]).into_response()
}

fn decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8().unwrap().into_owned()
}

/// The files of most tests.
fn repository() -> Files {
    FILES.iter().chain([&LARGE]).map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec())).collect()
}

/// Lists of two entries a page; the next page is where the answer says, with a cursor.
fn page(files: &Files, server: &str, path: &str, query: &str) -> Response {
    let mut entries: Vec<Value> = files.iter().map(entry).collect();
    entries.insert(0, json!({ "type": "directory", "path": "onnx", "oid": git(b""), "size": 0 }));
    entries.retain(|entry| path.is_empty() || entry["path"].as_str().unwrap().starts_with(&format!("{path}/")));
    let begin: usize = query.split("cursor=").nth(1).map_or(0, |cursor| cursor.parse().unwrap());
    let here: Vec<Value> = entries.iter().skip(begin).take(2).cloned().collect();
    let body = Value::from(here).to_string();
    if begin + 2 >= entries.len() {
        return body.into_response();
    }
    let next = format!("{server}/api/models/team/model/tree/{COMMIT}/{path}?recursive=true&cursor={}", begin + 2);
    ([(header::LINK, format!(r#"<{next}>; rel="next""#))], body).into_response()
}

fn answer(files: &Files, asked: &Asked, cdn: &str) -> Response {
    let server = format!("http://{}", asked.headers[header::HOST].to_str().unwrap());
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    match path {
        "/api/models/team/model/revision/main" | "/api/models/team/model/revision/refs%2Fpr%2F1" => {
            return json!({ "sha": COMMIT, "private": false }).to_string().into_response();
        }
        "/api/models/team/gated/revision/main" => return refusal(StatusCode::FORBIDDEN, "GatedRepo"),
        "/api/models/team/nobody/revision/main" => return refusal(StatusCode::UNAUTHORIZED, "RepoNotFound"),
        _ if path.contains("/revision/") => return refusal(StatusCode::NOT_FOUND, "RevisionNotFound"),
        _ => {}
    }
    if path == format!("/api/models/team/model/paths-info/{COMMIT}") {
        assert_eq!(asked.method, "POST");
        let question: Value = serde_json::from_slice(&asked.body).unwrap();
        let found = files.iter().filter(|(path, _)| question["paths"] == json!([path]));
        return Value::from(found.map(entry).collect::<Vec<_>>()).to_string().into_response();
    }
    if let Some(below) = path.strip_prefix(&format!("/api/models/team/model/tree/{COMMIT}")) {
        let below = below.trim_start_matches('/');
        if !["", "onnx"].contains(&below) {
            return refusal(StatusCode::NOT_FOUND, "EntryNotFound");
        }
        return page(files, &server, below, query);
    }
    let Some(name) = path.strip_prefix(&format!("/team/model/resolve/{COMMIT}/")).map(decoded) else {
        return status(StatusCode::NOT_FOUND);
    };
    if name == LARGE.0 {
        return (StatusCode::FOUND, [(header::LOCATION, format!("{cdn}/large?signature=1"))]).into_response();
    }
    match files.get(&name) {
        Some(content) => file(asked, content),
        None => refusal(StatusCode::NOT_FOUND, "EntryNotFound"),
    }
}

struct Hub {
    server: Server,
    cdn: Server,
}

impl Hub {
    async fn start() -> Self {
        Self::of(repository()).await
    }

    async fn of(files: Files) -> Self {
        let large = files.get(LARGE.0).cloned().unwrap_or_default();
        let cdn = Server::start(move |asked| file(asked, &large)).await;
        let address = format!("http://{}", cdn.address);
        Self { server: Server::start(move |asked| answer(&files, asked, &address)).await, cdn }
    }

    fn source(&self, repository: &str, revision: Option<&str>, path: &str, variables: &[(&str, &str)]) -> SharedSource {
        let endpoint = format!("http://{}", self.server.address);
        let environment: Environment = variables.iter().copied().chain([("HF_ENDPOINT", &*endpoint)]).collect();
        let uri = HubUri { repository: repository.into(), revision: revision.map(str::to_owned), path: path.into() };
        Arc::new(HubSource::open(&uri, &environment, &network()).unwrap())
    }

    fn model(&self, path: &str) -> SharedSource {
        self.source("team/model", None, path, &[("HF_TOKEN", "planted")])
    }
}

async fn brought(source: SharedSource) -> Result<BTreeMap<String, String>, Failure> {
    let destination = TempDir::new().unwrap();
    bring(source, destination.path()).await?;
    Ok(files(destination.path()))
}

#[tokio::test]
async fn a_hub_is_a_source() {
    let mut files = suite::model();
    files.insert(LARGE.0.to_owned(), testkit::noise(100_000));
    let hub = Hub::of(files.clone()).await;
    suite::holds(&*hub.model(""), &files).await;
    suite::is_missing(&*hub.source("team/model", Some("v9"), "", &[])).await;
    suite::is_denied(&*hub.source("team/gated", None, "", &[])).await;
}

#[tokio::test]
async fn a_repository_of_nothing_is_not_found() {
    suite::is_missing(&*Hub::of(Files::new()).await.model("")).await;
}

#[tokio::test]
async fn all_files_of_a_repository_come_page_by_page() {
    let hub = Hub::start().await;
    let expected: BTreeMap<String, String> = tree(&FILES).into_iter().chain(tree(&[LARGE])).collect();
    assert_eq!(brought(hub.model("")).await.unwrap(), expected);
    let pages = hub.server.asked().iter().filter(|asked| asked.path.contains("/tree/")).count();
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn checksums_are_those_of_large_files_and_of_git() {
    let hub = Hub::start().await;
    let objects = listed(&*hub.model("")).await.unwrap();
    let algorithms: BTreeMap<&str, &str> =
        objects.iter().map(|object| (object.locator.as_str(), object.checksum.as_ref().unwrap().algorithm())).collect();
    assert_eq!(algorithms[LARGE.0], "SHA-256");
    assert_eq!(algorithms["config.json"], "git SHA-1");
    let large = objects.iter().find(|object| object.locator == LARGE.0).unwrap();
    assert_eq!(large.size, Some(LARGE.1.len() as u64), "not that of the pointer");
}

#[rstest]
#[case::a_directory("onnx", &[("a b#1.onnx", "onnx"), ("model.onnx", "other")])]
#[case::a_file("onnx/a b#1.onnx", &[("a b#1.onnx", "onnx")])]
#[case::a_large_file("model.safetensors", &[LARGE])]
#[tokio::test]
async fn a_path_is_a_directory_or_a_file(#[case] path: &str, #[case] expected: &[(&str, &str)]) {
    let hub = Hub::start().await;
    assert_eq!(brought(hub.model(path)).await.unwrap(), tree(expected));
}

#[tokio::test]
async fn everything_is_read_at_the_commit_of_the_revision() {
    let hub = Hub::start().await;
    brought(hub.source("team/model", Some("refs/pr/1"), "", &[])).await.unwrap();
    let asked = hub.server.asked();
    let revisions = asked.iter().filter(|asked| asked.path.contains("/revision/")).count();
    assert_eq!(revisions, 1);
    assert!(asked.iter().all(|asked| asked.path.contains("/revision/") || asked.path.contains(COMMIT)));
}

#[tokio::test]
async fn the_token_goes_to_the_hub_alone() {
    let hub = Hub::start().await;
    brought(hub.model("")).await.unwrap();
    assert!(hub.server.asked().iter().all(|asked| asked.authorization() == Some("Bearer planted")));
    assert!(!hub.cdn.asked().is_empty());
    assert!(hub.cdn.asked().iter().all(|asked| asked.authorization().is_none()));
}

#[tokio::test]
async fn ranges_are_asked_for() {
    let hub = Hub::start().await;
    let source = hub.model("");
    let objects = listed(&*source).await.unwrap();
    for object in objects.iter().filter(|object| [LARGE.0, "README.md"].contains(&object.locator.as_str())) {
        let content = source.read(object, Some(2..5)).await.unwrap();
        assert!(content.is_range && content.size == object.size);
        let bytes: Vec<bytes::Bytes> = futures::TryStreamExt::try_collect(content.bytes).await.unwrap();
        let whole = if object.locator == LARGE.0 { LARGE.1 } else { FILES[0].1 };
        assert_eq!(bytes.concat(), &whole.as_bytes()[2..5]);
    }
}

#[rstest]
#[case("team/gated", None, &[], Kind::Permission, "and give a token of that user in HF_TOKEN")]
#[case("team/gated", None, &[("HF_TOKEN", "planted")], Kind::Permission, "as the user whose token it is")]
#[case("team/nobody", None, &[], Kind::Permission, "if the model is private, give a token")]
#[case("team/nobody", None, &[("HF_TOKEN", "planted")], Kind::Permission, "whether the token may read it")]
#[case("team/model", Some("v9"), &[], Kind::NotFound, "such a branch")]
#[tokio::test]
async fn what_is_refused_says_what_to_do(
    #[case] repository: &str,
    #[case] revision: Option<&str>,
    #[case] variables: &[(&str, &str)],
    #[case] kind: Kind,
    #[case] advice: &str,
) {
    let hub = Hub::start().await;
    let failure = listed(&*hub.source(repository, revision, "", variables)).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.advice.contains(advice) && failure.what.contains("because"), "{failure}");
    assert!(!failure.to_string().contains("planted"), "{failure}");
}

#[tokio::test]
async fn a_path_that_is_not_there_says_so() {
    let hub = Hub::start().await;
    let failure = listed(&*hub.model("nothing")).await.unwrap_err();
    assert!(failure.kind == Kind::NotFound && failure.advice.contains("such a path"), "{failure}");
}

#[tokio::test]
async fn a_hub_that_is_busy_is_asked_again() {
    let hub = Hub::start().await;
    for part in ["/revision/", "/tree/", "/resolve/", "/resolve/"] {
        hub.server.fail(part, StatusCode::TOO_MANY_REQUESTS);
        hub.server.fail(part, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(brought(hub.model("")).await.unwrap().len(), FILES.len() + 1);
}

#[tokio::test]
async fn lists_are_not_read_on_elsewhere() {
    let server = Server::start(|asked| {
        if asked.path.contains("/revision/") {
            return json!({ "sha": COMMIT }).to_string().into_response();
        }
        ([(header::LINK, r#"<http://127.0.0.1:1/next>; rel="next""#)], "[]").into_response()
    })
    .await;
    let hub = Hub { cdn: server.clone(), server };
    let failure = listed(&*hub.model("")).await.unwrap_err();
    assert!(failure.kind == Kind::Integrity && failure.what.contains("another server"), "{failure}");
}

#[tokio::test]
async fn a_commit_that_is_none_is_not_believed() {
    let server = Server::start(|_| json!({ "sha": "../../other/model" }).to_string().into_response()).await;
    let hub = Hub { cdn: server.clone(), server };
    assert_eq!(listed(&*hub.model("")).await.unwrap_err().kind, Kind::Integrity);
}
