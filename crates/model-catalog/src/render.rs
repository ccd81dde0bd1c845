//! The two formats in which a catalog document is published, and how each is written.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::document::Catalog;
use crate::entities::{self, Extra};

/// In which of its two forms the catalog is stored and served; the setting `NORMALIZER_FORMAT`.
///
/// Both carry the same catalog: a normalizer, its storage and its location must agree on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Format {
    /// `catalog-info.yaml`: Backstage entities as a multi-document YAML, for any plain Backstage.
    #[default]
    #[serde(rename = "CatalogInfoYamlFormat")]
    CatalogInfoYaml,
    /// `model-catalog.json`: the catalog document, for RHDH's model catalog provider.
    #[serde(rename = "JsonArrayFormat")]
    ModelCatalogJson,
}

impl Format {
    /// The last segment of the URIs under which location serves this format.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::CatalogInfoYaml => "catalog-info.yaml",
            Self::ModelCatalogJson => "model-catalog.json",
        }
    }

    /// The media type that belongs in `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::CatalogInfoYaml => "application/yaml",
            Self::ModelCatalogJson => "application/json",
        }
    }

    /// The value of `NORMALIZER_FORMAT` that selects this format.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::CatalogInfoYaml => "CatalogInfoYamlFormat",
            Self::ModelCatalogJson => "JsonArrayFormat",
        }
    }

    /// Whether `body` can be of this format, judged by its first character that is no white space: JSON bodies are
    /// objects, YAML ones never begin with a brace. An empty body is of neither.
    pub fn fits(self, body: &[u8]) -> bool {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => false,
            Some(first) => (*first == b'{') == (self == Self::ModelCatalogJson),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.setting())
    }
}

/// The text given for a [`Format`] is none of its names.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is no catalog format: use CatalogInfoYamlFormat (or yaml) or JsonArrayFormat (or json)")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "CatalogInfoYamlFormat" | "yaml" => Ok(Self::CatalogInfoYaml),
            "JsonArrayFormat" | "json" => Ok(Self::ModelCatalogJson),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }
}

/// A document could not be written. With the types of this crate that does not happen; it is an error, and no
/// panic, all the same.
#[derive(Debug, Error)]
pub enum RenderError {
    /// The JSON form.
    #[error("the catalog document could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The YAML form.
    #[error("the catalog entities could not be written as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// What a rendering holds besides what it always does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Entities, and the annotations by which RHDH makes them.
    pub emit: BTreeSet<Extra>,
}

impl RenderOptions {
    /// The document as it is published in JSON.
    pub fn document<'a>(&self, catalog: &'a Catalog) -> Cow<'a, Catalog> {
        if self.emit.contains(&Extra::AiModelServerApi) {
            Cow::Owned(entities::annotated_for_rhdh(catalog))
        } else {
            Cow::Borrowed(catalog)
        }
    }
}

/// Writes `catalog` in `format`: the same bytes for the same catalog, on every run.
pub fn render(catalog: &Catalog, format: Format) -> Result<Vec<u8>, RenderError> {
    render_with(catalog, format, &RenderOptions::default())
}

/// The same with what `options` add.
pub fn render_with(catalog: &Catalog, format: Format, options: &RenderOptions) -> Result<Vec<u8>, RenderError> {
    match format {
        Format::ModelCatalogJson => Ok(serde_json::to_vec(&options.document(catalog))?),
        Format::CatalogInfoYaml => {
            let mut out = String::new();
            let push = |out: &mut String, text: &str| {
                let divider = if out.is_empty() { "" } else { "---\n" };
                *out += divider;
                *out += text;
            };
            for entity in entities::from_catalog(catalog) {
                push(&mut out, &serde_yaml::to_string(&entity)?);
            }
            let wanted = options.emit.contains(&Extra::AiModelServerApi);
            if let Some(entity) = entities::ai_model_server_api(catalog).filter(|_| wanted) {
                push(&mut out, &serde_yaml::to_string(&entity)?);
            }
            Ok(out.into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(server: &str) -> Catalog {
        let model = |name: &str| {
            format!(
                r#"{{"name":"n-{name}","owner":"ml","lifecycle":"production","description":"","annotations":{{"rhdh.modelcatalog.io/model-name":"org/{name}"}}}}"#
            )
        };
        let text = format!(r#"{{"models":[{},{}],"modelServer":{server}}}"#, model("base"), model("adapter"));
        serde_json::from_str(&text).unwrap()
    }

    fn server(annotations: &str, api: &str) -> String {
        format!(
            r#"{{"name":"n-base","owner":"ml","lifecycle":"production","description":"","authentication":true,"annotations":{{{annotations}}}{api}}}"#
        )
    }

    const API: &str = r#","API":{"url":"https://n.example.com","type":"openapi","spec":"TBD"}"#;

    fn emitting() -> RenderOptions {
        RenderOptions { emit: BTreeSet::from([Extra::AiModelServerApi]) }
    }

    fn entity(catalog: &Catalog) -> Option<serde_json::Value> {
        let with = render_with(catalog, Format::CatalogInfoYaml, &emitting()).unwrap();
        let without = render(catalog, Format::CatalogInfoYaml).unwrap();
        assert!(with.starts_with(&without), "what there is without it stays as it is");
        let rest = String::from_utf8(with[without.len()..].to_vec()).unwrap();
        let text = rest.strip_prefix("---\n")?;
        Some(serde_yaml::from_str(text).unwrap())
    }

    fn annotations(catalog: &Catalog) -> serde_json::Value {
        let json = render_with(catalog, Format::ModelCatalogJson, &emitting()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        json["modelServer"]["annotations"].clone()
    }

    #[test]
    fn a_server_with_an_api_has_an_entity_of_its_own_on_demand() {
        let entity = entity(&catalog(&server("", API))).unwrap();
        assert_eq!(entity["apiVersion"], "backstage.io/v1alpha1");
        assert_eq!(entity["kind"], "AiModelServerAPI");
        assert_eq!(entity["metadata"]["name"], "n-base");
        let spec = serde_json::json!({
            "type": "ai-model-server", "lifecycle": "production", "owner": "user:ml", "serverType": "openai-v1",
            "serverUrl": "https://n.example.com", "requiresApiKey": true, "apiEntityRef": "api:default/n-base",
            "models": {"available": ["org/base", "org/adapter"], "default": "org/base"},
        });
        assert_eq!(entity["spec"], spec);
    }

    #[test]
    fn a_server_without_an_api_has_none() {
        let without = catalog(&server("", ""));
        assert_eq!(entity(&without), None);
        assert_eq!(annotations(&without), serde_json::Value::Null);
    }

    #[test]
    fn what_the_server_says_itself_counts() {
        let said = r#""rhdh.modelcatalog.io/owner":"group:ml/team","rhdh.io/serverType":"vendor-v2","rhdh.io/system":"chat","rhdh.modelcatalog.io/served-models":"[\"a\",\"org/base\"]""#;
        let catalog = catalog(&server(said, API));
        let spec = &entity(&catalog).unwrap()["spec"];
        assert_eq!(spec["owner"], "group:ml/team");
        assert_eq!(spec["serverType"], "vendor-v2");
        assert_eq!(spec["system"], "chat");
        assert_eq!(
            spec["models"],
            serde_json::json!({"discoverable": true, "available": ["a", "org/base"], "default": "org/base"})
        );
        let annotations = annotations(&catalog);
        assert_eq!(annotations["rhdh.io/serverType"], "vendor-v2");
        assert_eq!(annotations.get("rhdh.io/owner"), None, "the provider would make a user of the group");
    }

    #[test]
    fn the_document_has_the_annotations_that_rhdh_reads() {
        let annotations = annotations(&catalog(&server(r#""rhdh.modelcatalog.io/owner":"user:eu/jane""#, API)));
        assert_eq!(annotations["rhdh.io/owner"], "eu/jane", "the provider puts `user:` before it");
        assert_eq!(annotations["rhdh.io/lifecycle"], "production");
        assert_eq!(annotations["rhdh.io/serverType"], "openai-v1");
        assert_eq!(annotations["rhdh.io/default"], "n-base");
        assert_eq!(annotations["rhdh.io/api-entity-ref"], "api:default/n-base");
    }
}
