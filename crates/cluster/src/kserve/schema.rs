//! The JSON of an InferenceService as far as it is read; each field may be missing or null.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::{ComponentUrls, Condition, ModelStatus, PredictorModel};

/// The keys by which a predictor named its framework before `model` came.
const LEGACY_FRAMEWORKS: [&str; 10] =
    ["huggingface", "lightgbm", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow", "triton", "xgboost"];

#[derive(Deserialize)]
pub(super) struct Spec {
    pub(super) predictor: Option<Predictor>,
}

#[derive(Deserialize)]
pub(super) struct Predictor {
    model: Option<Model>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Model {
    #[serde(rename = "modelFormat")]
    format: Option<ModelFormat>,
    runtime: Option<String>,
    protocol_version: Option<String>,
    storage_uri: Option<String>,
    storage: Option<Storage>,
}

#[derive(Deserialize)]
struct ModelFormat {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Storage {
    key: Option<String>,
    path: Option<String>,
}

impl Predictor {
    pub(super) fn into_model(self, problems: &mut Vec<String>) -> PredictorModel {
        if let Some(model) = self.model {
            return model.into_view(None);
        }
        // Typed clients write every framework with a null: only one with a value is there.
        let mut present =
            self.other.into_iter().filter(|(key, value)| LEGACY_FRAMEWORKS.contains(&key.as_str()) && !value.is_null());
        let Some((framework, value)) = present.next() else {
            return PredictorModel::default();
        };
        if let Some((second, _)) = present.next() {
            problems.push(format!("spec.predictor names two frameworks, {framework} and {second}: neither is used"));
            return PredictorModel::default();
        }
        let model = serde_json::from_value::<Model>(value).unwrap_or_else(|error| {
            problems.push(format!("spec.predictor.{framework}: {error}"));
            Model::default()
        });
        model.into_view(Some(framework))
    }
}

impl Model {
    fn into_view(self, framework: Option<String>) -> PredictorModel {
        let (name, version) = self.format.map_or((None, None), |format| (format.name, format.version));
        let (key, path) = self.storage.map_or((None, None), |storage| (storage.key, storage.path));
        PredictorModel {
            format: framework.or(filled(name)),
            format_version: filled(version),
            runtime: filled(self.runtime),
            protocol_version: filled(self.protocol_version),
            storage_uri: filled(self.storage_uri),
            storage_key: filled(key),
            storage_path: filled(path),
        }
    }
}

#[derive(Deserialize, Default)]
pub(super) struct Status {
    url: Option<String>,
    address: Option<Address>,
    components: Option<BTreeMap<String, Option<Component>>>,
    conditions: Option<Vec<RawCondition>>,
    #[serde(rename = "modelStatus")]
    model: Option<RawModelStatus>,
}

#[derive(Deserialize)]
struct Address {
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    url: Option<String>,
    rest_url: Option<String>,
    grpc_url: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct RawCondition {
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawModelStatus {
    transition_status: Option<String>,
    last_failure_info: Option<FailureInfo>,
}

#[derive(Deserialize)]
struct FailureInfo {
    reason: Option<String>,
    message: Option<String>,
}

impl Status {
    pub(super) fn url(&self, problems: &mut Vec<String>) -> Option<Url> {
        valid_url("status.url", self.url.as_deref(), problems)
    }

    pub(super) fn address_url(&self, problems: &mut Vec<String>) -> Option<Url> {
        let url = self.address.as_ref().and_then(|address| address.url.as_deref());
        valid_url("status.address.url", url, problems)
    }

    pub(super) fn component_urls(&self, problems: &mut Vec<String>) -> BTreeMap<String, ComponentUrls> {
        let mut all = BTreeMap::new();
        for (name, component) in self.components.iter().flatten() {
            let Some(component) = component else { continue };
            let place = |field: &str| format!("status.components.{name}.{field}");
            let urls = ComponentUrls {
                url: valid_url(&place("url"), component.url.as_deref(), problems),
                rest_url: valid_url(&place("restUrl"), component.rest_url.as_deref(), problems),
                grpc_url: filled(component.grpc_url.clone()),
            };
            all.insert(name.clone(), urls);
        }
        all
    }

    pub(super) fn model_status(&self) -> Option<ModelStatus> {
        let status = self.model.as_ref()?;
        let failure = status.last_failure_info.as_ref();
        Some(ModelStatus {
            transition: filled(status.transition_status.clone()),
            failure_reason: filled(failure.and_then(|failure| failure.reason.clone())),
            failure_message: filled(failure.and_then(|failure| failure.message.clone())),
        })
    }

    pub(super) fn into_conditions(self) -> Vec<Condition> {
        conditions(self.conditions)
    }
}

/// Conditions that have a type, by type.
pub(crate) fn conditions(raw: Option<Vec<RawCondition>>) -> Vec<Condition> {
    let mut conditions = raw
        .unwrap_or_default()
        .into_iter()
        .filter_map(|raw| {
            Some(Condition {
                kind: filled(raw.kind)?,
                status: filled(raw.status).unwrap_or_else(|| "Unknown".to_owned()),
                reason: filled(raw.reason),
                message: filled(raw.message),
            })
        })
        .collect::<Vec<_>>();
    conditions.sort();
    conditions
}

/// Blank counts as missing.
pub(crate) fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

pub(crate) fn valid_url(place: &str, text: Option<&str>, problems: &mut Vec<String>) -> Option<Url> {
    let text = text.map(str::trim).filter(|text| !text.is_empty())?;
    match Url::parse(text) {
        Ok(url) => Some(url),
        Err(error) => {
            problems.push(format!("{place} {text:?} is not a URL: {error}"));
            None
        }
    }
}
