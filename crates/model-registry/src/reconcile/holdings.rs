//! What the registry holds: its serving environments, and its records of inference services.

use std::collections::{BTreeMap, HashMap};

use registry_client::records::Record;
use registry_client::{InferenceServiceRecord, ListQuery, RecordError, RegistryClient, RegistryError};
use serde_json::{Map, Value};

/// A record as the registry has it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) record: InferenceServiceRecord,
    pub(super) external_id: Option<String>,
    /// The custom properties as they came: those of others are sent back unchanged.
    pub(super) properties: Map<String, Value>,
}

impl Record for Held {
    const KIND: &'static str = InferenceServiceRecord::KIND;

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        let record = InferenceServiceRecord::from_json(json)?;
        Some(record.map(|record| Self {
            record,
            external_id: json["externalId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned),
            properties: json["customProperties"].as_object().cloned().unwrap_or_default(),
        }))
    }
}

impl Held {
    /// A property of ours.
    pub(super) fn property(&self, key: &str) -> Option<String> {
        self.record.properties.text(key)
    }
}

/// All that concerns serving.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// The ids of serving environments, by name.
    pub(super) environments: HashMap<String, String>,
    /// Records by id.
    pub(super) records: BTreeMap<String, Held>,
}

impl Holdings {
    /// Reads all.
    pub(super) async fn read(registry: &RegistryClient) -> Result<Self, RegistryError> {
        let environments = registry.serving_environments(ListQuery::default()).collect_all().await?;
        let records = registry.list::<Held>(&["inference_services"], ListQuery::default()).collect_all().await?;
        for problem in environments.malformed.iter().chain(&records.malformed) {
            tracing::warn!("{problem}; it is left alone");
        }
        Ok(Self {
            environments: environments.records.into_iter().map(|found| (found.name, found.id)).collect(),
            records: records.records.into_iter().map(|held| (held.record.id.clone(), held)).collect(),
        })
    }

    /// Takes in what the registry answered to a change.
    pub(super) fn take_in(&mut self, answer: &Value) -> Option<String> {
        let held = Held::from_json(answer)?.ok()?;
        let id = held.record.id.clone();
        self.records.insert(id.clone(), held);
        Some(id)
    }

    /// The name of the environment that a record is in.
    pub(super) fn environment_of(&self, held: &Held) -> Option<&str> {
        let id = &held.record.serving_environment_id;
        self.environments.iter().find(|(_, environment)| *environment == id).map(|(name, _)| name.as_str())
    }

    /// Whether a record has that external id.
    pub(super) fn has_external_id(&self, id: &str) -> bool {
        self.records.values().any(|held| held.external_id.as_deref() == Some(id))
    }
}
