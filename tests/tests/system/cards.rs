//! Model cards: kept over restarts, followed when they change, and whole for whoever asks for the first time.

use http::StatusCode;
use http::header::{ETAG, IF_NONE_MATCH};
use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use serde_json::json;
use system_tests::Kept::{self, InConfigMap, InSqlite};
use system_tests::{Bridge, SOON, Service, Sources, Version, http};
use testkit::eventually;

const CATALOG: &str = "redhat_ai_models";
const MODEL: &str = "RedHatAI/granite";

/// A registry with a model that has a card.
fn with_card(sources: &Sources, text: &str) -> Version {
    let registry = sources.registry().edit();
    registry.put_catalog_source(CATALOG, json!({"name": "Red Hat AI"}));
    registry.put_catalog_model(CATALOG, MODEL, text, json!({}));
    let granite = sources.register("granite", "v1");
    registry.create_artifact(
        &granite.version,
        "newest",
        json!({
            "uri": "oci://registry.example.com/models/card:1", "modelSourceKind": "catalog",
            "modelSourceClass": CATALOG, "modelSourceGroup": "RedHatAI", "modelSourceName": "granite",
        }),
    );
    granite
}

/// What a reader gets who knows the card of this tag, or none: status, tag and text.
async fn read(bridge: &Bridge, known: Option<&str>) -> Result<(StatusCode, String, String), String> {
    let documents = bridge.documents().await?;
    let document = documents.values().next().ok_or("no document")?;
    let at = document.find("/modelcard?key=").ok_or("the document leads to no card")?;
    let path: String = document[at..].chars().take_while(|c| !matches!(c, '"' | '\n' | '\'')).collect();
    let mut request = http().get(format!("{}{path}", bridge.url(Service::Location)));
    if let Some(known) = known {
        request = request.header(IF_NONE_MATCH, known);
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let (status, tag) = (answer.status(), answer.headers().get(ETAG).cloned());
    let tag = tag.and_then(|tag| tag.to_str().ok().map(str::to_owned)).ok_or("no ETag")?;
    Ok((status, tag, answer.text().await.map_err(|error| error.to_string())?))
}

#[rstest]
#[case(CatalogInfoYaml, InConfigMap)]
#[case(ModelCatalogJson, InSqlite)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_has_a_tag_that_outlives_restarts_and_changes_with_it(#[case] format: Format, #[case] kept: Kept) {
    let sources = Sources::with_cluster().await;
    with_card(&sources, "# Granite\n");
    let mut bridge =
        Bridge::new(format, kept, &sources).with(Service::Normalizer, "RESYNC_INTERVAL", "500ms").started();
    let (_, first, _) = eventually(SOON, "the card is served", async || {
        read(&bridge, None).await.and_then(|seen| if seen.2 == "# Granite\n" { Ok(seen) } else { Err(seen.2) })
    })
    .await;
    for service in Service::ALL {
        bridge.kill(service);
        bridge.start(service);
        bridge.ready(Service::Location).await;
        // However many ask: who knows nothing gets all of it, who knows it gets nothing.
        for _ in 0..12 {
            let whole = (StatusCode::OK, first.clone(), "# Granite\n".to_owned());
            assert_eq!(read(&bridge, None).await, Ok(whole), "after a restart of {service:?}");
        }
        let known = read(&bridge, Some(&first)).await;
        assert_eq!(known, Ok((StatusCode::NOT_MODIFIED, first.clone(), String::new())));
    }
    sources.registry().edit().put_catalog_model(CATALOG, MODEL, "# Granite, again\n", json!({}));
    let (status, second, text) = eventually(SOON, "the new card is served to who knows the old one", async || {
        read(&bridge, Some(&first)).await.and_then(|seen| if seen.0 == StatusCode::OK { Ok(seen) } else { Err(seen.2) })
    })
    .await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "# Granite, again\n"));
    assert_ne!(second, first);
}

/// The reader of a card need not reach the bridge where Backstage does.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_url_leads_to_the_card_and_a_users_own_documentation_wins(
    #[values(CatalogInfoYaml, ModelCatalogJson)] format: Format,
    #[values("TechDocs", "techdocs", "backstage.io/techdocs-ref")] property: &str,
) {
    const PUBLIC: &str = "https://models.example.com/bridge/";
    const OWN: &str = "https://git.example.com/docs/tree/main";
    let sources = Sources::without_cluster().await;
    let granite = with_card(&sources, "# Granite\n");
    let bridge = Bridge::new(format, InSqlite, &sources)
        .with(Service::Normalizer, "BRIDGE_PUBLIC_URL", PUBLIC)
        .with(Service::Normalizer, "BRIDGE_URL", "http://10.1.2.3:9090")
        .started();
    let documentation = async || {
        let documents = bridge.documents().await?;
        let text = documents.values().next().ok_or("no document")?.clone();
        let names: &[&str] = match format {
            CatalogInfoYaml => &["backstage.io/techdocs-ref: url:"],
            ModelCatalogJson => &["\"TechDocs\":\"", "\"techdocs\":\""],
        };
        let values = names.iter().map(|name| {
            let at = text.find(name).ok_or(format!("no {name} in {text}"))? + name.len();
            Ok(text[at..].chars().take_while(|c| !matches!(c, '"' | '\n' | '\'')).collect())
        });
        let mut values: Vec<String> = values.collect::<Result<_, String>>()?;
        values.dedup();
        Ok::<_, String>(values)
    };
    let leads_to = async |expected: &str| {
        eventually(SOON, &format!("the entry leads to {expected}"), async || {
            let found = documentation().await?;
            if found.len() == 1 && found[0].starts_with(expected) { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    };
    leads_to("https://models.example.com/bridge/modelcard?key=").await;
    let properties = json!({ property: {"metadataType": "MetadataStringValue", "string_value": OWN} });
    sources.registry().edit().update_version(&granite.version, json!({"customProperties": properties})).unwrap();
    leads_to(OWN).await;
}
