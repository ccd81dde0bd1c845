//! The JSON of an LLMInferenceService as far as it is read; each field may be missing or null.

use serde::Deserialize;

use super::{LlmAddress, ModelRole, ServedModel};
use crate::kserve::{
    Condition,
    schema::{RawCondition, conditions, filled, valid_url},
};

#[derive(Deserialize)]
pub(super) struct Spec {
    pub(super) model: Option<Model>,
}

#[derive(Deserialize, Default)]
pub(super) struct Model {
    uri: Option<String>,
    name: Option<String>,
    lora: Option<Lora>,
}

#[derive(Deserialize)]
struct Lora {
    adapters: Option<Vec<Option<Adapter>>>,
}

#[derive(Deserialize)]
struct Adapter {
    name: Option<String>,
    uri: Option<String>,
}

impl Model {
    /// The base model, then the adapters. An adapter without a name of its own cannot be asked for.
    pub(super) fn into_served(self, service: &str, problems: &mut Vec<String>) -> Vec<ServedModel> {
        let base = filled(self.name).unwrap_or_else(|| service.to_owned());
        let mut served = vec![ServedModel { name: base, uri: filled(self.uri), role: ModelRole::Base }];
        let adapters = self.lora.and_then(|lora| lora.adapters).unwrap_or_default();
        for (index, adapter) in adapters.into_iter().enumerate() {
            let Some(adapter) = adapter else { continue };
            match filled(adapter.name) {
                None => problems.push(format!("spec.model.lora.adapters[{index}] has no name: it is left out")),
                Some(name) if served.iter().any(|model| model.name == name) => {
                    problems.push(format!("spec.model.lora.adapters[{index}]: the name {name:?} is taken"));
                }
                Some(name) => {
                    served.push(ServedModel { name, uri: filled(adapter.uri), role: ModelRole::Adapter });
                }
            }
        }
        served
    }
}

#[derive(Deserialize, Default)]
pub(super) struct Status {
    url: Option<String>,
    address: Option<Address>,
    addresses: Option<Vec<Option<Address>>>,
    conditions: Option<Vec<RawCondition>>,
}

#[derive(Deserialize)]
struct Address {
    name: Option<String>,
    url: Option<String>,
    models: Option<Vec<Option<AddressModel>>>,
}

#[derive(Deserialize)]
struct AddressModel {
    name: Option<String>,
}

impl Status {
    pub(super) fn url(&self, problems: &mut Vec<String>) -> Option<url::Url> {
        valid_url("status.url", self.url.as_deref(), problems)
    }

    /// `status.addresses`, then the one `status.address` of older versions.
    pub(super) fn addresses(&mut self, problems: &mut Vec<String>) -> Vec<LlmAddress> {
        let several = self.addresses.take().unwrap_or_default().into_iter().enumerate();
        let several = several.map(|(index, address)| (format!("status.addresses[{index}].url"), address));
        let one = std::iter::once(("status.address.url".to_owned(), self.address.take()));
        several.chain(one).filter_map(|(place, address)| address?.into_view(&place, problems)).collect()
    }

    pub(super) fn into_conditions(self) -> Vec<Condition> {
        conditions(self.conditions)
    }
}

impl Address {
    fn into_view(self, place: &str, problems: &mut Vec<String>) -> Option<LlmAddress> {
        let url = valid_url(place, self.url.as_deref(), problems)?;
        let models = self.models.unwrap_or_default().into_iter().flatten();
        Some(LlmAddress {
            name: filled(self.name),
            url,
            models: models.filter_map(|model| filled(model.name)).collect(),
        })
    }
}
