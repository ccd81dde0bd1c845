//! What served APIs say of themselves comes to the board: when it is wanted, once, and without waiting for those that do
//! not answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
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
use service::Shutdown;
use service::http_client::TlsSettings;

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
    let asker = Asker::with_pace(&TlsSettings::default(), board.clone(), pace).unwrap();
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

/// A server that counts, and fails from the given request on and before the other.
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
    let wait = async {
        while count.load(Ordering::SeqCst) < least {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("asked again in time");
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
