//! The two formats in which a catalog document is published, and how each is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::document::Catalog;
use crate::entities;

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

/// Writes `catalog` in `format`: the same bytes for the same catalog, on every run.
pub fn render(catalog: &Catalog, format: Format) -> Result<Vec<u8>, RenderError> {
    match format {
        Format::ModelCatalogJson => Ok(serde_json::to_vec(catalog)?),
        Format::CatalogInfoYaml => {
            let mut out = String::new();
            for (index, entity) in entities::from_catalog(catalog).iter().enumerate() {
                if index > 0 {
                    out.push_str("---\n");
                }
                out.push_str(&serde_yaml::to_string(entity)?);
            }
            Ok(out.into_bytes())
        }
    }
}
