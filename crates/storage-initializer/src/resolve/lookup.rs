//! What one registry says of one reading.

use std::time::Duration;

use registry_client::{ListQuery, ModelArtifact, ModelVersion, RegisteredModel, RegistryClient, RegistryError};
use secrecy::SecretString;

use super::address::Address;
use super::choose::{Choice, Chosen, artifact, newest, state_name, version};
use super::failures;
use crate::uri::Reading;
use crate::{Failure, Kind};

/// How many names of versions a message has.
const EXAMPLES: usize = 5;

/// What a registry has for a reading.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) registry: String,
    pub(super) model: RegisteredModel,
    pub(super) version: ModelVersion,
    pub(super) artifact: ModelArtifact,
    pub(super) warnings: Vec<String>,
}

/// A registry that is asked for a reading.
pub(super) struct Registry {
    pub(super) address: Address,
    clients: Vec<RegistryClient>,
    has_token: bool,
}

impl Registry {
    pub(super) fn new(address: Address, http: reqwest::Client, token: Option<SecretString>, timeout: Duration) -> Self {
        let has_token = token.is_some();
        let older = RegistryClient::new(address.base.clone(), http.clone(), token.clone()).with_timeout(timeout);
        let newer = RegistryClient::new_v1(address.base.clone(), http, token).with_timeout(timeout);
        // Where the settings lead to one of the two, that is the one.
        let clients = if older.base_url() == newer.base_url() { vec![older] } else { vec![older, newer] };
        Self { address, clients, has_token }
    }

    /// Asks once.
    pub(super) async fn look_up(&self) -> Result<Found, Failure> {
        let Reading { model: name, version: version_name, .. } = &self.address.reading;
        if self.address.is_guess && self.address.is_plain_name() {
            self.has_address().await?;
        }
        let (client, model) = self.model(name).await?;
        let mut warnings = Vec::new();
        let version = match version_name {
            Some(version) => self.named_version(client, &model, version, &mut warnings).await?,
            None => self.newest_version(client, &model).await?,
        };
        let artifact = self.newest_artifact(client, &model, &version).await?;
        Ok(Found { registry: client.base_url(), model, version, artifact, warnings })
    }

    /// A model's name is no host's.
    async fn has_address(&self) -> Result<(), Failure> {
        let port = self.address.base.port_or_known_default().unwrap_or_default();
        let host = self.address.base.host_str().unwrap_or_default();
        let result = tokio::net::lookup_host((host, port)).await.map(|_| ());
        result.map_err(|error| {
            Failure::new(Kind::NotFound, format!("there is no host {host:?}: {error}"), "see whether the name is right")
        })
    }

    /// The model, and the client of the API that has it. Which of the two APIs a registry has shows only when it is asked.
    async fn model(&self, name: &str) -> Result<(&RegistryClient, RegisteredModel), Failure> {
        let mut no_api = None;
        let mut is_missing = false;
        for client in &self.clients {
            match client.find_registered_model(name).await {
                Ok(Some(model)) => return Ok((client, model)),
                Ok(None) => is_missing = true,
                Err(error) if error.status() == Some(404) => no_api = Some(error),
                // It was said before that there is no such model.
                Err(error) if is_missing && !error.is_transient() => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        match no_api.filter(|_| !is_missing) {
            Some(error) => Err(failures::no_registry(&self.address, &error)),
            None => Err(failures::no_model(&self.address, name)),
        }
    }

    async fn named_version(
        &self,
        client: &RegistryClient,
        model: &RegisteredModel,
        name: &str,
        warnings: &mut Vec<String>,
    ) -> Result<ModelVersion, Failure> {
        let found = client.find_model_version(name, &model.id).await.map_err(|error| self.failed(&error))?;
        let Some(version) = found else {
            return Err(failures::no_version(&self.address, name, &examples(client, model).await));
        };
        if !model.state.is_live() {
            warnings.push(format!("model {:?} is {}", model.name, state_name(&model.state)));
        }
        if !version.state.is_live() {
            let state = state_name(&version.state);
            warnings
                .push(format!("version {name:?} of model {:?} is {state}; it is fetched as it is named", model.name));
        }
        Ok(version)
    }

    async fn newest_version(&self, client: &RegistryClient, model: &RegisteredModel) -> Result<ModelVersion, Failure> {
        if !model.state.is_live() {
            return Err(failures::archived_model(&self.address, &model.name, state_name(&model.state)));
        }
        let versions = client.versions_of(&model.id, ListQuery::last_created_first());
        let Chosen { best, passed_over } = newest(versions, version).await.map_err(|error| self.failed(&error))?;
        best.ok_or_else(|| failures::no_live_version(&self.address, &model.name, &passed_over))
    }

    async fn newest_artifact(
        &self,
        client: &RegistryClient,
        model: &RegisteredModel,
        version: &ModelVersion,
    ) -> Result<ModelArtifact, Failure> {
        let artifacts = client.artifacts_of(&version.id, ListQuery::last_created_first());
        let Chosen { best, passed_over } = newest(artifacts, artifact).await.map_err(|error| self.failed(&error))?;
        best.ok_or_else(|| failures::no_artifact(&self.address, &model.name, &version.name, &passed_over))
    }

    fn failed(&self, error: &RegistryError) -> Failure {
        failures::of_registry(&self.address, self.has_token, error)
    }
}

/// Names of versions that there are, for messages; none where that cannot be found out.
async fn examples(client: &RegistryClient, model: &RegisteredModel) -> Vec<String> {
    let mut pages = client.versions_of(&model.id, ListQuery::last_created_first().with_page_size(20));
    let Ok(Some(page)) = pages.next_page().await else { return Vec::new() };
    let versions = page.records.into_iter().filter_map(Result::ok);
    let live = versions.filter(|record| matches!(version(record), Choice::Take(_)));
    live.take(EXAMPLES).map(|version| version.name).collect()
}
