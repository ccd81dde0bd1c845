//! What storage pushes: upserts and removals, good and bad, and readers meanwhile.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bridge_api::{PostBody, Upserted};
use common::{Kind, Location, Storage, document, key, with_card};
use http::StatusCode;
use model_catalog::render::Format;
use serde_json::json;

const JSON: Format = Format::ModelCatalogJson;

/// A location that pushes alone change: its storage does not answer any more.
async fn pushed_only() -> Location {
    let storage = Storage::start(Kind::Ours).await;
    let location = Location::loaded(JSON, &storage).await;
    storage.script().down = true;
    storage.compared().await;
    location
}

#[tokio::test]
async fn an_upsert_is_served_when_it_is_answered_and_a_removal_is_not() {
    let location = pushed_only().await;
    let client = location.client();
    assert_eq!(client.upsert(&key("m_v1"), &document("one")).await.unwrap(), Upserted::Created);
    assert_eq!(location.get("/m/v1/model-catalog.json").await.body, document("one").body);
    assert_eq!(client.upsert(&key("m_v1"), &document("two")).await.unwrap(), Upserted::Existed);
    assert_eq!(location.get("/m/v1/model-catalog.json").await.body, document("two").body);
    assert_eq!(location.uris().await, ["/m/v1/model-catalog.json"]);

    assert_eq!(location.delete("/remove?key=m_v1").await.status, StatusCode::OK);
    assert_eq!(location.get("/m/v1/model-catalog.json").await.status, StatusCode::NOT_FOUND);
    assert!(location.uris().await.is_empty());
    assert_eq!(location.delete("/remove?key=m_v1").await.status, StatusCode::OK, "it is gone, as was asked");
    location.stop().await;
}

#[tokio::test]
async fn statuses_are_those_of_the_go_bridge() {
    let location = pushed_only().await;
    let body = json!({"body": "e30=", "lastUpdateTimeSinceEpoch": "", "modelCardKey": "", "modelCard": ""}).to_string();
    assert_eq!(location.post("/upsert?key=m_v1", body.clone()).await.status, StatusCode::CREATED);
    assert_eq!(location.post("/upsert?key=m_v1", body).await.status, StatusCode::OK);
    location.stop().await;
}

#[tokio::test]
async fn a_card_lives_with_the_entry_that_carries_it() {
    let location = pushed_only().await;
    let client = location.client();
    client.upsert(&key("m_v1"), &with_card(document("x"), "card", "# One")).await.unwrap();
    assert_eq!(location.get("/modelcard?key=card").await.text(), "# One");
    client.upsert(&key("m_v1"), &with_card(document("x"), "card", "# Two")).await.unwrap();
    assert_eq!(location.get("/modelcard?key=card").await.text(), "# Two");
    client.upsert(&key("m_v1"), &with_card(document("x"), "", "# No key, no card")).await.unwrap();
    assert_eq!(location.get("/modelcard?key=card").await.status, StatusCode::NOT_FOUND);
    client.upsert(&key("m_v1"), &with_card(document("x"), "card", "# Three")).await.unwrap();
    client.remove(&key("m_v1")).await.unwrap();
    assert_eq!(location.get("/modelcard?key=card").await.status, StatusCode::NOT_FOUND);
    location.stop().await;
}

#[tokio::test]
async fn bad_keys_and_bodies_are_refused_with_a_reason_and_change_nothing() {
    let location = pushed_only().await;
    location.client().upsert(&key("m_v1"), &document("good")).await.unwrap();
    let good = json!({"body": "e30="}).to_string();
    for (path, body, reason) in [
        ("/upsert", good.as_str(), "`key` is missing"),
        ("/upsert?key=", &good, "`key` is missing"),
        ("/upsert?key=plain", &good, "no `_`"),
        ("/upsert?key=_v1", &good, "both sides"),
        ("/upsert?key=a_b%2Fc", &good, "letters, digits"),
        ("/upsert?key=.._v1", &good, "`.` or `..`"),
        ("/upsert?key=m_v1", "", "not as expected"),
        ("/upsert?key=m_v1", "not json", "not as expected"),
        ("/upsert?key=m_v1", "[]", "not as expected"),
        ("/upsert?key=m_v1", r#"{"body": "%%%"}"#, "base64"),
        ("/upsert?key=m_v1", r#"{"body": 7}"#, "base64"),
        ("/upsert?key=m_v1", r#"{"body": ""}"#, "empty"),
        ("/upsert?key=m_v1", "{}", "empty"),
        ("/upsert?key=m_v1", r#"{"body": "W10="}"#, "NORMALIZER_FORMAT"),
        ("/upsert?key=m_v1", r#"{"body": "a2luZDogQVBJ"}"#, "JsonArrayFormat"),
    ] {
        let answer = location.post(path, body.to_owned()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}");
        assert!(answer.error().contains(reason), "{path} {body}: {}", answer.error());
    }
    for path in ["/remove", "/remove?key=plain"] {
        assert_eq!(location.delete(path).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(location.uris().await, ["/m/v1/model-catalog.json"]);
    assert_eq!(location.get("/m/v1/model-catalog.json").await.body, document("good").body);
    location.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413() {
    let storage = Storage::start(Kind::Ours).await;
    let location = Location::start_with(JSON, &storage.url, &["--body-limit", "2000"]).await;
    let answer = location.post("/upsert?key=m_v1", vec![b'x'; 2001]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.error().contains("2000 bytes"));
    location.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_meet_a_listed_uri_that_is_not_served() {
    const WRITERS: usize = 4;
    const ENTRIES: usize = 100;
    let location = Arc::new(pushed_only().await);
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (location, done) = (Arc::clone(&location), Arc::clone(&done));
            tokio::spawn(async move {
                let mut seen = 0;
                while !done.load(Ordering::Relaxed) {
                    let uris = location.uris().await;
                    assert!(uris.len() >= seen, "an upsert takes nothing away");
                    seen = uris.len();
                    for uri in uris.iter().rev().take(20) {
                        assert_eq!(location.get(uri).await.status, StatusCode::OK, "{uri}");
                    }
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let client = location.client();
            tokio::spawn(async move {
                for n in 0..ENTRIES {
                    let content = PostBody { body: br#"{"models":[]}"#.to_vec(), ..PostBody::default() };
                    client.upsert(&key(&format!("model-{writer}_{n}")), &content).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(location.uris().await.len(), WRITERS * ENTRIES);
    Arc::into_inner(location).unwrap().stop().await;
}
