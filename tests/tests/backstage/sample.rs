//! The demo's models, with groups as owners, as Backstage shows them.

use std::collections::BTreeMap;

use model_catalog::render::Format;
use sample_registry::SampleRegistry;
use serde_json::{Value, json};
use system_tests::{Backstage, Service, Shape, Sources};
use testkit::eventually;
use testkit::registry::ScriptedRegistry;

use crate::portal::Portal;

const REGISTRY: &str = include_str!("../../../deploy/samples/registry.yaml");
const SERVICES: &str = include_str!("../../../deploy/samples/inferenceservices.yaml");
/// Where to write what Backstage shows, for `docs/`.
const CAPTURE: &str = "BACKSTAGE_CAPTURE";

async fn demo(shape: Shape) -> Portal {
    let registry = SampleRegistry::new();
    registry.load_yaml(REGISTRY).unwrap();
    let mut sources = Sources::with_cluster().await;
    sources.registries = vec![("demo-registry".to_owned(), ScriptedRegistry::serving(registry).await)];
    sources.kube().apply_yaml(SERVICES);
    let mut portal = Portal::new(shape, sources);
    portal.bridge.start_all();
    eventually(system_tests::SOON, "the demo's 20 entries are served", async || {
        let served = portal.bridge.uris().await?.len();
        if served == 20 { Ok(()) } else { Err(format!("{served}")) }
    })
    .await;
    portal.backstage.start().await;
    portal
}

fn of_kind<'a>(entities: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entities.iter().filter(|entity| entity["kind"] == kind).collect()
}

fn relations(entity: &Value, kind: &str) -> Vec<String> {
    let relations = entity["relations"].as_array().into_iter().flatten().filter(|relation| relation["type"] == kind);
    relations.map(|relation| relation["targetRef"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the demo is there and tied together, and returns all of it.
async fn ingested(portal: &Portal) -> Vec<Value> {
    eventually(std::time::Duration::from_mins(2), "Backstage shows the demo", async || {
        let entities = portal.backstage.entities().await?;
        let counts: BTreeMap<&str, usize> =
            ["Resource", "Component", "API"].map(|kind| (kind, of_kind(&entities, kind).len())).into();
        let owned = entities.iter().all(|entity| !relations(entity, "ownedBy").is_empty());
        let served = of_kind(&entities, "API").into_iter().all(|api| !relations(api, "apiProvidedBy").is_empty());
        let expected = [("Resource", 20), ("Component", 2), ("API", 2)].into();
        if counts == expected && owned && served { Ok(entities) } else { Err(format!("{counts:?} {owned} {served}")) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_is_shown_with_groups_as_owners_and_its_parts_tied_together() {
    if !Backstage::is_installed() {
        return;
    }
    let portal = demo(Shape::Plain).await;
    let entities = ingested(&portal).await;
    let granite: Vec<&Value> =
        entities.iter().filter(|entity| entity["metadata"]["name"] == "granite-3.1-8b-instruct-1.1").collect();
    assert_eq!(granite.len(), 3, "a model, its server and its API: {granite:?}");
    for entity in &granite {
        assert_eq!(relations(entity, "ownedBy"), ["group:default/ai-platform"], "{entity}");
    }
    let server = of_kind(&entities, "Component")
        .into_iter()
        .find(|one| relations(one, "dependsOn").iter().any(|r| r.contains("granite")));
    let server = server.expect("the server of granite");
    assert_eq!(relations(server, "providesApi"), ["api:default/granite-3.1-8b-instruct-1.1"]);
    portal.was_taken_without_complaint();
    capture(&entities, &granite, &portal.bridge.url(Service::Location));
}

/// The list of all entities, and those of one model in full; at the address that the demo has.
fn capture(entities: &[Value], granite: &[&Value], location: &str) {
    let Ok(file) = std::env::var(CAPTURE) else { return };
    let name = |entity: &Value| {
        format!("{}:{}", entity["kind"].as_str().unwrap().to_lowercase(), entity["metadata"]["name"].as_str().unwrap())
    };
    let list: Vec<String> = entities.iter().map(name).collect();
    let shown = json!({"entities": list, "granite-3.1-8b-instruct-1.1": granite});
    let text = serde_json::to_string_pretty(&shown).unwrap().replace(location, "http://localhost:9090");
    std::fs::write(file, text + "\n").unwrap();
}

/// The older providers put `user:` before each owner, so in JSON a group cannot be said: the bare name is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_is_taken_by_the_older_providers() {
    if !Backstage::is_installed() {
        return;
    }
    let portal = demo(Shape::Rhdh09).await;
    assert_eq!(portal.bridge.format, Format::ModelCatalogJson);
    let entities = ingested(&portal).await;
    let models = of_kind(&entities, "Resource");
    let granite = models.iter().find(|model| model["metadata"]["name"] == "granite-3.1-8b-instruct-1.1").unwrap();
    assert_eq!(relations(granite, "ownedBy"), ["user:default/ai-platform"]);
    assert_eq!(granite["metadata"]["annotations"]["rhdh.modelcatalog.io/owner"], "group:default/ai-platform");
    portal.was_taken_without_complaint();
}
