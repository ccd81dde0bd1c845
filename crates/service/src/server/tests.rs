use std::sync::Arc;

use axum::body::Bytes;
use axum::routing::{get, post};
use futures::StreamExt;
use http::StatusCode;
use serde_json::Value;
use tokio::sync::Notify;

use super::*;

const PATIENT: Limits = Limits {
    body_bytes: 16 << 20,
    concurrent_requests: 256,
    waiting_requests: 1024,
    request_timeout: Duration::from_secs(20),
    connections: 100,
    head_timeout: Duration::from_secs(20),
    write_timeout: Duration::from_secs(20),
};
const SMALL: Limits = Limits { body_bytes: 1024, concurrent_requests: 1, waiting_requests: 0, ..PATIENT };

struct Started {
    url: String,
    http: reqwest::Client,
    shutdown: Shutdown,
    task: JoinHandle<io::Result<()>>,
}

fn any_port() -> Listen {
    Listen { address: ([127, 0, 0, 1], 0).into(), setting: "--listen-address" }
}

async fn start(server: ServerBuilder) -> Started {
    let shutdown = Shutdown::new();
    let bound = server.bind(any_port()).await.unwrap();
    let url = format!("http://{}", bound.local_addr());
    let task = tokio::spawn(bound.serve(shutdown.clone()));
    crate::http_client::install_crypto_provider();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Started { url, http, shutdown, task }
}

impl Started {
    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.unwrap().unwrap();
    }
}

fn error_of(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    value["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_address_and_setting() {
    let bound = ServerBuilder::new("one").bind(any_port()).await.unwrap();
    let listen = Listen { address: bound.local_addr(), setting: "--listen-address / LOCATION_LISTEN_ADDRESS" };
    let error = ServerBuilder::new("two").bind(listen).await.unwrap_err().to_string();
    assert!(error.contains(&bound.local_addr().to_string()), "{error}");
    assert!(error.contains("--listen-address / LOCATION_LISTEN_ADDRESS"), "{error}");
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let readiness = Readiness::not_ready("still loading");
    let server = start(ServerBuilder::new("sample-service").readiness(readiness.clone())).await;
    assert_eq!(server.get("/healthz").await, (StatusCode::OK, "ok".to_owned()));
    let (status, text) = server.get("/readyz").await;
    assert_eq!((status, error_of(&text).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "still loading"));
    assert!(server.get("/metrics").await.1.contains("sample_service_ready 0\n"));
    readiness.set_ready();
    readiness.until_ready().await;
    assert_eq!(server.get("/readyz").await.0, StatusCode::OK);
    let (_, text) = server.get("/metrics").await;
    assert!(text.contains("sample_service_ready 1\n"), "{text}");
    let expected = r#"sample_service_http_requests_total{route="/readyz",method="GET",status="503"} 1"#;
    assert!(text.contains(expected), "{text}");
    assert!(text.ends_with("# EOF\n"));
    server.stop().await;
}

#[tokio::test]
async fn errors_are_json_wherever_they_come_from() {
    let router = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("secret detail") }))
        .route("/typed/{number}", get(async |axum::extract::Path(_): axum::extract::Path<u8>| "fine"))
        .route("/own", get(async || ApiError::new(StatusCode::CONFLICT, "taken")));
    let server = start(ServerBuilder::new("sample").router(router)).await;
    for (path, expected, message) in [
        ("/nothing", StatusCode::NOT_FOUND, "there is no route GET /nothing"),
        ("/panic", StatusCode::INTERNAL_SERVER_ERROR, "internal error: see the log of the service"),
        ("/own", StatusCode::CONFLICT, "taken"),
    ] {
        let (status, text) = server.get(path).await;
        assert_eq!((status, error_of(&text).as_str()), (expected, message), "{path}");
    }
    let (status, text) = server.get("/typed/x").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error_of(&text).contains("Invalid URL"), "{text}");

    let response = server.http.post(format!("{}/own", server.url)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    assert_eq!(error_of(&response.text().await.unwrap()), "/own does not take the method POST");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413() {
    let router = Router::new().route("/", post(async |body: Bytes| body.len().to_string()));
    let server = start(ServerBuilder::new("sample").router(router).limits(SMALL)).await;
    let send = async |body: reqwest::Body| {
        let response = server.http.post(&server.url).body(body).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    assert_eq!(send(vec![0; SMALL.body_bytes].into()).await, (StatusCode::OK, "1024".to_owned()));
    let (status, text) = send(vec![0; SMALL.body_bytes + 1].into()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(error_of(&text), "the body is too large: at most 1024 bytes are taken");
    assert_eq!(send(vec![0; 20 << 20].into()).await.0, StatusCode::PAYLOAD_TOO_LARGE);

    let chunks = futures::stream::iter(0..100).map(|_| Ok::<_, io::Error>(vec![0_u8; 100]));
    let (status, text) = send(reqwest::Body::wrap_stream(chunks)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!error_of(&text).is_empty());
    server.stop().await;
}

/// A route that tells when it was entered and answers when it is told to.
fn held() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, wait) = (Arc::clone(&entered), Arc::clone(&release));
    let handler = async move || {
        enter.notify_one();
        wait.notified().await;
        "done"
    };
    (Router::new().route("/held", get(handler)), entered, release)
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (router, entered, release) = held();
    let server = start(ServerBuilder::new("sample").router(router)).await;
    let request = server.http.get(format!("{}/held", server.url)).send();
    let request = tokio::spawn(request);
    entered.notified().await;
    server.shutdown.trigger();
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
    let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
    release.notify_one();
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.text().await.unwrap(), "done");
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn more_requests_than_may_wait_are_turned_away_and_health_is_not() {
    let (router, entered, release) = held();
    let server = start(ServerBuilder::new("sample").router(router).limits(SMALL)).await;
    let first = tokio::spawn(server.http.get(format!("{}/held", server.url)).send());
    entered.notified().await;
    let response = server.http.get(format!("{}/held", server.url)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(server.get("/healthz").await.0, StatusCode::OK);
    release.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let (router, _, _) = held();
    let limits = Limits { request_timeout: Duration::from_millis(20), ..SMALL };
    let server = start(ServerBuilder::new("sample").router(router).limits(limits)).await;
    let (status, text) = server.get("/held").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(error_of(&text).contains("longer than 0.02 s"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_service_may_give_all_errors_another_shape() {
    let errors = ErrorShape {
        body: |status, message| serde_json::json!({ "code": status.as_u16(), "message": message }),
        schema: || utoipa::openapi::schema::empty().into(),
    };
    let routes = Router::new()
        .route("/echo", post(|_: Bytes| async {}))
        .route("/refuse", get(|| async { ApiError::unavailable("not now") }))
        .route("/plain", get(|| async { (StatusCode::BAD_REQUEST, "plain") }))
        .route("/panic", get(|| async { Some(()).filter(|()| false).expect("a panic on purpose") }));
    let server = start(ServerBuilder::new("test").router(routes).errors(errors).limits(SMALL)).await;
    for (path, status) in [("/refuse", 503), ("/plain", 400), ("/panic", 500), ("/nowhere", 404), ("/echo", 405)] {
        let answer = server.http.get(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(answer.headers().contains_key("retry-after"), path == "/refuse", "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["code"], status, "{path}");
        assert!(body["message"].is_string() && body.get("error").is_none(), "{path}: {body}");
    }
    let too_large = server.http.post(format!("{}/echo", server.url)).body(vec![0; 2000]).send().await.unwrap();
    assert_eq!(too_large.json::<Value>().await.unwrap()["code"], 413);
    server.stop().await;
}
