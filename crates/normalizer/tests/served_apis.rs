//! What served APIs say of themselves comes to the board: when it is wanted, once, and without waiting for those that do
//! not answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "shared by tests of which none needs all of it")]
#[path = "economy/storage.rs"]
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use normalizer::inventory::ServedApi;
use normalizer::observe::Board;
use normalizer::observe::served_apis::{Asker, Pace};
use normalizer::project::{Question, Questions};
use serde_json::{Value, json};
use service::Shutdown;
use service::guard::{Guard, Loopback};
use service::http_client::TlsSettings;
use testkit::wait::eventually;

use storage::CountingStorage;

const OPENAPI: &str = r#"{"openapi":"3.1.0"}"#;
const MODELS: &str = r#"{"data": [{"id": "granite"}]}"#;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

async fn served(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

fn asking(pace: Pace) -> (Board, Shutdown) {
    let (board, shutdown) = (Board::default(), Shutdown::new());
    let asker =
        Asker::with_pace(&TlsSettings::default(), Guard { loopback: Loopback::Allowed }, board.clone(), pace).unwrap();
    tokio::spawn(asker.run(shutdown.clone()));
    (board, shutdown)
}

fn questions(asked: &[(&str, &[Question])]) -> Questions {
    asked.iter().map(|(url, questions)| ((*url).to_owned(), questions.iter().copied().collect())).collect()
}

async fn answers(board: &Board, enough: impl Fn(&BTreeMap<String, ServedApi>) -> bool) -> BTreeMap<String, ServedApi> {
    let mut changes = board.changes();
    let wait = async {
        loop {
            changes.borrow_and_update();
            let known = board.observed().inventory.served_apis;
            if enough(&known) {
                return (*known).clone();
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the answers in time")
}

#[tokio::test]
async fn what_is_asked_is_answered() {
    let routes = Router::new().route("/openapi.json", get(|| async { OPENAPI }));
    let url = served(routes.route("/v1/models", get(|| async { MODELS }))).await;
    let (board, shutdown) = asking(Pace::default());
    board.ask(questions(&[(&url, &[Question::OpenApi, Question::Models])]));
    let known = answers(&board, |known| !known.is_empty()).await;
    let expected = ServedApi { openapi: Some(OPENAPI.into()), models: Some(vec!["granite".to_owned()]) };
    assert_eq!(known, BTreeMap::from([(url, expected)]));
    shutdown.trigger();
}

#[tokio::test]
async fn one_that_hangs_delays_no_other_and_is_given_up() {
    let good = served(Router::new().route("/openapi.json", get(|| async { OPENAPI }))).await;
    let hanging = served(Router::new().route("/openapi.json", get(std::future::pending::<()>))).await;
    let (board, shutdown) = asking(Pace { timeout: Duration::from_secs(2), ..Pace::default() });
    board.ask(questions(&[(&good, &[Question::OpenApi]), (&hanging, &[Question::OpenApi])]));
    let first = answers(&board, |known| !known.is_empty()).await;
    assert_eq!(first.keys().collect::<Vec<_>>(), [&good], "what answers is shown before the other is given up");
    let both = answers(&board, |known| known.len() == 2).await;
    assert_eq!(both[&hanging], ServedApi::default(), "it was asked, and gave no answer");
    shutdown.trigger();
}

/// A server that counts, and answers only the requests of these numbers.
async fn counting(good: std::ops::Range<usize>) -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let answer = move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let answer = if good.contains(&number) { Ok(OPENAPI) } else { Err(StatusCode::INTERNAL_SERVER_ERROR) };
        async move { answer }
    };
    (served(Router::new().route("/openapi.json", get(answer))).await, count)
}

async fn reached(count: &AtomicUsize, least: usize) {
    eventually(DEADLINE, "asked again", async || count.load(Ordering::SeqCst) >= least).await;
}

#[tokio::test]
async fn an_answer_is_kept_when_the_service_goes_and_comes_back() {
    let (url, count) = counting(0..usize::MAX).await;
    let (board, shutdown) = asking(Pace::default());
    let asked = questions(&[(&url, &[Question::OpenApi])]);
    board.ask(asked.clone());
    answers(&board, |known| known.len() == 1).await;
    board.ask(Questions::new());
    answers(&board, BTreeMap::is_empty).await;
    board.ask(asked);
    answers(&board, |known| known.len() == 1).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    shutdown.trigger();
}

#[tokio::test]
async fn a_failure_is_tried_again_and_takes_no_answer_away() {
    let (url, count) = counting(1..2).await;
    let pace = Pace { retry: Duration::from_millis(20), fresh: Duration::from_millis(80), ..Pace::default() };
    let (board, shutdown) = asking(pace);
    board.ask(questions(&[(&url, &[Question::OpenApi])]));
    let answered = |known: &BTreeMap<String, ServedApi>| known.get(&url).is_some_and(|api| api.openapi.is_some());
    answers(&board, answered).await;
    reached(&count, 4).await;
    assert!(answered(&board.observed().inventory.served_apis), "what it said before it began to fail");
    shutdown.trigger();
}

#[tokio::test]
async fn nothing_is_asked_that_nobody_wants_to_know() {
    let (url, count) = counting(0..usize::MAX).await;
    let other = served(Router::new().route("/openapi.json", get(|| async { OPENAPI }))).await;
    let (board, shutdown) = asking(Pace::default());
    board.ask(questions(&[(&other, &[Question::OpenApi])]));
    answers(&board, |known| known.len() == 1).await;
    assert_eq!(count.load(Ordering::SeqCst), 0, "{url}");
    shutdown.trigger();
}

#[tokio::test]
async fn many_are_asked_in_turn() {
    let (url, count) = counting(0..usize::MAX).await;
    let (board, shutdown) = asking(Pace::default());
    // Paths of one server are as good as servers.
    let urls: BTreeSet<String> = (0..60).map(|number| format!("{url}/{number}")).collect();
    let all: Vec<(&str, &[Question])> = urls.iter().map(|url| (url.as_str(), &[Question::OpenApi][..])).collect();
    board.ask(questions(&all));
    let known = answers(&board, |known| known.len() == 60).await;
    assert!(known.values().all(|api| *api == ServedApi::default()), "there is nothing at these paths");
    assert_eq!(count.load(Ordering::SeqCst), 0);
    shutdown.trigger();
}

/// A manifest with a language model at that address.
fn manifest(url: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let object = json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
        "metadata": {"namespace": "chat", "name": "qwen"}, "spec": {"model": {"name": "org/qwen"}},
        "status": {"url": url, "conditions": [{"type": "Ready", "status": "True"}]},
    });
    file.write_all(object.to_string().as_bytes()).unwrap();
    file
}

async fn normalizer(storage: &CountingStorage, manifest: &tempfile::NamedTempFile, flags: &[&str]) -> Shutdown {
    let own = [
        "normalizer".to_owned(),
        "--admin-address=127.0.0.1:0".to_owned(),
        "--format=JsonArrayFormat".to_owned(),
        "--polling-interval=50ms".to_owned(),
        format!("--storage-url={}", storage.url),
        format!("--manifests={}", manifest.path().display()),
    ];
    let args = own.into_iter().chain(flags.iter().map(ToString::to_string));
    let settings = service::settings::try_parse_from(args, |_| Some("".into())).unwrap();
    let shutdown = Shutdown::new();
    normalizer::start(settings, shutdown.clone()).await.unwrap();
    shutdown
}

fn server_of(storage: &CountingStorage) -> Value {
    let seen = storage.seen();
    let body = seen.entries.get("chat_qwen").map(|post| post.body.clone()).unwrap_or_default();
    serde_json::from_slice::<Value>(&body).unwrap_or_default()["modelServer"].take()
}

/// Waits until storage was compared twice more.
async fn another_round(storage: &CountingStorage) {
    let lists = storage.seen().lists;
    eventually(DEADLINE, "storage is compared again", async || storage.seen().lists >= lists + 2).await;
}

#[tokio::test]
async fn what_an_api_says_is_published_and_a_restart_does_not_take_it_back() {
    let (url, count) = counting(0..usize::MAX).await;
    let (storage, manifest) = (CountingStorage::start().await, manifest(&url));
    let flags = ["--fetch-openapi", "--emit=ai-model-server-api"];
    let first = normalizer(&storage, &manifest, &flags).await;
    eventually(DEADLINE, "the document is published", async || server_of(&storage)["API"]["spec"] == OPENAPI).await;
    assert_eq!(server_of(&storage)["annotations"]["rhdh.io/api-entity-ref"], "api:default/chat-qwen");
    first.trigger();

    storage.take_upserts();
    let asked = count.load(Ordering::SeqCst);
    let second = normalizer(&storage, &manifest, &flags).await;
    reached(&count, asked + 1).await;
    another_round(&storage).await;
    assert_eq!(storage.take_upserts(), [""; 0], "nothing is sent without the document that is stored");
    second.trigger();
}

#[tokio::test]
async fn with_the_settings_off_no_model_server_is_asked() {
    let (url, count) = counting(0..usize::MAX).await;
    let (storage, manifest) = (CountingStorage::start().await, manifest(&url));
    let running = normalizer(&storage, &manifest, &[]).await;
    eventually(DEADLINE, "the entry is published", async || server_of(&storage)["API"]["spec"] == "TBD").await;
    another_round(&storage).await;
    assert_eq!(count.load(Ordering::SeqCst), 0);
    running.trigger();
}
