//! What the settings filter out leaves storage, because it is known to be no entry: even from a registry whose last read
//! proves nothing gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

#[allow(dead_code, reason = "shared by tests of which none needs all of it")]
#[path = "economy/storage.rs"]
mod storage;

use std::sync::Arc;

use std::collections::BTreeSet;
use std::time::Duration;

use bridge_api::clients::StorageClient;
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

use storage::CountingStorage;

fn record<T: Record>(json: &Value) -> T {
    T::from_json(json).unwrap().unwrap()
}

/// A registry of which something could not be read.
fn incomplete(models: &[&str]) -> RegistryContents {
    let model = |name: &&str| record::<RegisteredModel>(&json!({"id": name, "name": name}));
    let version = |name: &&str| record::<ModelVersion>(&json!({"id": name, "name": "v1", "registeredModelId": name}));
    RegistryContents {
        models: models.iter().map(model).map(|model| (model.id.clone(), Arc::new(model))).collect(),
        versions: models.iter().map(version).map(|version| (version.id.clone(), Arc::new(version))).collect(),
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
    let storage = CountingStorage::start().await;
    let client = StorageClient::new(storage.url.clone(), client(&TlsSettings::default(), "storage").unwrap());
    let policy = HoldPolicy { share: 1.0, interval: Duration::from_secs(1) };
    let metrics = NormalizerMetrics::new(&Metrics::new("test"));
    let mut publisher = Publisher::new(client, Format::ModelCatalogJson, policy, Duration::from_mins(10), metrics);
    let (board, id) = (Board::default(), SourceId::registry("main"));
    board.expect_registry(&id);

    board.registry_read(&id, Read::Complete, Some(incomplete(&["granite", "llama", "secret"])));
    let observed = board.observed();
    let stored = publisher.stored().await.unwrap();
    publisher.publish(&project(&observed.inventory, &settings("")), &stored, &observed).await.unwrap();
    assert_eq!(storage.keys(), ["granite_v1", "llama_v1", "secret_v1"]);

    board.registry_read(&id, Read::Complete, Some(incomplete(&["granite", "secret"])));
    let observed = board.observed();
    let stored = publisher.stored().await.unwrap();
    publisher.publish(&project(&observed.inventory, &settings("main/secret")), &stored, &observed).await.unwrap();
    assert_eq!(storage.keys(), ["granite_v1", "llama_v1"]);
}
