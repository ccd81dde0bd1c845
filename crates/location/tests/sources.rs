//! The page of sources: what the normalizer says, and what to do when it says nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::get;
use axum::{Json, Router};
use common::{Kind, Location, Storage};
use http::StatusCode;
use model_catalog::render::Format;
use serde_json::{Value, json};

const JSON: Format = Format::ModelCatalogJson;

/// A normalizer that says `status`; how often it was asked.
async fn normalizer(status: Value) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let answer = async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Json(status.clone())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/status", get(answer))).await });
    (url, asked)
}

async fn location(normalizer: &str) -> Location {
    let storage = Storage::start(Kind::Ours).await;
    Location::start_with(JSON, &storage.url, &["--normalizer-url", normalizer]).await
}

#[tokio::test]
async fn sources_are_shown_with_how_fresh_they_are() {
    let evil = "<script>alert(1)</script>";
    let (url, asked) = normalizer(json!({
        "lastSync": "2026-01-01T00:00:00Z", "entries": 1234, "entriesBySource": {"registry/main": 1234},
        "sources": {
            "registry/main": {"stale": false, "lastRead": "2026-01-01T00:00:00Z", "lastCompleteRead": "2026-01-01T00:00:00Z",
                "completeReads": 3, "records": 5678},
            "registry/broken": {"stale": true, "lastRead": "2026-01-01T00:00:00Z", "failure": "401 Unauthorized", "records": 1},
            "cluster/new": {"stale": false},
        },
        "heldRemovals": [{"source": "registry/main", "entries": 20, "since": "2026-01-01T00:00:00Z"}],
        "refused": ["a_b: too large"],
        "diagnostics": [{"source": "registry/main", "subject": evil, "problem": "tag left out"}],
        "somethingNewer": {"of": "another version"},
    }))
    .await;
    let location = location(&url).await;
    location.until_ready().await;
    let page = location.get("/ui/sources").await;
    assert_eq!(page.status, StatusCode::OK);
    for text in [
        "Storage is in step",
        "Current",
        "Stale",
        "401 Unauthorized",
        "Not read yet",
        "3 times",
        "5,678",
        "1,234",
        "20 models of registry/main",
        "a_b: too large",
        "1 thing could not be shown",
        "tag left out",
        "&lt;script&gt;",
        "Serving",
        "datetime=\"2026-01-01T00:00:00Z\"",
    ] {
        assert!(page.text().contains(text), "{text}\n{}", page.text());
    }
    assert!(!page.text().contains(evil));
    for _ in 0..5 {
        location.get("/ui/sources").await;
    }
    assert!(asked.load(Ordering::Relaxed) < 5, "who looks often does not make it ask as often");
    location.stop().await;
}

#[tokio::test]
async fn a_normalizer_that_says_nothing_is_no_error() {
    let (strange, _) = normalizer(json!(["no status"])).await;
    for url in ["http://127.0.0.1:1", &strange] {
        let location = location(url).await;
        let page = location.get("/ui/sources").await;
        assert_eq!(page.status, StatusCode::OK);
        for text in ["Nothing is known of the sources", "NORMALIZER_URL", url] {
            assert!(page.text().contains(text), "{text}\n{}", page.text());
        }
        location.stop().await;
    }
}

#[tokio::test]
async fn before_anything_is_loaded_the_page_says_why() {
    let storage = Storage::start(Kind::Ours).await;
    storage.script().down = true;
    let (url, _) = normalizer(json!({"failure": "storage cannot be reached"})).await;
    let location = Location::start_with(JSON, &storage.url, &["--normalizer-url", &url]).await;
    let page = location.get("/ui/sources").await;
    for text in ["Not serving yet", "Storage is behind", "storage cannot be reached", "no registry and no cluster"] {
        assert!(page.text().contains(text), "{text}\n{}", page.text());
    }
    location.stop().await;
}
