//! What the settings filter out leaves storage, because it is known to be no entry: even from a registry whose last read
//! proves nothing gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bridge_api::clients::StorageClient;
use bridge_api::digest::content_digest;
use bridge_api::messages::{EntryDigest, KeyList, PostBody};
use model_catalog::render::Format;
use normalizer::hold::HoldPolicy;
use normalizer::inventory::{RegistryContents, SourceId};
use normalizer::metrics::NormalizerMetrics;
use normalizer::observe::{Board, Read};
use normalizer::project::filter::Filter;
use normalizer::project::owners::Owners;
use normalizer::project::{ProjectionSettings, project};
use normalizer::publish::Publisher;
use registry_client::records::Record;
use registry_client::{ModelVersion, RegisteredModel};
use serde_json::{Value, json};
use service::Metrics;
use service::http_client::{TlsSettings, client};

type Entries = Arc<Mutex<BTreeMap<String, PostBody>>>;

async fn upsert(
    State(entries): State<Entries>,
    Query(query): Query<BTreeMap<String, String>>,
    Json(body): Json<PostBody>,
) {
    entries.lock().unwrap().insert(query["key"].clone(), body);
}

async fn list(State(entries): State<Entries>) -> Json<KeyList> {
    let entries = entries.lock().unwrap();
    let digest = |(key, post): (&String, &PostBody)| EntryDigest {
        key: key.clone(),
        digest: content_digest(&post.body, &post.model_card_key, &post.model_card),
        reconciler_type: None,
        origin: post.origin.clone(),
    };
    Json(KeyList {
        keys: entries.keys().cloned().collect(),
        entries: Some(entries.iter().map(digest).collect()),
        settled: Some(true),
    })
}

async fn key_set(State(entries): State<Entries>, Query(query): Query<BTreeMap<String, String>>) {
    let keys: BTreeSet<&str> = query["key"].split(',').collect();
    entries.lock().unwrap().retain(|key, _| keys.contains(key.as_str()));
}

async fn storage() -> (StorageClient, Entries) {
    let entries = Entries::default();
    let routes = Router::new()
        .route("/upsert", post(upsert))
        .route("/list", get(list))
        .route("/currentkeyset", post(key_set))
        .with_state(Arc::clone(&entries));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (StorageClient::new(url.parse().unwrap(), client(&TlsSettings::default(), "storage").unwrap()), entries)
}

fn record<T: Record>(json: &Value) -> T {
    T::from_json(json).unwrap().unwrap()
}

/// A registry of which something could not be read.
fn incomplete(models: &[&str]) -> RegistryContents {
    let model = |name: &&str| record::<RegisteredModel>(&json!({"id": name, "name": name}));
    let version = |name: &&str| record::<ModelVersion>(&json!({"id": name, "name": "v1", "registeredModelId": name}));
    RegistryContents {
        models: models.iter().map(model).map(|model| (model.id.clone(), model)).collect(),
        versions: models.iter().map(version).map(|version| (version.id.clone(), version)).collect(),
        complete: false,
        ..RegistryContents::default()
    }
}

fn settings(exclude: &str) -> ProjectionSettings {
    let exclude = exclude.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap()).collect();
    ProjectionSettings {
        default_owner: "jane".parse().unwrap(),
        default_lifecycle: "development".parse().unwrap(),
        location_base: "http://location.example.com".parse().unwrap(),
        filter: Filter { include: Vec::new(), exclude },
        owners: Owners::default(),
        emit: BTreeSet::new(),
        questions: BTreeSet::new(),
    }
}

#[tokio::test]
async fn what_is_filtered_out_leaves_storage_and_what_is_only_missing_stays() {
    let (client, entries) = storage().await;
    let policy = HoldPolicy { share: 1.0, interval: Duration::from_secs(1) };
    let metrics = NormalizerMetrics::new(&Metrics::new("test"));
    let mut publisher = Publisher::new(client, Format::ModelCatalogJson, policy, Duration::from_secs(600), metrics);
    let (board, id) = (Board::default(), SourceId::registry("main"));
    board.expect_registry(&id);
    let keys = || entries.lock().unwrap().keys().cloned().collect::<Vec<_>>();

    board.registry_read(&id, Read::Complete, Some(incomplete(&["granite", "llama", "secret"])));
    let observed = board.observed();
    let stored = publisher.stored().await.unwrap();
    publisher.publish(&project(&observed.inventory, &settings("")), &stored, &observed).await.unwrap();
    assert_eq!(keys(), ["granite_v1", "llama_v1", "secret_v1"]);

    board.registry_read(&id, Read::Complete, Some(incomplete(&["granite", "secret"])));
    let observed = board.observed();
    let stored = publisher.stored().await.unwrap();
    publisher.publish(&project(&observed.inventory, &settings("main/secret")), &stored, &observed).await.unwrap();
    assert_eq!(keys(), ["granite_v1", "llama_v1"]);
}
