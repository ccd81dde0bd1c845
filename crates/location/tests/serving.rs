//! What readers get: lists, documents, model cards, and the headers with them.

mod common;

use std::io::Read;

use common::{Answer, Kind, Location, Storage, digest_of, document, key, with_card};
use http::StatusCode;
use model_catalog::render::Format;
use serde_json::{Value, json};

const JSON: Format = Format::ModelCatalogJson;

#[tokio::test]
async fn an_empty_storage_is_an_empty_list() {
    let location = Location::loaded(JSON, &Storage::start(Kind::Ours).await).await;
    let answer = location.get("/list").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, r#"{"uris":[]}"#));
    assert_eq!(answer.header("content-type"), "application/json");
    location.stop().await;
}

#[tokio::test]
async fn lists_are_sorted_and_tell_digests_to_those_who_ask() {
    let storage = Storage::start(Kind::Ours).await;
    let location = Location::loaded(JSON, &storage).await;
    let pushed = [("b_v1", document("b")), ("a_v2", document("a2")), ("a_v1_x", document("a1"))];
    for (name, content) in &pushed {
        // Storage holds what it pushes: a comparison in between would take out anything else.
        storage.put(name, content);
        location.client().upsert(&key(name), content).await.unwrap();
    }
    let sorted = ["/a/v1_x/model-catalog.json", "/a/v2/model-catalog.json", "/b/v1/model-catalog.json"];
    let list = location.client().list().await.unwrap();
    assert_eq!(list.uris, sorted);
    let details = list.entries.unwrap();
    assert_eq!(details.len(), 3);
    assert_eq!((details[0].key.as_str(), &details[0].digest), ("a_v1_x", &digest_of(&pushed[2].1)));
    let plain: Value = serde_json::from_slice(&location.get("/list").await.body).unwrap();
    assert_eq!(plain, json!({"uris": sorted}));
    assert_eq!(location.get("/list?details=maybe").await.status, StatusCode::BAD_REQUEST);
    location.stop().await;
}

#[tokio::test]
async fn each_route_has_its_content_type() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &with_card(document("x"), "the card", "# Über"));
    let location = Location::loaded(JSON, &storage).await;
    let answer = location.get("/m/v1/model-catalog.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.body, document("x").body);
    let answer = location.get("/modelcard?key=the%20card").await;
    assert_eq!(answer.header("content-type"), "text/markdown; charset=utf-8");
    assert_eq!(answer.text(), "# Über");
    location.stop().await;

    let storage = Storage::start(Kind::Ours).await;
    let yaml = bridge_api::PostBody { body: b"kind: Resource\n".to_vec(), ..Default::default() };
    storage.put("m_v1", &yaml);
    let location = Location::loaded(Format::CatalogInfoYaml, &storage).await;
    assert_eq!(location.uris().await, ["/m/v1/catalog-info.yaml"]);
    let answer = location.get("/m/v1/catalog-info.yaml").await;
    assert_eq!((answer.header("content-type"), answer.text()), ("application/yaml", "kind: Resource\n"));
    location.stop().await;
}

#[tokio::test]
async fn newer_clients_find_documents_below_models() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &document("x"));
    storage.put("models_v1", &document("a model called models"));
    let location = Location::loaded(JSON, &storage).await;
    for path in ["/m/v1/model-catalog.json", "/models/m/v1/model-catalog.json", "/models//m/v1/model-catalog.json"] {
        assert_eq!(location.get(path).await.body, document("x").body, "{path}");
    }
    for path in ["/models/v1/model-catalog.json", "/models//models/v1/model-catalog.json"] {
        assert_eq!(location.get(path).await.body, document("a model called models").body, "{path}");
    }
    location.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_404_in_json() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &document("x"));
    let location = Location::loaded(JSON, &storage).await;
    for (path, expected) in [
        ("/m/v2/model-catalog.json", "no such entry"),
        ("/m_v1/x/model-catalog.json", "no such entry"),
        ("/%2e%2e/%2e%2e/model-catalog.json", ""),
        ("/m%2Fv1/x/model-catalog.json", "no such entry"),
        ("/m/v1/catalog-info.yaml", "NORMALIZER_FORMAT is JsonArrayFormat"),
        ("/m/v1", "there is no route"),
        ("/modelcard?key=unknown", "no entry of the catalog"),
    ] {
        let answer = location.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.error().contains(expected), "{path}: {}", answer.error());
    }
    assert_eq!(location.get("/modelcard").await.status, StatusCode::BAD_REQUEST);
    let answer = location.post("/list", "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(!answer.error().is_empty());
    location.stop().await;
}

const PATHS: [&str; 3] = ["/list", "/m/v1/model-catalog.json", "/modelcard?key=card"];

async fn with_long_texts() -> (Storage, Location) {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &with_card(document(&"long ".repeat(1000)), "card", &"# Card\n".repeat(1000)));
    for n in 0..100 {
        storage.put(&format!("model_{n}"), &document("x"));
    }
    let location = Location::loaded(JSON, &storage).await;
    (storage, location)
}

#[tokio::test]
async fn a_tag_that_was_sent_back_saves_the_answer_and_none_never_does() {
    let (_storage, location) = with_long_texts().await;
    for path in PATHS {
        let first = location.get_with(path, &[]).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() > 10, "a strong tag: {tag}");
        for header in [tag.clone(), format!("W/{tag}"), "*".to_owned(), format!("\"other\", {tag}")] {
            let answer = location.get_with(path, &[("if-none-match", &header)]).await;
            assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path} {header}");
            assert_eq!(answer.header("etag"), tag);
        }
        let answer = location.get_with(path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &first.body));
        for _ in 0..20 {
            assert_eq!(location.get_with(path, &[]).await.status, StatusCode::OK, "{path} without a tag");
        }
    }
    location.stop().await;
}

#[tokio::test]
async fn tags_change_with_what_they_stand_for() {
    let (storage, location) = with_long_texts().await;
    for path in PATHS {
        let before = location.get(path).await;
        storage.put("m_v1", &with_card(document(path), "card", &format!("# {path}")));
        if path == "/list" {
            storage.put("one-more_v1", &document("x"));
        }
        storage.compared().await;
        let after = location.get_with(path, &[("if-none-match", before.header("etag"))]).await;
        assert_eq!(after.status, StatusCode::OK, "{path}");
        assert_ne!(after.header("etag"), before.header("etag"), "{path}");
        assert_ne!(after.body, before.body, "{path}");
    }
    location.stop().await;
}

#[tokio::test]
async fn gzip_for_those_who_take_it() {
    let (_storage, location) = with_long_texts().await;
    for path in PATHS {
        let plain = location.get_with(path, &[]).await;
        let packed = location.get_with(path, &[("accept-encoding", "gzip, deflate")]).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        assert_eq!(packed.header("content-type"), plain.header("content-type"));
        for answer in [&plain, &packed] {
            assert_eq!(answer.header("vary"), "accept-encoding");
        }
        assert!(packed.body.len() * 2 < plain.body.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain.body);
        assert_ne!(packed.header("etag"), plain.header("etag"), "other bytes, another strong tag");
        for tag in [packed.header("etag"), plain.header("etag")] {
            let headers = [("accept-encoding", "gzip"), ("if-none-match", tag)];
            assert_eq!(location.get_with(path, &headers).await.status, StatusCode::NOT_MODIFIED);
        }
    }
    location.stop().await;
}

#[tokio::test]
async fn a_head_request_is_answered_like_a_get_without_the_body() {
    let (_storage, location) = with_long_texts().await;
    for path in PATHS {
        let get = location.get_with(path, &[]).await;
        let plain = reqwest::Client::builder().no_gzip().build().unwrap();
        let head = Answer::of(plain.head(format!("{}{path}", location.url))).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        for name in ["etag", "content-type", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    location.stop().await;
}

#[tokio::test]
async fn metrics_tell_how_much_is_served() {
    let (_storage, location) = with_long_texts().await;
    let metrics = location.get("/metrics").await;
    for line in [
        "location_entries 101",
        "location_model_cards 1",
        "location_ready 1",
        r#"location_loads_total{outcome="complete"}"#,
    ] {
        assert!(metrics.text().contains(line), "{line} in\n{}", metrics.text());
    }
    location.stop().await;
}
