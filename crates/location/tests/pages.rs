//! What people see: the page of models, that of a model, and how they are protected and kept current.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod common;

use std::time::Duration;

use bridge_api::PostBody;
use common::{Answer, Kind, Location, Storage, eventually, key, with_card};
use http::StatusCode;
use model_catalog::render::{Format, render};
use serde_json::{Value, json};

const JSON: Format = Format::ModelCatalogJson;
const YAML: Format = Format::CatalogInfoYaml;

/// A model as a document says it, with what `more` adds.
fn model(name: &str, owner: &str, tags: &[&str], more: &Value) -> Value {
    let mut model = json!({
        "name": name, "owner": owner, "lifecycle": "production", "description": format!("About {name}."), "tags": tags,
    });
    model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    model
}

fn server(name: &str) -> Value {
    json!({
        "name": name, "owner": "ops", "lifecycle": "production", "description": "", "authentication": true,
        "annotations": {"rhdh.modelcatalog.io/served-models": "[\"one\"]"},
        "API": {
            "url": "https://api.example.com", "type": "openapi", "spec": "openapi: 3.1.0",
            "annotations": {"rhdh.modelcatalog.io/internal-service-url": "http://predictor.ns.svc:8080"},
        },
    })
}

fn document(format: Format, model: &Value, server: Option<Value>) -> PostBody {
    let mut catalog = json!({"models": [model]});
    if let Some(server) = server {
        catalog["modelServer"] = server;
    }
    let catalog = serde_json::from_value(catalog).unwrap();
    PostBody { body: render(&catalog, format).unwrap(), ..PostBody::default() }
}

fn raw(body: &str) -> PostBody {
    PostBody { body: body.as_bytes().to_vec(), ..PostBody::default() }
}

/// Three models, one of them served.
async fn storage(format: Format) -> Storage {
    let storage = Storage::start(Kind::Ours).await;
    let provider = json!({"annotations": {"rhdh.modelcatalog.io/provider": "Acme"}});
    storage.put("alpha_v1", &document(format, &model("alpha", "ml", &["chat", "small"], &provider), None));
    storage.put("beta_v1", &document(format, &model("beta", "ml", &["chat"], &json!({})), Some(server("beta"))));
    storage.put("gamma_v1", &document(format, &model("gamma", "ops", &[], &json!({"usage": "Ask it."})), None));
    storage
}

/// The models of a page, by the keys that its cards lead to, in order.
fn cards(answer: &Answer) -> Vec<String> {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::OK, "text/html; charset=utf-8"),
        "{answer:?}"
    );
    let pieces = answer.text().split("<h2><a href=\"./ui/model?key=").skip(1);
    pieces.map(|piece| piece.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn all_models_are_shown_and_lead_to_their_pages() {
    for format in [JSON, YAML] {
        let location = Location::loaded(format, &storage(format).await).await;
        let page = location.get("/").await;
        assert_eq!(cards(&page), ["alpha_v1", "beta_v1", "gamma_v1"]);
        for text in ["3 models", "About alpha.", "Served", "Acme", "production"] {
            assert!(page.text().contains(text), "{text}");
        }
        for (name, title) in [("alpha", "alpha v1"), ("beta", "beta v1")] {
            let page = location.get(&format!("/ui/model?key={name}_v1")).await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(page.text().contains(&format!("<title>{title} · Model catalog</title>")), "{}", page.text());
        }
        location.stop().await;
    }
}

#[tokio::test]
async fn addresses_say_what_is_shown() {
    let location = Location::loaded(JSON, &storage(JSON).await).await;
    for (query, expected) in [
        ("?q=ABOUT+beta", &["beta_v1"][..]),
        ("?owner=ml", &["alpha_v1", "beta_v1"]),
        ("?owner=ml&tag=small", &["alpha_v1"]),
        ("?provider=Acme", &["alpha_v1"]),
        ("?lifecycle=production&sort=-name", &["gamma_v1", "beta_v1", "alpha_v1"]),
        ("?served=yes", &["beta_v1"]),
        ("?served=no&owner=ops", &["gamma_v1"]),
        ("?served=perhaps&colour=red", &["alpha_v1", "beta_v1", "gamma_v1"]),
    ] {
        assert_eq!(cards(&location.get(&format!("/{query}")).await), expected, "{query}");
    }
    let page = location.get("/?owner=ml&tag=chat").await;
    assert!(page.text().contains("2 models of 3"), "{}", page.text());
    assert!(
        page.text().contains("aria-label=\"Remove filter Tag chat\" href=\"?owner=ml\"")
            || page.text().contains("href=\"?owner=ml\" aria-label=\"Remove filter Tag chat\""),
        "{}",
        page.text()
    );
    location.stop().await;
}

#[tokio::test]
async fn an_empty_page_says_why() {
    let location = Location::loaded(JSON, &storage(JSON).await).await;
    let page = location.get("/?q=nothing+like+it").await;
    assert!(cards(&page).is_empty() && page.text().contains("No model is like that"), "{}", page.text());
    location.stop().await;
    let location = Location::loaded(JSON, &Storage::start(Kind::Ours).await).await;
    assert!(location.get("/").await.text().contains("There are no models yet"));
    location.stop().await;
}

#[tokio::test]
async fn many_models_come_in_pages() {
    let storage = Storage::start(Kind::Ours).await;
    for number in 0..10_000 {
        let name = format!("model-{number:05}");
        storage.put(&format!("{name}_v1"), &document(JSON, &model(&name, "ml", &[], &json!({})), None));
    }
    let location = Location::loaded(JSON, &storage).await;
    let first = location.get("/").await;
    assert!(first.text().contains("10,000 models, 1 to 24 shown"), "{}", first.text());
    assert_eq!((cards(&first).len(), cards(&first)[0].as_str()), (24, "model-00000_v1"));
    assert!(first.body.len() < 100 << 10, "a page is no larger for more models: {}", first.body.len());
    let second = location.get("/?page=2").await;
    assert_eq!(cards(&second)[0], "model-00024_v1");
    for page in ["417", "418", "99999999999999999999"] {
        let expected = if page.len() > 10 { "model-00000_v1" } else { "model-09984_v1" };
        assert_eq!(cards(&location.get(&format!("/?page={page}")).await)[0], expected, "{page}");
    }
    assert_eq!(cards(&location.get("/?q=09999").await), ["model-09999_v1"]);
    location.stop().await;
}

#[tokio::test]
async fn a_models_page_has_all_that_is_known() {
    let facts = json!({
        "artifactLocationURL": "oci://registry.example.com/m:1", "howToUseURL": "https://how.example.com/",
        "license": "https://license.example.com/", "ethics": "With care.", "support": "https://support.example.com/",
        "training": "On books.", "usage": "Send text.",
        "annotations": {"rhdh.modelcatalog.io/model-name": "Org/M", "example.com/own": "value of its own"},
    });
    for format in [JSON, YAML] {
        let storage = Storage::start(Kind::Ours).await;
        let content = document(format, &model("m-v1", "ml", &["chat"], &facts), Some(server("m-v1")));
        storage.put("m_v1", &with_card(content, "the card", "# About\n\nIt *reads*."));
        let location = Location::loaded(format, &storage).await;
        let page = location.get("/ui/model?key=m_v1").await;
        let file = format!("href=\"../m/v1/{}\"", format.file_name());
        for text in [
            "Org/M",
            "oci://registry.example.com/m:1",
            "href=\"https://how.example.com/\"",
            "href=\"https://license.example.com/\"",
            "With care.",
            "href=\"https://support.example.com/\"",
            "On books.",
            "Send text.",
            "value of its own",
            "component:",
            "href=\"https://api.example.com\"",
            "href=\"http://predictor.ns.svc:8080\"",
            "Callers need a token",
            "openapi: 3.1.0",
            "<h3>About</h3>",
            "<em>reads</em>",
            "href=\"../modelcard?key=the+card\"",
            "href=\"../?owner=ml\"",
            &file,
        ] {
            assert!(page.text().contains(text), "{format}: {text}\n{}", page.text());
        }
        location.stop().await;
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_shown_as_it_is() {
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &raw("kind: [<b>broken\n"));
    let location = Location::loaded(YAML, &storage).await;
    assert_eq!(cards(&location.get("/").await), ["m_v1"]);
    let page = location.get("/ui/model?key=m_v1").await;
    assert!(
        page.text().contains("cannot be shown but as it is") && page.text().contains("kind: [&lt;b&gt;broken"),
        "{}",
        page.text()
    );
    location.stop().await;
}

#[tokio::test]
async fn texts_of_others_stay_texts() {
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;";
    let catalog = json!({
        "models": [{
            "name": evil, "owner": evil, "lifecycle": evil, "description": evil, "tags": [evil], "usage": evil, "ethics": evil,
            "artifactLocationURL": "javascript:alert(1)", "howToUseURL": "data:text/html,x", "license": "JAVASCRIPT:alert(1)",
            "support": "http javascript:x",
            "annotations": {"rhdh.modelcatalog.io/model-name": evil, "rhdh.modelcatalog.io/provider": evil, "TechDocs": "vbscript:x", evil: evil},
        }],
        "modelServer": {
            "name": evil, "owner": evil, "homepageURL": "javascript:alert(2)", "usage": evil,
            "annotations": {"rhdh.modelcatalog.io/served-models": json!([evil]).to_string(), "rhdh.io/serverType": evil},
            "API": {"url": "javascript:alert(3)", "type": evil, "spec": evil,
                "annotations": {"rhdh.modelcatalog.io/external-route-url": "data:x", "rhdh.modelcatalog.io/internal-service-url": evil}},
        },
    });
    let storage = Storage::start(Kind::Ours).await;
    storage.put("m_v1", &with_card(raw(&catalog.to_string()), evil, evil));
    let location = Location::loaded(JSON, &storage).await;
    let query: String = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    let asked = format!("/?q={query}&owner={query}&tag={query}&tag=x{query}&provider={query}&lifecycle={query}");
    for path in ["/", "/ui/model?key=m_v1", &asked, &format!("/ui/model?key={query}")] {
        let page = location.get(path).await;
        let text = page.text().to_lowercase();
        for part in ["<script>", "<img", "href=\"javascript", "href=\"data", "href=\"vbscript", "onerror=alert(1)>\""] {
            assert!(!text.contains(part), "{path}: {part}\n{text}");
        }
        assert_eq!(text.matches("<script").count(), 1, "{path}: only our own");
    }
    assert!(location.get("/").await.text().contains("&quot;&gt;&lt;script&gt;alert(1)"));
    location.stop().await;
}

#[tokio::test]
async fn pages_may_load_nothing_but_what_is_ours() {
    let location = Location::loaded(JSON, &storage(JSON).await).await;
    for path in
        ["/", "/ui/model?key=alpha_v1", "/ui/model?key=none_v1", "/ui/style.css", "/ui/script.js", "/ui/icon.svg"]
    {
        let answer = location.get(path).await;
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
    }
    for path in ["/list", "/alpha/v1/model-catalog.json", "/nothing"] {
        let policy = location.get(path).await.header("content-security-policy").to_owned();
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'; sandbox", "{path} is no page");
    }
    location.stop().await;
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let storage = storage(JSON).await;
    let location = Location::loaded(JSON, &storage).await;
    let page = location.get("/").await;
    let again = location.get_with("/", &[("if-none-match", page.header("etag"))]).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let zipped = location.get_with("/", &[("accept-encoding", "gzip")]).await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    storage.take("gamma_v1");
    eventually("the page changes", async || {
        location.get_with("/", &[("if-none-match", page.header("etag"))]).await.status == StatusCode::OK
    })
    .await;
    location.stop().await;
}

#[tokio::test]
async fn who_asks_for_no_model_is_told_so_in_a_page() {
    let location = Location::loaded(JSON, &storage(JSON).await).await;
    for path in ["/ui/model?key=none_v1", "/ui/model?key=..%2F", "/ui/model?key=", "/ui/model"] {
        let page = location.get(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (StatusCode::NOT_FOUND, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(page.text().contains("There is no such model"), "{path}");
    }
    for path in ["/ui", "/ui/", "/ui/other", "/ui/../list/"] {
        let answer = location.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::NOT_FOUND, "application/json"),
            "{path}"
        );
    }
    location.stop().await;
}

#[tokio::test]
async fn until_storage_is_loaded_the_page_says_what_is_missing() {
    let storage = storage(JSON).await;
    storage.script().down = true;
    let location = Location::start(JSON, &storage.url).await;
    for path in ["/", "/ui/model?key=alpha_v1"] {
        let page = location.get(path).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(
            page.text().contains("is being loaded") && page.text().contains("http-equiv=\"refresh\""),
            "{}",
            page.text()
        );
        assert_eq!(page.header("retry-after"), "3");
    }
    storage.script().down = false;
    location.until_ready().await;
    assert_eq!(cards(&location.get("/").await).len(), 3);
    location.stop().await;
}

#[tokio::test]
async fn no_entry_is_hidden_by_a_page() {
    let storage = Storage::start(Kind::Ours).await;
    let names = ["ui_model", "ui_changes", "ui_style.css", "models_v1", "list_v1", "healthz_v1"];
    for name in names {
        storage.put(name, &document(JSON, &model(&name.replace('_', "-"), "ml", &[], &json!({})), None));
    }
    let location = Location::loaded(JSON, &storage).await;
    assert_eq!(location.uris().await.len(), names.len());
    for uri in location.uris().await {
        for path in [uri.clone(), format!("/models{uri}"), format!("/models/{uri}")] {
            let answer = location.get(&path).await;
            assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{path}");
        }
    }
    location.stop().await;
}

#[tokio::test]
async fn without_the_page_there_is_nothing_at_its_routes() {
    for args in [["--no-ui"], ["--no-ui=true"]] {
        let location = Location::start_with(JSON, &storage(JSON).await.url, &args).await;
        location.until_ready().await;
        for path in ["/", "/ui/model?key=alpha_v1", "/ui/changes", "/ui/style.css", "/ui/script.js", "/ui/icon.svg"] {
            let answer = location.get(path).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert!(answer.error().contains("no route"), "{path}");
        }
        assert_eq!(location.uris().await.len(), 3);
        location.stop().await;
    }
}

#[tokio::test]
async fn who_must_show_a_token_to_read_must_for_the_page() {
    let args = ["--bridge-token", "right", "--require-read-token"];
    let location = Location::start_with(JSON, &storage(JSON).await.url, &args).await;
    location.until_ready().await;
    for path in ["/", "/ui/model?key=alpha_v1", "/ui/changes", "/ui/script.js"] {
        assert_eq!(location.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let answer = location.get_with("/", &[("authorization", "Bearer right")]).await;
    assert_eq!(cards(&answer).len(), 3);
    location.stop().await;
}

/// What a watching page is told, event by event.
struct Watching(reqwest::Response, String);

impl Watching {
    async fn begin(location: &Location) -> Self {
        let response = location.http.get(format!("{}/ui/changes", location.url)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response, String::new())
    }

    /// The number of the next snapshot; `None` when there will be no more.
    async fn next(&mut self) -> Option<u64> {
        loop {
            if let Some(end) = self.1.find("\n\n") {
                let event: String = self.1.drain(..end + 2).collect();
                let number = event.lines().find_map(|line| line.strip_prefix("data: ")?.parse().ok());
                if number.is_some() {
                    return number;
                }
            } else {
                let chunk = tokio::time::timeout(Duration::from_secs(20), self.0.chunk()).await.unwrap();
                self.1 += std::str::from_utf8(&chunk.ok()??).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn whoever_watches_is_told_of_changes_and_let_go_at_the_end() {
    let storage = storage(JSON).await;
    let location = Location::loaded(JSON, &storage).await;
    let mut watching = Watching::begin(&location).await;
    let first = watching.next().await.unwrap();
    assert!(location.get("/").await.text().contains(&format!("data-generation=\"{first}\"")));
    let added = document(JSON, &model("delta", "ml", &[], &json!({})), None);
    storage.put("delta_v1", &added);
    location.client().upsert(&key("delta_v1"), &added).await.unwrap();
    assert!(watching.next().await.unwrap() > first);
    assert_eq!(cards(&location.get("/").await).len(), 4);
    location.stop().await;
    assert_eq!(watching.next().await, None);
}

#[tokio::test]
async fn only_so_many_may_watch_at_a_time() {
    let location = Location::loaded(JSON, &storage(JSON).await).await;
    let mut watching = Vec::new();
    for _ in 0..64 {
        watching.push(Watching::begin(&location).await);
    }
    let refused = location.get("/ui/changes").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.error().contains("watch already"));
    assert_eq!(location.get("/").await.status, StatusCode::OK, "they take up nobody else's turn");
    watching.pop();
    eventually("there is room again", async || {
        let request = location.http.get(format!("{}/ui/changes", location.url)).send().await.unwrap();
        request.status() == StatusCode::OK
    })
    .await;
    location.stop().await;
}
