//! Whatever the projection can make of registries and clusters is something that Backstage takes.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::http::{StatusCode, Uri};
use futures::{StreamExt as _, stream};
use model_catalog::entities::Extra;
use model_catalog::render::{Format, RenderOptions, render_with};
use normalizer::project::Entry;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use system_tests::{Backstage, Shape};
use testkit::eventually;

use crate::{support, worlds};

/// Of so many worlds come some hundreds of entities.
const WORLDS: usize = 100;
const AT_LEAST: usize = 100;
/// Backstage takes its time for each of them.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(5);

/// Entries of many worlds, always the same ones. Those whose names an earlier world has taken are left out: within one
/// world it is the projection that tells them apart.
fn entries() -> Vec<Entry> {
    let mut random = TestRunner::deterministic();
    let worlds = (0..WORLDS).map(|_| worlds::world().new_tree(&mut random).unwrap().current());
    let mut taken = BTreeSet::new();
    let mut entries = Vec::new();
    for world in worlds {
        for entry in support::projected(&world).entries.into_values() {
            let refs = refs(&support::document(&entry));
            if refs.iter().all(|one| !taken.contains(&one.to_lowercase())) {
                taken.extend(refs.iter().map(|one| one.to_lowercase()));
                entries.push(entry);
            }
        }
    }
    assert!(entries.len() >= AT_LEAST, "only {} entries", entries.len());
    entries
}

/// The entities that a document stands for, as kind and name.
fn refs(document: &Value) -> Vec<String> {
    let named = |kind: &str, value: &Value| format!("{kind}:{}", value["name"].as_str().unwrap());
    let models = document["models"].as_array().unwrap().iter().map(|model| named("Resource", model));
    let server = document.get("modelServer");
    let component = server.map(|server| named("Component", server));
    let api = server.filter(|server| server.get("API").is_some()).map(|server| named("API", server));
    models.chain(component).chain(api).collect()
}

fn everything() -> RenderOptions {
    RenderOptions { emit: [Extra::AiModelServerApi].into() }
}

fn rendered(entry: &Entry, format: Format) -> String {
    String::from_utf8(render_with(&entry.catalog, format, &everything()).unwrap()).unwrap()
}

/// Serves texts by path, as location does; returns the base URL.
async fn serve(texts: BTreeMap<String, String>) -> String {
    let router = Router::new().fallback(move |uri: Uri| {
        let path = uri.path().strip_prefix("/models/").unwrap_or(uri.path());
        let text = texts.get(path).cloned();
        async move { text.ok_or(StatusCode::NOT_FOUND) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

/// Waits until Backstage has these entities, by kind and name, and no other.
async fn holds(backstage: &Backstage, expected: &BTreeSet<String>) {
    eventually(PATIENCE, "Backstage holds as many entities", async || {
        let count = backstage.count().await?;
        if count == expected.len() { Ok(()) } else { Err(format!("{count} of {}", expected.len())) }
    })
    .await;
    let shown: BTreeSet<String> = backstage.shows().await.unwrap().into_keys().collect();
    assert_eq!(shown, *expected);
    let complaints = backstage.complaints();
    assert!(complaints.is_empty(), "{} complaints: {:#?}", complaints.len(), &complaints[..complaints.len().min(5)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backstage_validates_and_ingests_every_entity() {
    if !Backstage::is_installed() {
        return;
    }
    let yaml: Vec<String> = entries().iter().map(|entry| rendered(entry, Format::CatalogInfoYaml)).collect();
    let entities: Vec<Value> = yaml.iter().flat_map(|text| support::entities(text)).collect();
    let base = serve([("/catalog-info.yaml".to_owned(), yaml.join("---\n"))].into()).await;
    let target = format!("{base}/catalog-info.yaml");
    // The only shape that knows all kinds. Its provider finds no list, which says nothing.
    let mut backstage = Backstage::new(Shape::Rhdh, &base);
    backstage.start().await;

    let location = format!("url:{target}");
    let rejected: Vec<String> = stream::iter(&entities)
        .map(|entity| {
            let (backstage, body) = (&backstage, json!({"entity": entity, "location": location}));
            async move {
                let answer = backstage.ask(Method::POST, "/catalog/validate-entity", Some(&body)).await;
                (answer != Ok((200, String::new()))).then(|| format!("{answer:?}: {entity}"))
            }
        })
        .buffer_unordered(8)
        .filter_map(async |rejected| rejected)
        .collect()
        .await;
    assert!(rejected.is_empty(), "{} of {} are rejected, first {:#?}", rejected.len(), entities.len(), rejected[0]);
    // So that the above means something.
    let wrong = json!({"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Resource", "metadata": {"name": "a b"}}, "location": location});
    assert_eq!(backstage.ask(Method::POST, "/catalog/validate-entity", Some(&wrong)).await.unwrap().0, 400);

    let registration = json!({"type": "url", "target": target});
    let (status, answer) = backstage.ask(Method::POST, "/catalog/locations", Some(&registration)).await.unwrap();
    assert_eq!(status, 201, "{answer}");
    let named = |entity: &Value| {
        format!("{}:{}", entity["kind"].as_str().unwrap(), entity["metadata"]["name"].as_str().unwrap())
    };
    holds(&backstage, &entities.iter().map(named).collect()).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_providers_of_rhdh_take_every_document(#[values(Shape::Rhdh, Shape::Rhdh09)] shape: Shape) {
    if !Backstage::is_installed() {
        return;
    }
    let (mut texts, mut expected) = (BTreeMap::new(), BTreeSet::new());
    for (number, entry) in entries().iter().enumerate() {
        let text = rendered(entry, Format::ModelCatalogJson);
        let document: Value = serde_json::from_str(&text).unwrap();
        let served = document["modelServer"].get("API").is_some();
        match shape {
            Shape::Rhdh if served => {
                expected.insert(format!("AiModelServerAPI:{}", document["modelServer"]["name"].as_str().unwrap()));
            }
            Shape::Rhdh => {}
            Shape::Plain | Shape::Rhdh09 => expected.extend(refs(&document)),
        }
        texts.insert(format!("/entry-{number}/v1/model-catalog.json"), text);
    }
    let uris: Vec<&String> = texts.keys().collect();
    let list = json!({"uris": uris}).to_string();
    texts.insert("/list".to_owned(), list);
    let mut backstage = Backstage::new(shape, &serve(texts).await);
    backstage.start().await;
    holds(&backstage, &expected).await;
}
