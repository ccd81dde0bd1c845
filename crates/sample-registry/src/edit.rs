//! The handle: what people do in a registry, and how to serve it.

use std::{
    future::Future,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use axum::Router;
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::{Dialect, Kind, http, properties, state::RegistryState};

/// An edit of a record that is not there.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no {kind:?} with the id {id:?} in the sample registry")]
pub struct EditError {
    /// The kind asked for.
    pub kind: Kind,
    /// The id asked for.
    pub id: String,
}

/// An in-memory Model Registry and Model Catalog. Clones share the state.
///
/// The fields given to the `create_*` and `update_*` methods are a JSON object in the API's own names; besides,
/// `properties` takes plain values that become `customProperties` (see [`crate::metadata`]).
#[derive(Debug, Clone, Default)]
pub struct SampleRegistry {
    state: Arc<RwLock<RegistryState>>,
}

impl SampleRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a registered model and returns its id.
    pub fn create_model(&self, name: &str, fields: Value) -> String {
        self.create(Kind::RegisteredModel, None, name, fields)
    }

    /// Creates a version and returns its id. The model is not looked up: a test may want an orphan.
    pub fn create_version(&self, model_id: &str, name: &str, fields: Value) -> String {
        self.create(Kind::ModelVersion, Some(model_id), name, fields)
    }

    /// Creates an artifact (a `model-artifact` unless the fields say otherwise) and returns its id.
    pub fn create_artifact(&self, version_id: &str, name: &str, fields: Value) -> String {
        self.create(Kind::ModelArtifact, Some(version_id), name, fields)
    }

    /// Creates a serving environment and returns its id.
    pub fn create_serving_environment(&self, name: &str, fields: Value) -> String {
        self.create(Kind::ServingEnvironment, None, name, fields)
    }

    /// Creates an inference-service record and returns its id; `fields` name the model and version.
    pub fn create_inference_service(&self, environment_id: &str, name: &str, fields: Value) -> String {
        self.create(Kind::InferenceService, Some(environment_id), name, fields)
    }

    /// Plants a record that is served exactly as given, whatever it is; with a parent it is listed there too.
    pub fn create_verbatim(&self, kind: Kind, parent_id: Option<&str>, body: Value) -> String {
        let parent = parent_id.and_then(parse);
        self.write(|state| state.create_verbatim(kind, parent, body)).to_string()
    }

    fn create(&self, kind: Kind, parent_id: Option<&str>, name: &str, fields: Value) -> String {
        self.create_with_id(kind, None, parent_id, name, fields)
    }

    pub(crate) fn create_with_id(
        &self,
        kind: Kind,
        reserved_id: Option<u64>,
        parent_id: Option<&str>,
        name: &str,
        fields: Value,
    ) -> String {
        let mut fields = into_fields(fields);
        fields.insert("name".into(), name.into());
        if let (Some(field), Some(parent)) = (kind.parent_field(), parent_id) {
            fields.insert(field.into(), parent.into());
        }
        for (field, value) in defaults(kind) {
            fields.entry(*field).or_insert_with(|| json!(value));
        }
        let parent = parent_id.and_then(parse);
        self.write(|state| state.create(kind, reserved_id, parent, fields)).to_string()
    }

    /// Changes a record as `PATCH` does: the fields given replace the old ones, `null` removes a field.
    pub fn update(&self, kind: Kind, id: &str, patch: Value) -> Result<(), EditError> {
        let patch = into_fields(patch);
        self.edit(kind, id, |fields| {
            for (name, value) in patch {
                if value.is_null() {
                    fields.remove(&name);
                } else {
                    fields.insert(name, value);
                }
            }
        })
    }

    /// Changes a record's fields in place; the update time is set afterwards.
    pub fn edit(&self, kind: Kind, id: &str, edit: impl FnOnce(&mut Map<String, Value>)) -> Result<(), EditError> {
        let known = parse(id).is_some_and(|id| self.write(|state| state.update(kind, id, edit)));
        if known {
            Ok(())
        } else {
            let id = id.to_owned();
            Err(EditError { kind, id })
        }
    }

    /// Changes a registered model, see [`Self::update`].
    pub fn update_model(&self, id: &str, patch: Value) -> Result<(), EditError> {
        self.update(Kind::RegisteredModel, id, patch)
    }

    /// Changes a version, see [`Self::update`].
    pub fn update_version(&self, id: &str, patch: Value) -> Result<(), EditError> {
        self.update(Kind::ModelVersion, id, patch)
    }

    /// Changes an artifact, see [`Self::update`].
    pub fn update_artifact(&self, id: &str, patch: Value) -> Result<(), EditError> {
        self.update(Kind::ModelArtifact, id, patch)
    }

    /// Changes an inference-service record, see [`Self::update`].
    pub fn update_inference_service(&self, id: &str, patch: Value) -> Result<(), EditError> {
        self.update(Kind::InferenceService, id, patch)
    }

    /// Sets one custom property, given as a plain value, and leaves the others.
    pub fn set_property(&self, kind: Kind, id: &str, key: &str, value: &Value) -> Result<(), EditError> {
        self.edit(kind, id, |fields| {
            let properties = fields.entry("customProperties").or_insert_with(|| json!({}));
            if let Value::Object(properties) = properties {
                properties.insert(key.to_owned(), properties::metadata_value(value));
            }
        })
    }

    /// Archives a registered model.
    pub fn archive_model(&self, id: &str) -> Result<(), EditError> {
        self.update_model(id, json!({"state": "ARCHIVED"}))
    }

    /// Makes an archived model live again.
    pub fn unarchive_model(&self, id: &str) -> Result<(), EditError> {
        self.update_model(id, json!({"state": "LIVE"}))
    }

    /// Archives a version.
    pub fn archive_version(&self, id: &str) -> Result<(), EditError> {
        self.update_version(id, json!({"state": "ARCHIVED"}))
    }

    /// Makes an archived version live again.
    pub fn unarchive_version(&self, id: &str) -> Result<(), EditError> {
        self.update_version(id, json!({"state": "LIVE"}))
    }

    /// Creates or changes a catalog source; `fields` are merged over what is there.
    pub fn put_catalog_source(&self, id: &str, fields: Value) {
        let fields = into_fields(fields);
        self.write(|state| state.catalog.source(id).fields.extend(fields));
    }

    /// Creates or replaces a catalog model with its card; creates the source when it is new.
    pub fn put_catalog_model(&self, source_id: &str, name: &str, readme: &str, fields: Value) {
        let mut fields = into_fields(fields);
        fields.insert("name".into(), name.into());
        fields.insert("source_id".into(), source_id.into());
        fields.insert("readme".into(), readme.into());
        self.write(|state| {
            let models = &mut state.catalog.source(source_id).models;
            models.insert(name.to_owned(), fields);
        });
    }

    /// Removes a catalog model, if it is there.
    pub fn remove_catalog_model(&self, source_id: &str, name: &str) {
        self.write(|state| {
            if let Some(source) = state.catalog.sources.get_mut(source_id) {
                source.models.remove(name);
            }
        });
    }

    /// The record as it is served.
    pub fn get(&self, kind: Kind, id: &str) -> Option<Value> {
        let id = parse(id)?;
        self.read(|state| state.table(kind).rows.get(&id).map(|row| row.body.clone()))
    }

    /// How many records of a kind there are, in any state.
    pub fn count(&self, kind: Kind) -> usize {
        self.read(|state| state.table(kind).rows.len())
    }

    /// Model and version names of every live version of a live model, sorted: what a bridge should publish.
    pub fn live_versions(&self) -> Vec<(String, String)> {
        let is_live = |body: &Value| body["state"] == "LIVE";
        self.read(|state| {
            let models = &state.table(Kind::RegisteredModel).rows;
            let versions = state.table(Kind::ModelVersion).rows.values();
            let mut live: Vec<_> = versions
                .filter(|version| is_live(&version.body))
                .filter_map(|version| {
                    let model_id = version.body["registeredModelId"].as_str().and_then(parse)?;
                    let model = models.get(&model_id).filter(|model| is_live(&model.body))?;
                    let name = version.body["name"].as_str()?;
                    Some((model.body["name"].as_str()?.to_owned(), name.to_owned()))
                })
                .collect();
            live.sort();
            live
        })
    }

    /// The time of the last edit, in milliseconds.
    pub fn clock(&self) -> i64 {
        self.read(|state| state.clock)
    }

    /// Sets the clock; the next edit happens one step later. It may go back, as clocks do.
    pub fn set_clock(&self, milliseconds: i64) {
        self.write(|state| state.clock = milliseconds);
    }

    /// How far the clock moves with each edit (1 ms unless set). With 0, records made in a row share their times.
    pub fn set_clock_step(&self, milliseconds: i64) {
        self.write(|state| state.clock_step = milliseconds);
    }

    /// How the server treats paging and order from now on.
    pub fn set_dialect(&self, dialect: Dialect) {
        self.write(|state| state.dialect = dialect);
    }

    /// The bearer token asked for from now on; `None` asks for none.
    pub fn set_token(&self, token: Option<&str>) {
        self.write(|state| state.token = token.map(str::to_owned));
    }

    /// The read side of the REST API over this state.
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    /// Serves the API until `shutdown` completes.
    pub async fn serve(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(shutdown).await
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&RegistryState) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut RegistryState) -> T) -> T {
        write(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

const fn defaults(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::RegisteredModel | Kind::ModelVersion => &[("state", "LIVE")],
        Kind::ModelArtifact => &[("state", "LIVE"), ("artifactType", "model-artifact")],
        Kind::InferenceService => &[("desiredState", "DEPLOYED")],
        Kind::ServingEnvironment => &[],
    }
}

fn parse(id: &str) -> Option<u64> {
    id.parse().ok()
}

/// The fields of a JSON object, with the short form of properties written out; anything else holds no fields.
fn into_fields(value: Value) -> Map<String, Value> {
    let mut fields = match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    properties::expand(&mut fields);
    fields
}
