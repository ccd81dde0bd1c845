//! The registry's records, read tolerantly: null and missing are alike, unknown fields are ignored, numbers may come as
//! text and text as numbers. What a record cannot do without is its id and its name.

mod fields;

use serde_json::Value;
use thiserror::Error;

use crate::properties::Properties;
pub(crate) use fields::Fields;

/// A record that cannot be used. Its page can.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} {} cannot be read: {reason}", label(.id.as_deref(), .name.as_deref()))]
pub struct RecordError {
    /// What kind of record it is.
    pub kind: &'static str,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

fn label(id: Option<&str>, name: Option<&str>) -> String {
    match (id, name) {
        (Some(id), Some(name)) => format!("{name:?} (id {id})"),
        (Some(id), None) => format!("with the id {id}"),
        (None, Some(name)) => format!("{name:?} without an id"),
        (None, None) => "without id and name".to_owned(),
    }
}

/// A kind of record that lists hold.
pub trait Record: Sized + Send + 'static {
    /// What it is called in messages.
    const KIND: &'static str;

    /// Reads a record from JSON. `None` when the list also holds other kinds and this is one of those.
    fn from_json(json: &Value) -> Option<Result<Self, RecordError>>;
}

/// Whether a record is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// In use; also what a record without a state is.
    #[default]
    Live,
    /// Put away, which is how things are removed from a registry.
    Archived,
    /// Anything else, such as an artifact's `PENDING` or `DELETED`.
    Other(String),
}

impl State {
    fn parse(text: Option<String>) -> Self {
        match text {
            None => Self::Live,
            Some(text) if text.eq_ignore_ascii_case("LIVE") => Self::Live,
            Some(text) if text.eq_ignore_ascii_case("ARCHIVED") => Self::Archived,
            Some(text) => Self::Other(text),
        }
    }

    /// Whether the record is in use.
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

/// A record as it came, of whatever kind.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRecord(pub Value);

impl Record for RawRecord {
    const KIND: &'static str = "record";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        Some(Ok(Self(json.clone())))
    }
}

/// A registered model.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct RegisteredModel {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub external_id: Option<String>,
    pub owner: Option<String>,
    pub state: State,
    pub properties: Properties,
    pub readme: Option<String>,
    pub license: Option<String>,
    pub license_link: Option<String>,
    pub provider: Option<String>,
    pub tasks: Vec<String>,
    pub language: Vec<String>,
    pub maturity: Option<String>,
    pub logo: Option<String>,
    pub library_name: Option<String>,
    /// Milliseconds since the epoch.
    pub create_time: Option<i64>,
    /// Milliseconds since the epoch.
    pub last_update_time: Option<i64>,
}

/// A version of a registered model.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct ModelVersion {
    pub id: String,
    pub name: String,
    pub registered_model_id: String,
    pub description: Option<String>,
    pub external_id: Option<String>,
    pub author: Option<String>,
    pub state: State,
    pub properties: Properties,
    /// Milliseconds since the epoch.
    pub create_time: Option<i64>,
    /// Milliseconds since the epoch.
    pub last_update_time: Option<i64>,
}

/// Where an artifact came from: `modelSourceKind` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct ModelSource {
    pub kind: Option<String>,
    /// The catalog source, where the kind is `catalog`.
    pub class: Option<String>,
    pub group: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
}

/// A model artifact. The lists of artifacts hold other kinds too, which are passed over.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct ModelArtifact {
    pub id: String,
    pub name: Option<String>,
    pub uri: Option<String>,
    pub description: Option<String>,
    pub state: State,
    pub model_format_name: Option<String>,
    pub model_format_version: Option<String>,
    pub storage_key: Option<String>,
    pub storage_path: Option<String>,
    pub service_account_name: Option<String>,
    pub source: ModelSource,
    pub properties: Properties,
    /// Milliseconds since the epoch.
    pub create_time: Option<i64>,
    /// Milliseconds since the epoch.
    pub last_update_time: Option<i64>,
}

/// The registry's own record of an inference service.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct InferenceServiceRecord {
    pub id: String,
    pub name: String,
    pub registered_model_id: String,
    /// Missing when the newest version is meant.
    pub model_version_id: Option<String>,
    pub serving_environment_id: String,
    pub runtime: Option<String>,
    /// `DEPLOYED` or `UNDEPLOYED`.
    pub desired_state: Option<String>,
    pub properties: Properties,
    /// Milliseconds since the epoch.
    pub create_time: Option<i64>,
    /// Milliseconds since the epoch.
    pub last_update_time: Option<i64>,
}

impl InferenceServiceRecord {
    /// Whether the service is meant to run.
    pub fn is_deployed(&self) -> bool {
        let state = self.desired_state.as_deref();
        state.is_some_and(|state| state.eq_ignore_ascii_case("DEPLOYED"))
    }
}

/// A serving environment; by convention its name is a namespace.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct ServingEnvironment {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub properties: Properties,
    /// Milliseconds since the epoch.
    pub create_time: Option<i64>,
    /// Milliseconds since the epoch.
    pub last_update_time: Option<i64>,
}

impl Record for RegisteredModel {
    const KIND: &'static str = "registered model";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        Some(Fields::read(Self::KIND, json, |fields| {
            Ok(Self {
                id: fields.required("id")?,
                name: fields.required("name")?,
                description: fields.text("description")?,
                external_id: fields.text("externalId")?,
                owner: fields.text("owner")?,
                state: State::parse(fields.text("state")?),
                properties: fields.properties()?,
                readme: fields.text("readme")?,
                license: fields.text("license")?,
                license_link: fields.text("licenseLink")?,
                provider: fields.text("provider")?,
                tasks: fields.texts("tasks")?,
                language: fields.texts("language")?,
                maturity: fields.text("maturity")?,
                logo: fields.text("logo")?,
                library_name: fields.text("libraryName")?,
                create_time: fields.time("createTimeSinceEpoch"),
                last_update_time: fields.time("lastUpdateTimeSinceEpoch"),
            })
        }))
    }
}

impl Record for ModelVersion {
    const KIND: &'static str = "model version";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        Some(Fields::read(Self::KIND, json, |fields| {
            Ok(Self {
                id: fields.required("id")?,
                name: fields.required("name")?,
                registered_model_id: fields.required("registeredModelId")?,
                description: fields.text("description")?,
                external_id: fields.text("externalId")?,
                author: fields.text("author")?,
                state: State::parse(fields.text("state")?),
                properties: fields.properties()?,
                create_time: fields.time("createTimeSinceEpoch"),
                last_update_time: fields.time("lastUpdateTimeSinceEpoch"),
            })
        }))
    }
}

impl Record for ModelArtifact {
    const KIND: &'static str = "model artifact";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        let of_another_kind =
            json.get("artifactType").and_then(Value::as_str).is_some_and(|kind| kind != "model-artifact");
        if of_another_kind {
            return None;
        }
        Some(Fields::read(Self::KIND, json, |fields| {
            Ok(Self {
                id: fields.required("id")?,
                name: fields.text("name")?,
                uri: fields.text("uri")?,
                description: fields.text("description")?,
                state: State::parse(fields.text("state")?),
                model_format_name: fields.text("modelFormatName")?,
                model_format_version: fields.text("modelFormatVersion")?,
                storage_key: fields.text("storageKey")?,
                storage_path: fields.text("storagePath")?,
                service_account_name: fields.text("serviceAccountName")?,
                source: ModelSource {
                    kind: fields.text("modelSourceKind")?,
                    class: fields.text("modelSourceClass")?,
                    group: fields.text("modelSourceGroup")?,
                    id: fields.text("modelSourceId")?,
                    name: fields.text("modelSourceName")?,
                },
                properties: fields.properties()?,
                create_time: fields.time("createTimeSinceEpoch"),
                last_update_time: fields.time("lastUpdateTimeSinceEpoch"),
            })
        }))
    }
}

impl Record for InferenceServiceRecord {
    const KIND: &'static str = "inference service";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        Some(Fields::read(Self::KIND, json, |fields| {
            Ok(Self {
                id: fields.required("id")?,
                name: fields.required("name")?,
                registered_model_id: fields.required("registeredModelId")?,
                model_version_id: fields.text("modelVersionId")?,
                serving_environment_id: fields.required("servingEnvironmentId")?,
                runtime: fields.text("runtime")?,
                desired_state: fields.text("desiredState")?,
                properties: fields.properties()?,
                create_time: fields.time("createTimeSinceEpoch"),
                last_update_time: fields.time("lastUpdateTimeSinceEpoch"),
            })
        }))
    }
}

impl Record for ServingEnvironment {
    const KIND: &'static str = "serving environment";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        Some(Fields::read(Self::KIND, json, |fields| {
            Ok(Self {
                id: fields.required("id")?,
                name: fields.required("name")?,
                description: fields.text("description")?,
                properties: fields.properties()?,
                create_time: fields.time("createTimeSinceEpoch"),
                last_update_time: fields.time("lastUpdateTimeSinceEpoch"),
            })
        }))
    }
}
