//! Carries out single steps.

use cluster::{Cluster, RequestError};
use registry_client::{RegistryClient, RegistryError};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::holdings::Holdings;
use super::metrics::{ReconcileMetrics, Write};
use super::plan::{DEPLOYED, Step, UNDEPLOYED, as_metadata};
use super::wanted::Wanted;

/// Why a step was not carried out.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    /// The registry cannot do anything now.
    #[error(transparent)]
    Registry(RegistryError),
    /// The cluster cannot do anything now.
    #[error("the label of a service cannot be written: {0}")]
    Cluster(RequestError),
    /// Somebody else has made what was to be made: what there is must be read again.
    #[error("somebody else writes the same: {0}")]
    Overtaken(RegistryError),
    /// This step makes no sense.
    #[error("{0}")]
    Refused(String),
}

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Self {
        match error.status() {
            Some(409) => Self::Overtaken(error),
            Some(401 | 403 | 408 | 429) => Self::Registry(error),
            Some(status) if (400..500).contains(&status) => Self::Refused(error.to_string()),
            _ => Self::Registry(error),
        }
    }
}

/// Writes to the registry, and labels to the cluster.
pub(super) struct Writer {
    pub(super) registry: RegistryClient,
    pub(super) cluster: Cluster,
    /// What the cluster is called.
    pub(super) name: String,
    pub(super) metrics: ReconcileMetrics,
}

impl Writer {
    /// Carries out a step. Of a record that was made its id is answered: its service is to be told.
    pub(super) async fn carry_out(&self, step: &Step, holdings: &mut Holdings) -> Result<Option<String>, Trouble> {
        match step {
            Step::Create { wanted, name, external_id } => {
                self.create(wanted, name, external_id, holdings).await.map(Some)
            }
            Step::Update { id, wanted, patch } => {
                if patch.contains_key("modelVersionId") {
                    self.check_version(wanted).await?;
                }
                self.update(id, patch, holdings).await?;
                tracing::info!(service = %wanted.at(), record = %id, changed = ?keys(patch), "the record was brought up to date");
                self.metrics.wrote(Write::Updated);
                Ok(None)
            }
            Step::Undeploy { id, name } => {
                let patch = Map::from_iter([("desiredState".to_owned(), UNDEPLOYED.into())]);
                self.update(id, &patch, holdings).await?;
                tracing::info!(record = %id, %name, "what the record is of is gone: it is {UNDEPLOYED}");
                self.metrics.wrote(Write::Undeployed);
                Ok(None)
            }
            Step::Label { id, wanted } => self.label(id, wanted).await.map(|()| None),
        }
    }

    async fn create(
        &self,
        wanted: &Wanted,
        name: &str,
        external_id: &str,
        holdings: &mut Holdings,
    ) -> Result<String, Trouble> {
        self.check_model(wanted).await?;
        self.check_version(wanted).await?;
        let environment = self.environment(&wanted.service.namespace, holdings).await?;
        let mut body = json!({
            "name": name, "externalId": external_id, "registeredModelId": wanted.model,
            "servingEnvironmentId": environment, "desiredState": DEPLOYED,
            "customProperties": as_metadata(wanted, &self.name),
        });
        for (field, value) in [("modelVersionId", &wanted.version), ("runtime", &wanted.service.model.runtime)] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        let answer = self.registry.create(&["inference_services"], &body).await?;
        let id = holdings
            .take_in(&answer)
            .ok_or_else(|| Trouble::Refused(format!("the registry answers no record: {answer}")))?;
        tracing::info!(service = %wanted.at(), record = %id, "the service is recorded");
        self.metrics.wrote(Write::Created);
        Ok(id)
    }

    async fn update(&self, id: &str, patch: &Map<String, Value>, holdings: &mut Holdings) -> Result<(), Trouble> {
        let answer = self.registry.update(&["inference_services", id], &patch.clone().into()).await?;
        // An answer that is no record leaves the old one, which is written again when everything is read anew.
        holdings.take_in(&answer);
        Ok(())
    }

    /// The id of the serving environment of a namespace.
    async fn environment(&self, namespace: &str, holdings: &mut Holdings) -> Result<String, Trouble> {
        if let Some(id) = holdings.environments.get(namespace) {
            return Ok(id.clone());
        }
        let answer = self.registry.create(&["serving_environments"], &json!({"name": namespace})).await?;
        let Some(id) = answer["id"].as_str() else {
            return Err(Trouble::Refused(format!(
                "the registry answers no id for the serving environment {namespace}: {answer}"
            )));
        };
        holdings.environments.insert(namespace.to_owned(), id.to_owned());
        tracing::info!(%namespace, environment = id, "the namespace is a serving environment now");
        self.metrics.wrote(Write::Environment);
        Ok(id.to_owned())
    }

    async fn check_model(&self, wanted: &Wanted) -> Result<(), Trouble> {
        match self.registry.registered_model(&wanted.model).await? {
            Some(_) => Ok(()),
            None => Err(Trouble::Refused(format!(
                "the registry has no registered model {}; register it, or correct the label {}",
                wanted.model,
                wanted.model_label()
            ))),
        }
    }

    async fn check_version(&self, wanted: &Wanted) -> Result<(), Trouble> {
        let Some(id) = &wanted.version else { return Ok(()) };
        match self.registry.model_version(id).await? {
            Some(version) if version.registered_model_id == wanted.model => Ok(()),
            _ => Err(Trouble::Refused(format!(
                "the registry has no version {id} of the registered model {}; register it, or correct the label {}",
                wanted.model,
                wanted.version_label()
            ))),
        }
    }

    /// Tells a service the id of its record.
    async fn label(&self, id: &str, wanted: &Wanted) -> Result<(), Trouble> {
        match self.cluster.label(&wanted.service, &wanted.record_label(), id).await {
            Ok(()) => {
                tracing::debug!(service = %wanted.at(), record = %id, "the service was labelled");
                self.metrics.wrote(Write::Labelled);
                Ok(())
            }
            // It went meanwhile.
            Err(RequestError::NotFound { .. }) => Ok(()),
            Err(error @ RequestError::Forbidden { .. }) => Err(Trouble::Refused(format!(
                "{error}; or turn the labels off with --write-label=false / MR_WRITE_LABEL"
            ))),
            Err(error) => Err(Trouble::Cluster(error)),
        }
    }
}

fn keys(patch: &Map<String, Value>) -> Vec<&str> {
    patch.keys().map(String::as_str).collect()
}
