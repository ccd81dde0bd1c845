//! Reads a registry: lists, artifacts, and the model cards that these lead to.

use std::collections::BTreeMap;
use std::sync::Arc;

use registry_client::pages::{ListQuery, Listing};
use registry_client::records::{ModelArtifact, Record, RecordError};
use registry_client::{RegistryClient, RegistryError};

use super::cards::CardReader;
use super::increment::artifacts_of;
use crate::inventory::{RecordProblem, Records, RegistryContents};

/// Reads one registry and the catalogs beside it.
#[derive(Debug)]
pub struct RegistryReader {
    /// What InferenceServices call the registry in their labels, where that is known.
    pub registry_name: Option<String>,
    /// The registry.
    pub client: RegistryClient,
    /// Where its model cards are.
    pub cards: CardReader,
    /// How many requests may be under way at once.
    pub concurrency: usize,
}

impl RegistryReader {
    /// Reads everything. What cannot be read in a list that is otherwise whole is taken from `previous`, because it is
    /// there; any other failure is an error, and nothing of the attempt counts.
    pub async fn read_all(&self, previous: Option<&RegistryContents>) -> Result<RegistryContents, RegistryError> {
        let mut contents =
            RegistryContents { registry_name: self.registry_name.clone(), complete: true, ..Default::default() };
        let empty = RegistryContents::default();
        let before = previous.unwrap_or(&empty);
        // Versions first: a model that is registered in between then misses its version until the next read, and no
        // version misses its model.
        let versions = self.client.model_versions(ListQuery::default()).collect_all().await?;
        let models = self.client.registered_models(ListQuery::default()).collect_all().await?;
        let records = self.client.inference_services(ListQuery::default()).collect_all().await?;
        contents.versions = contents.take(versions, &before.versions, |version| &version.id);
        contents.models = contents.take(models, &before.models, |model| &model.id);
        contents.inference_services = contents.take(records, &before.inference_services, |record| &record.id);
        if !contents.inference_services.is_empty() {
            let environments = self.client.serving_environments(ListQuery::default()).collect_all().await?;
            contents.serving_environments = contents.take(environments, &before.serving_environments, |e| &e.id);
        }
        let shown: Vec<String> = contents.shown_versions().map(str::to_owned).collect();
        contents.artifacts = self.artifacts(&mut contents, &shown, &before.artifacts).await?;
        let wanted = contents.wanted_cards();
        contents.cards = self.cards.read(&wanted, &before.cards, self.concurrency).await;
        Ok(contents)
    }

    /// The artifacts of `versions`, by version.
    pub(super) async fn artifacts(
        &self,
        contents: &mut RegistryContents,
        versions: &[String],
        before: &BTreeMap<String, Vec<Arc<ModelArtifact>>>,
    ) -> Result<BTreeMap<String, Vec<Arc<ModelArtifact>>>, RegistryError> {
        let listings = artifacts_of(&self.client, versions.to_vec(), self.concurrency).await?;
        let mut artifacts = BTreeMap::new();
        for (version, listing) in listings {
            let known = before.get(&version).into_iter().flatten();
            let known = known.map(|artifact| (artifact.id.clone(), Arc::clone(artifact))).collect();
            // An artifact that cannot be read hides no version.
            let complete = contents.complete;
            let found = contents.take(listing, &known, |artifact| &artifact.id);
            contents.complete = complete;
            artifacts.insert(version, found.into_values().collect());
        }
        Ok(artifacts)
    }
}

impl RegistryContents {
    /// Ids of the versions that are shown: LIVE ones of LIVE models.
    pub(super) fn shown_versions(&self) -> impl Iterator<Item = &str> {
        let live = |model: &str| self.models.get(model).is_some_and(|model| model.state.is_live());
        let shown = self.versions.values().filter(move |v| v.state.is_live() && live(&v.registered_model_id));
        shown.map(|version| version.id.as_str())
    }

    /// The records of a list by their ids; those that are as before are the ones from before. Where some of the list could
    /// not be read, what was known and is missing now may be among that, and stays.
    fn take<T: Record + PartialEq>(
        &mut self,
        listing: Listing<T>,
        before: &Records<T>,
        id: impl Fn(&T) -> &String,
    ) -> Records<T> {
        let mut found = if listing.malformed.is_empty() { BTreeMap::new() } else { before.clone() };
        self.complete &= listing.malformed.is_empty();
        self.problems.extend(listing.malformed.into_iter().map(RecordProblem::from));
        let shared = |record: T| match before.get(id(&record)) {
            Some(known) if **known == record => Arc::clone(known),
            _ => Arc::new(record),
        };
        found.extend(listing.records.into_iter().map(|record| (id(&record).clone(), shared(record))));
        found
    }
}

impl From<RecordError> for RecordProblem {
    fn from(error: RecordError) -> Self {
        let name = error.name.or(error.id).unwrap_or_default();
        Self { subject: format!("{} `{name}`", error.kind).replace(" ``", ""), reason: error.reason }
    }
}
