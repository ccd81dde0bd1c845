//! A model card as a page of TechDocs: fetched by RHDH's reader, built by mkdocs.

use reqwest::Method;
use serde_json::json;
use system_tests::{Backstage, Shape, Sources};
use testkit::eventually;

use crate::portal::Portal;

const SOON: std::time::Duration = std::time::Duration::from_mins(2);

/// What authors of cards use: front matter, a table, code, HTML, and letters of other scripts.
const CARD: &str = "---\nlicense: apache-2.0\ntags: [text-generation]\n---\n\
    # Granite, the card\n\n| benchmark | score |\n|---|---|\n| one | 0.5 |\n\n\
    ```python\nprint(\"a < b\")\n```\n\n<b>bold</b> und für 模型\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_card_becomes_a_page() {
    if !Backstage::builds_techdocs() {
        return;
    }
    let sources = Sources::with_cluster().await;
    let registry = sources.registry().edit();
    registry.put_catalog_source("redhat_ai_models", json!({"name": "Red Hat AI"}));
    registry.put_catalog_model("redhat_ai_models", "RedHatAI/granite", CARD, json!({}));
    let granite = sources.register("granite", "v1");
    registry.create_artifact(
        &granite.version,
        "newest",
        json!({
            "uri": "oci://registry.example.com/models/card:1", "modelSourceKind": "catalog",
            "modelSourceClass": "redhat_ai_models", "modelSourceGroup": "RedHatAI", "modelSourceName": "granite",
        }),
    );
    sources.serve(&granite, "granite-service");
    let mut portal = Portal::new(Shape::Rhdh, sources);
    portal.backstage = portal.backstage.with_techdocs();
    portal.bridge.start_all();
    portal.backstage.start().await;

    // The card follows its entry: the annotation leads to it as soon as it is known.
    eventually(SOON, "the entity leads to its card", async || {
        let entities = portal.backstage.entities().await?;
        let reference =
            entities.first().map(|entity| entity["metadata"]["annotations"]["backstage.io/techdocs-ref"].clone());
        let leads =
            reference.as_ref().and_then(|value| value.as_str()).is_some_and(|text| text.contains("/modelcard?key="));
        if leads { Ok(()) } else { Err(format!("{reference:?}")) }
    })
    .await;
    let entity = "default/aimodelserverapi/granite-v1";
    let (status, answer) =
        portal.backstage.ask(Method::GET, &format!("/techdocs/sync/{entity}"), None).await.expect("TechDocs answers");
    assert!([200, 201].contains(&status), "the page was not built: {status} {answer}\n{:#?}", portal.backstage.log());
    let page = eventually(SOON, "the page is served", async || {
        match portal.backstage.ask(Method::GET, &format!("/techdocs/static/docs/{entity}/index.html"), None).await? {
            (200, page) => Ok(page),
            (status, answer) => Err(format!("{status} {answer}")),
        }
    })
    .await;
    for part in ["Granite, the card", "<td>0.5</td>", "<b>bold</b> und für 模型"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(!page.contains("license: apache-2.0"), "front matter is no text");
}
