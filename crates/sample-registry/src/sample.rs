//! The sample file: a registry and its catalog as people would write them down. The format is described at the head of
//! `deploy/samples/registry.yaml`.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{Kind, SampleRegistry};

/// Why a sample file cannot be loaded. Nothing is kept back: what came before the fault is in the registry.
#[derive(Debug, Error)]
pub enum SampleError {
    /// The text is no YAML of the format.
    #[error("the sample is not valid: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// Two records of one kind of id ask for the same id, or it is in use.
    #[error(
        "the sample gives the id {id} to {kind:?} {name:?}, but it is taken (models, versions and serving environments share their ids)"
    )]
    DuplicateId {
        /// The kind of the second record.
        kind: Kind,
        /// Its name.
        name: String,
        /// The id.
        id: u64,
    },
    /// An inference-service record names something that the sample does not define.
    #[error("inference service {service:?} of the sample names the {what} {name:?}, which the sample does not define")]
    Unknown {
        /// The record that names it.
        service: String,
        /// What it should be.
        what: &'static str,
        /// The name that is not defined.
        name: String,
    },
}

/// What a sample held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Registered models.
    pub models: usize,
    /// Versions.
    pub versions: usize,
    /// Artifacts.
    pub artifacts: usize,
    /// Inference-service records.
    pub inference_services: usize,
    /// Serving environments.
    pub serving_environments: usize,
    /// Catalog sources.
    pub catalog_sources: usize,
    /// Catalog models.
    pub catalog_models: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sample {
    #[serde(default)]
    models: Vec<ModelEntry>,
    #[serde(default)]
    serving_environments: Vec<Named>,
    #[serde(default)]
    inference_services: Vec<ServiceEntry>,
    #[serde(default)]
    catalog: CatalogEntry,
}

#[derive(Deserialize)]
struct Named {
    id: Option<u64>,
    name: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct ModelEntry {
    #[serde(default)]
    versions: Vec<VersionEntry>,
    #[serde(flatten)]
    record: Named,
}

#[derive(Deserialize)]
struct VersionEntry {
    #[serde(default)]
    artifacts: Vec<Named>,
    #[serde(flatten)]
    record: Named,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceEntry {
    model: String,
    version: Option<String>,
    serving_environment: String,
    #[serde(flatten)]
    record: Named,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct CatalogEntry {
    #[serde(default)]
    sources: Vec<SourceEntry>,
}

#[derive(Deserialize)]
struct SourceEntry {
    id: String,
    #[serde(default)]
    models: Vec<CatalogModelEntry>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct CatalogModelEntry {
    name: String,
    #[serde(default)]
    readme: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl SampleRegistry {
    /// Adds the records of a sample file to the registry.
    pub fn load_yaml(&self, yaml: &str) -> Result<Loaded, SampleError> {
        let sample: Sample = serde_yaml::from_str(yaml)?;
        self.reserve_ids(&sample)?;
        let mut loaded = Loaded::default();
        let mut ids = Ids::default();
        for model in sample.models {
            self.load_model(model, &mut ids, &mut loaded);
        }
        for environment in sample.serving_environments {
            let name = environment.name.clone();
            let id = self.load_record(Kind::ServingEnvironment, None, environment);
            ids.environments.insert(name, id);
            loaded.serving_environments += 1;
        }
        for service in sample.inference_services {
            self.load_service(service, &ids)?;
            loaded.inference_services += 1;
        }
        for source in sample.catalog.sources {
            self.put_catalog_source(&source.id, Value::Object(source.fields));
            loaded.catalog_sources += 1;
            for model in source.models {
                self.put_catalog_model(&source.id, &model.name, &model.readme, Value::Object(model.fields));
                loaded.catalog_models += 1;
            }
        }
        Ok(loaded)
    }

    /// Given ids are set aside first, so that the assigned ones go around them wherever in the file they stand.
    fn reserve_ids(&self, sample: &Sample) -> Result<(), SampleError> {
        let versions = || sample.models.iter().flat_map(|model| &model.versions);
        let models = sample.models.iter().map(|model| (Kind::RegisteredModel, &model.record));
        let records = models
            .chain(versions().map(|version| (Kind::ModelVersion, &version.record)))
            .chain(versions().flat_map(|version| &version.artifacts).map(|artifact| (Kind::ModelArtifact, artifact)))
            .chain(sample.serving_environments.iter().map(|record| (Kind::ServingEnvironment, record)))
            .chain(sample.inference_services.iter().map(|service| (Kind::InferenceService, &service.record)));
        for (kind, record) in records {
            let Some(id) = record.id else { continue };
            if !self.write(|state| state.reserve(kind, id)) {
                let name = record.name.clone();
                return Err(SampleError::DuplicateId { kind, name, id });
            }
        }
        Ok(())
    }

    fn load_model(&self, model: ModelEntry, ids: &mut Ids, loaded: &mut Loaded) {
        let model_name = model.record.name.clone();
        let model_id = self.load_record(Kind::RegisteredModel, None, model.record);
        ids.models.insert(model_name.clone(), model_id.clone());
        loaded.models += 1;
        for version in model.versions {
            let version_name = version.record.name.clone();
            let version_id = self.load_record(Kind::ModelVersion, Some(&model_id), version.record);
            ids.versions.insert((model_name.clone(), version_name), version_id.clone());
            loaded.versions += 1;
            for artifact in version.artifacts {
                self.load_record(Kind::ModelArtifact, Some(&version_id), artifact);
                loaded.artifacts += 1;
            }
        }
    }

    fn load_service(&self, service: ServiceEntry, ids: &Ids) -> Result<(), SampleError> {
        let ServiceEntry { model, version, serving_environment, mut record } = service;
        let unknown =
            |what, name: &str| SampleError::Unknown { service: record.name.clone(), what, name: name.to_owned() };
        let model_id = ids.models.get(&model).ok_or_else(|| unknown("model", &model))?;
        let environment_id = ids
            .environments
            .get(&serving_environment)
            .ok_or_else(|| unknown("serving environment", &serving_environment))?;
        let version_id = version
            .map(|version| {
                let id = ids.versions.get(&(model.clone(), version.clone()));
                id.ok_or_else(|| unknown("version", &version))
            })
            .transpose()?;
        record.fields.insert("registeredModelId".into(), model_id.as_str().into());
        if let Some(version_id) = version_id {
            record.fields.insert("modelVersionId".into(), version_id.as_str().into());
        }
        self.load_record(Kind::InferenceService, Some(environment_id), record);
        Ok(())
    }

    fn load_record(&self, kind: Kind, parent_id: Option<&str>, record: Named) -> String {
        self.create_with_id(kind, record.id, parent_id, &record.name, Value::Object(record.fields))
    }
}

/// Ids by name, for the references within a sample.
#[derive(Default)]
struct Ids {
    models: HashMap<String, String>,
    versions: HashMap<(String, String), String>,
    environments: HashMap<String, String>,
}
