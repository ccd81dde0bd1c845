//! Fills a registry from a file, through its own REST API: what is there already is brought up to date, the rest is made.
//!
//! The format is described at the head of `deploy/samples/registry.yaml`. Models, versions and serving environments are
//! made in the order of the file, then artifacts, then inference services, so that an empty registry gives them the ids
//! that the file says.

use std::collections::HashMap;

use bearer::Token;
use registry_client::{PropertyValue, RegistryClient, RegistryError};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;
use url::Url;

/// A registry can't be filled.
#[derive(Debug, Error)]
pub enum SeedError {
    /// The file is none of the format.
    #[error("the file is not valid: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// The registry does not take it.
    #[error("{what}: {source}")]
    Registry {
        /// What was to be made.
        what: String,
        /// Why not.
        source: RegistryError,
    },
    /// The file names something that it does not define.
    #[error("inference service {service:?} of the file names the {what} {name:?}, which the file does not define")]
    Unknown {
        /// The record that names it.
        service: String,
        /// What it should be.
        what: &'static str,
        /// The name that is not defined.
        name: String,
    },
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Resources that are new.
    pub created: usize,
    /// Resources that were there, and are now as the file says.
    pub updated: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Seed {
    #[serde(default)]
    models: Vec<Model>,
    #[serde(default)]
    serving_environments: Vec<Named>,
    #[serde(default)]
    inference_services: Vec<Service>,
    /// For the catalog, which is no part of the registry.
    #[serde(default, rename = "catalog")]
    _catalog: Value,
}

#[derive(Deserialize)]
struct Named {
    id: Option<u64>,
    name: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    versions: Vec<Version>,
    #[serde(flatten)]
    record: Named,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    artifacts: Vec<Named>,
    #[serde(flatten)]
    record: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    model: String,
    version: Option<String>,
    serving_environment: String,
    #[serde(flatten)]
    record: Named,
}

/// Who fills a registry.
pub struct Seeder {
    registry: RegistryClient,
    done: Seeded,
}

/// Where a kind is found, and where it is made.
struct Place<'a> {
    what: &'static str,
    one: &'static str,
    all: &'static str,
    /// What it belongs to: the field that says so, and the id.
    parent: Option<(&'static str, &'a str)>,
}

impl Seeder {
    /// For the registry at that address.
    pub fn new(http: Client, url: &Url, token: Token) -> Self {
        let registry = RegistryClient::new(url.clone(), http, None).with_token(token);
        Self { registry, done: Seeded::default() }
    }

    /// Makes the registry hold what the file says. Whatever else it holds stays.
    pub async fn seed(mut self, yaml: &str) -> Result<Seeded, SeedError> {
        let seed: Seed = serde_yaml::from_str(yaml)?;
        let mut known = Known::default();
        let mut artifacts = Vec::new();
        for Model { record, versions } in seed.models {
            let model = record.name.clone();
            let model_id = self.put(&MODEL, record).await?;
            for Version { record, artifacts: of_version } in versions {
                let version = record.name.clone();
                let place = Place {
                    what: "model version",
                    one: "model_version",
                    all: "model_versions",
                    parent: Some(("registeredModelId", &model_id)),
                };
                let version_id = self.put(&place, record).await?;
                artifacts.extend(of_version.into_iter().map(|artifact| (version_id.clone(), artifact)));
                known.versions.insert((model.clone(), version), version_id);
            }
            known.models.insert(model, model_id);
        }
        for environment in seed.serving_environments {
            let name = environment.name.clone();
            known.environments.insert(name, self.put(&ENVIRONMENT, environment).await?);
        }
        for (version, artifact) in artifacts {
            self.offer(&version, artifact).await?;
        }
        for service in seed.inference_services {
            let (environment, record) = known.resolve(service)?;
            let place = Place {
                what: "inference service",
                one: "inference_service",
                all: "inference_services",
                parent: Some(("servingEnvironmentId", &environment)),
            };
            self.put(&place, record).await?;
        }
        Ok(self.done)
    }

    /// Makes a resource, or brings the one of that name up to date; answers its id.
    async fn put(&mut self, place: &Place<'_>, record: Named) -> Result<String, SeedError> {
        let Named { id: said, name, fields } = record;
        let what = format!("{} {name:?}", place.what);
        let mut query = vec![("name", name.as_str())];
        query.extend(place.parent.map(|(_, id)| ("parentResourceId", id)));
        let mut body = with_properties(fields);
        let failed = |source| SeedError::Registry { what: what.clone(), source };
        let found = self.registry.find(&[place.one], &query).await.map_err(failed)?;
        let answer = if let Some(found) = found {
            self.done.updated += 1;
            for immutable in ["registeredModelId", "servingEnvironmentId", "startTimeSinceEpoch"] {
                body.remove(immutable);
            }
            self.registry.update(&[place.all, &id_of(&found)], &body.into()).await
        } else {
            self.done.created += 1;
            body.insert("name".to_owned(), name.into());
            body.extend(place.parent.map(|(field, id)| (field.to_owned(), id.into())));
            self.registry.create(&[place.all], &body.into()).await
        };
        let answer = answer.map_err(failed)?;
        let id = id_of(&answer);
        if let Some(said) = said.map(|said| said.to_string()).filter(|said| *said != id) {
            tracing::warn!(said, id, "{what} has another id than the file says: what refers to it has to be changed");
        }
        Ok(id)
    }

    async fn offer(&mut self, version: &str, artifact: Named) -> Result<(), SeedError> {
        let Named { name, fields, .. } = artifact;
        let what = format!("artifact {name:?}");
        let mut body = with_properties(fields);
        let query = [("name", name.as_str()), ("parentResourceId", version)];
        let failed = |source| SeedError::Registry { what: what.clone(), source };
        if let Some(found) = self.registry.find(&["artifact"], &query).await.map_err(failed)? {
            self.done.updated += 1;
            body.insert("id".to_owned(), id_of(&found).into());
        } else {
            self.done.created += 1;
        }
        body.entry("artifactType").or_insert_with(|| "model-artifact".into());
        body.insert("name".to_owned(), name.into());
        let path = ["model_versions", version, "artifacts"];
        self.registry.create(&path, &body.into()).await.map_err(failed).map(drop)
    }
}

const MODEL: Place<'_> =
    Place { what: "registered model", one: "registered_model", all: "registered_models", parent: None };
const ENVIRONMENT: Place<'_> =
    Place { what: "serving environment", one: "serving_environment", all: "serving_environments", parent: None };

/// Ids by the names of the file.
#[derive(Default)]
struct Known {
    models: HashMap<String, String>,
    versions: HashMap<(String, String), String>,
    environments: HashMap<String, String>,
}

impl Known {
    /// The serving environment of an inference service, and its record with the ids of what it serves.
    fn resolve(&self, service: Service) -> Result<(String, Named), SeedError> {
        let Service { model, version, serving_environment, mut record } = service;
        let unknown =
            |what, name: &str| SeedError::Unknown { service: record.name.clone(), what, name: name.to_owned() };
        let model_id = self.models.get(&model).ok_or_else(|| unknown("model", &model))?.clone();
        let environment = self.environments.get(&serving_environment);
        let environment = environment.ok_or_else(|| unknown("serving environment", &serving_environment))?.clone();
        let version_id = match &version {
            None => None,
            Some(name) => {
                let found = self.versions.get(&(model, name.clone()));
                Some(found.ok_or_else(|| unknown("version", name))?.clone())
            }
        };
        record.fields.insert("registeredModelId".to_owned(), model_id.into());
        record.fields.extend(version_id.map(|id| ("modelVersionId".to_owned(), id.into())));
        Ok((environment, record))
    }
}

fn id_of(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_default().to_owned()
}

/// The short form `properties`, with plain values, becomes `customProperties`.
fn with_properties(mut fields: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(plain)) = fields.remove("properties") {
        let properties = plain.iter().map(|(name, value)| (name.clone(), metadata(value))).collect::<Map<_, _>>();
        fields.insert("customProperties".to_owned(), properties.into());
    }
    fields
}

/// What is a metadata value already stays one.
fn metadata(plain: &Value) -> Value {
    match plain {
        Value::Object(object) if object.contains_key("metadataType") => plain.clone(),
        _ => PropertyValue::from(plain).to_json(),
    }
}
