//! What a document says, for people. Documents of either format come from whichever normalizer there is: nothing is
//! expected of them, what is not as it should be is left out, and what cannot be read at all is shown as it is.

use std::borrow::Cow;

use model_catalog::entities::{MODEL_NAME, PROVIDER_ANNOTATION, SERVED_MODELS, SERVER_TYPE_ANNOTATION};
use model_catalog::render::Format;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

mod entities;

/// Larger documents are not read: an API's definition can be of any size.
const MAX_READ: usize = 4 << 20;
/// What is shown of a text.
const MAX_TEXT: usize = 20_000;
/// What is shown of a name.
const MAX_NAME: usize = 200;
/// How many of a kind are shown.
const MAX_ITEMS: usize = 200;

const EXTERNAL_URL: &str = "rhdh.modelcatalog.io/external-route-url";
const INTERNAL_URL: &str = "rhdh.modelcatalog.io/internal-service-url";

/// A document cannot be shown but as it is.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    #[error("it is larger than {} MiB", MAX_READ >> 20)]
    TooLarge,
    #[error("it is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is no YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// What a document says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) models: Vec<ShownModel>,
    pub(crate) server: Option<ShownServer>,
}

/// A model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShownModel {
    pub(crate) name: String,
    pub(crate) model_name: Option<String>,
    pub(crate) description: String,
    pub(crate) owner: Option<String>,
    pub(crate) lifecycle: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) links: Vec<ShownLink>,
    /// Usage, ethics and the like, under their headings.
    pub(crate) texts: Vec<(&'static str, String)>,
    pub(crate) annotations: Vec<(String, String)>,
}

/// A link and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownLink {
    pub(crate) title: String,
    pub(crate) url: String,
}

/// A server of models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShownServer {
    pub(crate) name: String,
    pub(crate) owner: Option<String>,
    pub(crate) lifecycle: Option<String>,
    pub(crate) authentication: Option<bool>,
    pub(crate) url: Option<String>,
    pub(crate) external_url: Option<String>,
    pub(crate) internal_url: Option<String>,
    pub(crate) homepage: Option<String>,
    pub(crate) api_type: Option<String>,
    pub(crate) api_spec: Option<String>,
    pub(crate) server_type: Option<String>,
    pub(crate) usage: Option<String>,
    pub(crate) served_models: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) annotations: Vec<(String, String)>,
}

impl Shown {
    /// Reads a document.
    pub(crate) fn read(format: Format, document: &[u8]) -> Result<Self, Unreadable> {
        if document.len() > MAX_READ {
            return Err(Unreadable::TooLarge);
        }
        match format {
            Format::ModelCatalogJson => Ok(Self::of_catalog(&serde_json::from_slice(document)?)),
            Format::CatalogInfoYaml => {
                let all = serde_yaml::Deserializer::from_slice(document).map(Value::deserialize);
                Ok(entities::read(&all.collect::<Result<Vec<_>, _>>()?))
            }
        }
    }

    fn of_catalog(catalog: &Value) -> Self {
        let models = items(catalog, "models").iter().take(MAX_ITEMS).map(ShownModel::of_catalog).collect();
        Self {
            models,
            server: catalog.get("modelServer").filter(|server| server.is_object()).map(ShownServer::of_catalog),
        }
    }

    /// All tags of models and server, sorted and without doubles.
    pub(crate) fn tags(&self) -> Vec<&str> {
        let of_models = self.models.iter().flat_map(|model| &model.tags);
        let mut tags: Vec<&str> =
            of_models.chain(self.server.iter().flat_map(|server| &server.tags)).map(String::as_str).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }

    /// The first of what all models and the server say.
    pub(crate) fn first<'a>(
        &'a self,
        of_model: impl Fn(&'a ShownModel) -> Option<&'a String>,
        of_server: impl Fn(&'a ShownServer) -> Option<&'a String>,
    ) -> Option<&'a str> {
        let found = self.models.iter().find_map(of_model).or_else(|| self.server.as_ref().and_then(of_server));
        found.map(String::as_str)
    }
}

impl ShownModel {
    fn of_catalog(model: &Value) -> Self {
        let link = |title: &str, key| text(model, key).map(|url| ShownLink { title: title.to_owned(), url });
        let annotations = annotations(model.get("annotations"));
        let mut links: Vec<ShownLink> =
            [link("Artifact", "artifactLocationURL"), link("How to use", "howToUseURL"), link("License", "license")]
                .into_iter()
                .flatten()
                .collect();
        let docs = find(&annotations, "techdocs").or_else(|| find(&annotations, "TechDocs"));
        links.extend(docs.map(|url| ShownLink { title: "Documentation".to_owned(), url }));
        let texts = [("Usage", "usage"), ("Ethics", "ethics"), ("Training", "training"), ("Support", "support")];
        Self {
            name: name(model),
            model_name: find(&annotations, MODEL_NAME),
            description: text(model, "description").unwrap_or_default(),
            owner: short(model, "owner"),
            lifecycle: short(model, "lifecycle"),
            provider: find(&annotations, PROVIDER_ANNOTATION),
            tags: tags(model),
            links,
            texts: texts.into_iter().filter_map(|(title, key)| Some((title, text(model, key)?))).collect(),
            annotations,
        }
    }
}

impl ShownServer {
    fn of_catalog(server: &Value) -> Self {
        let api = server.get("API").unwrap_or(&Value::Null);
        let api_annotations = annotations(api.get("annotations"));
        let of_server = annotations(server.get("annotations"));
        Self {
            name: name(server),
            owner: short(server, "owner"),
            lifecycle: short(server, "lifecycle"),
            authentication: server.get("authentication").and_then(Value::as_bool),
            url: text(api, "url"),
            external_url: find(&api_annotations, EXTERNAL_URL),
            internal_url: find(&api_annotations, INTERNAL_URL),
            homepage: text(server, "homepageURL"),
            api_type: short(api, "type"),
            api_spec: text(api, "spec"),
            server_type: find(&of_server, SERVER_TYPE_ANNOTATION),
            usage: text(server, "usage"),
            served_models: served_models(&of_server),
            tags: tags(server),
            annotations: of_server,
        }
    }
}

fn served_models(annotations: &[(String, String)]) -> Vec<String> {
    let listed = find(annotations, SERVED_MODELS).and_then(|text| serde_json::from_str::<Vec<String>>(&text).ok());
    listed.unwrap_or_default().into_iter().take(MAX_ITEMS).collect()
}

fn name(value: &Value) -> String {
    short(value, "name").unwrap_or_default()
}

/// A text that is not blank; numbers and such as they are written.
fn text(value: &Value, key: &str) -> Option<String> {
    written(value.get(key)?, MAX_TEXT)
}

fn short(value: &Value, key: &str) -> Option<String> {
    written(value.get(key)?, MAX_NAME)
}

fn written(value: &Value, limit: usize) -> Option<String> {
    let text = match value {
        Value::String(text) => clipped(undirected(text).trim(), limit),
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn tags(value: &Value) -> Vec<String> {
    items(value, "tags").iter().take(MAX_ITEMS).filter_map(|tag| written(tag, MAX_NAME)).collect()
}

fn annotations(value: Option<&Value>) -> Vec<(String, String)> {
    let pairs = value.and_then(Value::as_object).into_iter().flat_map(Map::iter);
    let pairs = pairs.filter_map(|(key, value)| Some((clipped(key, MAX_NAME), written(value, MAX_TEXT)?)));
    pairs.take(MAX_ITEMS).collect()
}

fn find(annotations: &[(String, String)], key: &str) -> Option<String> {
    annotations.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone())
}

/// A text without the characters that turn around what follows them: `\u{202e}gpj.exe` looks like `exe.jpg`. Letters that
/// are written from right to left do not need them.
fn undirected(text: &str) -> Cow<'_, str> {
    let turns =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
    let is_unwanted = |c: char| turns(c) || (c.is_control() && !matches!(c, '\n' | '\t'));
    if text.contains(is_unwanted) { text.replace(is_unwanted, "").into() } else { text.into() }
}

/// So many characters of a text, and a sign where there are more.
pub(super) fn clipped(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
