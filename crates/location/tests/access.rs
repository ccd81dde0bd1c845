//! Who may write to location, and read from it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use common::{Answer, Kind, Location, Storage, document};
use http::StatusCode;
use model_catalog::render::Format;

const JSON: Format = Format::ModelCatalogJson;
const READS: [&str; 5] = [
    "/list",
    "/m/v1/model-catalog.json",
    "/models/m/v1/model-catalog.json",
    "/models//m/v1/model-catalog.json",
    "/modelcard?key=none",
];

async fn location(args: &[&str]) -> Location {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &document("one"));
    let location = Location::start_with(JSON, &storage.url, args).await;
    location.until_ready().await;
    location
}

async fn write(location: &Location, token: Option<&str>) -> Vec<StatusCode> {
    let body = serde_json::to_string(&document("two")).unwrap();
    let upsert = location.http.post(format!("{}/upsert?key=m_v1", location.url)).body(body);
    let remove = location.http.delete(format!("{}/remove?key=other_v1", location.url));
    let mut statuses = Vec::new();
    for request in [upsert, remove] {
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        statuses.push(Answer::of(request).await.status);
    }
    statuses
}

#[tokio::test]
async fn writers_need_the_token_and_readers_do_not() {
    let location = location(&["--bridge-token", "right"]).await;
    for token in [None, Some("wrong")] {
        assert_eq!(write(&location, token).await, [StatusCode::UNAUTHORIZED; 2], "{token:?}");
    }
    assert_eq!(location.get("/m/v1/model-catalog.json").await.body, document("one").body);
    assert_eq!(write(&location, Some("right")).await, [StatusCode::OK; 2]);
    assert_eq!(location.get("/m/v1/model-catalog.json").await.body, document("two").body);
    location.stop().await;
}

#[tokio::test]
async fn a_refusal_says_what_to_set() {
    let location = location(&["--bridge-token", "right"]).await;
    let answer = location.post("/upsert?key=m_v1", vec![b'x'; 500 << 10]).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"));
    assert!(answer.error().contains("BRIDGE_TOKEN"), "{answer:?}");
    location.stop().await;
}

#[tokio::test]
async fn all_that_is_read_may_be_closed_and_health_stays_open() {
    let location = location(&["--bridge-token", "right", "--require-read-token"]).await;
    for path in READS {
        assert_eq!(location.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
        let status = location.get_with(path, &[("authorization", "Bearer right")]).await.status;
        assert!(status == StatusCode::OK || path.starts_with("/modelcard"), "{path}: {status}");
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(location.get(path).await.status, StatusCode::OK, "{path}");
    }
    location.stop().await;
}
