//! The catalog document: what one entry says about its models and the server that serves them.
//!
//! These types are the single source of `schema/model-catalog.schema.json` and of the TypeScript types beside it
//! (`make generate-types-all`); their comments are the descriptions there. Absent fields are left out, never null:
//! one null stops RHDH's whole synchronisation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::links::{ArtifactUrl, WebUrl};
use crate::names::{AnnotationKey, EntityName, NonEmpty, Owner, Tag};

/// Annotations, by their keys.
pub type Annotations = BTreeMap<AnnotationKey, String>;

/// A model catalog: AI models and, where they are served, the server that serves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(title = "ModelCatalog", rename = "ModelCatalog"), ts(rename = "ModelCatalog"))]
pub struct Catalog {
    /// The models of this catalog.
    pub models: Vec<Model>,
    /// The server that serves these models, where there is one.
    #[serde(rename = "modelServer", default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional), schemars(with = "ModelServer"))]
    pub model_server: Option<ModelServer>,
}

/// An AI model: one version of a registered model, or what a server without a registry serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The model's name, unique in the portal.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::EntityName"))]
    pub name: EntityName,
    /// The user who owns the model. Kind and namespace of another owner are in the annotation `rhdh.modelcatalog.io/owner`.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::Owner"))]
    pub owner: Owner,
    /// Where the model stands in its life, such as `development` or `production`.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::NonEmpty"))]
    pub lifecycle: NonEmpty,
    /// What the model is, for people.
    pub description: String,
    /// Where the model's artifact is stored.
    #[serde(
        rename = "artifactLocationURL",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "never_null"
    )]
    #[cfg_attr(feature = "schema", ts(optional, as = "Option<String>"), schemars(with = "schema::Uri"))]
    pub artifact_location_url: Option<ArtifactUrl>,
    /// Ethical considerations, limits and risks.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional), schemars(with = "String"))]
    pub ethics: Option<String>,
    /// A page that says how the model is used.
    #[serde(rename = "howToUseURL", default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional, as = "Option<String>"), schemars(with = "schema::WebUri"))]
    pub how_to_use_url: Option<WebUrl>,
    /// The page of the model's licence.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional, as = "Option<String>"), schemars(with = "schema::WebUri"))]
    pub license: Option<WebUrl>,
    /// Where help is to be had.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional), schemars(with = "String"))]
    pub support: Option<String>,
    /// Tags, sorted and without doubles.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "schema", ts(optional, as = "Option<Vec<String>>"), schemars(with = "BTreeSet<schema::Tag>"))]
    pub tags: BTreeSet<Tag>,
    /// What the model was trained on, and how.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional), schemars(with = "String"))]
    pub training: Option<String>,
    /// What the model is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional), schemars(with = "String"))]
    pub usage: Option<String>,
    /// Further facts, by annotation keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        feature = "schema",
        ts(optional, as = "Option<BTreeMap<String, String>>"),
        schemars(with = "schema::Annotations")
    )]
    pub annotations: Annotations,
}

/// A server that serves models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct ModelServer {
    /// The server's name, unique among the servers of the portal.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::EntityName"))]
    pub name: EntityName,
    /// The user who owns the server. Kind and namespace of another owner are in the annotation `rhdh.modelcatalog.io/owner`.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::Owner"))]
    pub owner: Owner,
    /// Where the server stands in its life, such as `development` or `production`.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::NonEmpty"))]
    pub lifecycle: NonEmpty,
    /// What the server is, for people.
    pub description: String,
    /// The API under which the models are called.
    #[serde(rename = "API", default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional, rename = "API"), schemars(with = "Api"))]
    pub api: Option<Api>,
    /// Whether callers must authenticate.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional), schemars(with = "bool"))]
    pub authentication: Option<bool>,
    /// A page about the server.
    #[serde(rename = "homepageURL", default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional, as = "Option<String>"), schemars(with = "schema::WebUri"))]
    pub homepage_url: Option<WebUrl>,
    /// Tags, sorted and without doubles.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "schema", ts(optional, as = "Option<Vec<String>>"), schemars(with = "BTreeSet<schema::Tag>"))]
    pub tags: BTreeSet<Tag>,
    /// What the server is meant for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "never_null")]
    #[cfg_attr(feature = "schema", ts(optional), schemars(with = "String"))]
    pub usage: Option<String>,
    /// Further facts, by annotation keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        feature = "schema",
        ts(optional, as = "Option<BTreeMap<String, String>>"),
        schemars(with = "schema::Annotations")
    )]
    pub annotations: Annotations,
}

/// The API of a model server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(title = "API", rename = "API"), ts(rename = "API"))]
pub struct Api {
    /// Where the API is called.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::WebUri"))]
    pub url: WebUrl,
    /// Which kind of API it is.
    #[serde(rename = "type")]
    pub api_type: ApiType,
    /// The API's definition, such as an OpenAPI document; `TBD` where none is known.
    #[cfg_attr(feature = "schema", ts(as = "String"), schemars(with = "schema::NonEmptyText"))]
    pub spec: ApiSpec,
    /// Tags, sorted and without doubles.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "schema", ts(optional, as = "Option<Vec<String>>"), schemars(with = "BTreeSet<schema::Tag>"))]
    pub tags: BTreeSet<Tag>,
    /// Further facts, by annotation keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(
        feature = "schema",
        ts(optional, as = "Option<BTreeMap<String, String>>"),
        schemars(with = "schema::Annotations")
    )]
    pub annotations: Annotations,
}

/// The kinds of API that Backstage knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema, ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum ApiType {
    /// An OpenAPI document.
    #[default]
    Openapi,
    /// An AsyncAPI document.
    Asyncapi,
    /// A GraphQL schema.
    Graphql,
    /// Protocol buffers.
    Grpc,
}

impl ApiType {
    /// The name used in documents and entities.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Openapi => "openapi",
            Self::Asyncapi => "asyncapi",
            Self::Graphql => "graphql",
            Self::Grpc => "grpc",
        }
    }

    /// The kind of that name, in any case; `None` for an unknown one.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        [Self::Openapi, Self::Asyncapi, Self::Graphql, Self::Grpc].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// An API definition: any text that is not blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiSpec(String);

impl ApiSpec {
    /// The definition of `text`, or the placeholder `TBD` where it is blank.
    pub fn or_placeholder(text: Option<String>) -> Self {
        text.filter(|text| !text.trim().is_empty()).map_or_else(|| Self("TBD".to_owned()), Self)
    }

    /// The definition itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ApiSpec {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() { Err("an API definition must not be empty") } else { Ok(Self(text)) }
    }
}

impl From<ApiSpec> for String {
    fn from(spec: ApiSpec) -> Self {
        spec.0
    }
}

/// Reads a field that may be absent but, unlike serde's own rule for `Option`, not null.
fn never_null<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// How the restricted texts read in the JSON Schema.
#[cfg(feature = "schema")]
mod schema {
    #![allow(dead_code, reason = "only their schemas are used")]
    use std::collections::BTreeMap;

    use schemars::JsonSchema;

    #[derive(JsonSchema)]
    #[schemars(inline)]
    pub(super) struct EntityName(
        #[schemars(regex(pattern = r"^[a-zA-Z0-9]+([-_.][a-zA-Z0-9]+)*$"), length(min = 1, max = 63))] String,
    );

    #[derive(JsonSchema)]
    #[schemars(inline)]
    pub(super) struct Owner(
        #[schemars(regex(
            pattern = r"^((user|group):([a-z0-9]+([-.][a-z0-9]+)*/)?)?[a-zA-Z0-9]+([-_.][a-zA-Z0-9]+)*$"
        ))]
        String,
    );

    #[derive(JsonSchema)]
    #[schemars(inline)]
    pub(super) struct NonEmpty(#[schemars(regex(pattern = r"\S"))] String);

    #[derive(JsonSchema)]
    #[schemars(inline)]
    pub(super) struct NonEmptyText(#[schemars(regex(pattern = r"\S"))] String);

    #[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
    #[schemars(inline)]
    pub(super) struct Tag(
        #[schemars(regex(pattern = r"^[a-z0-9:+#]+(-[a-z0-9:+#]+)*$"), length(min = 1, max = 63))] String,
    );

    #[derive(JsonSchema)]
    #[schemars(inline)]
    pub(super) struct Uri(
        #[schemars(regex(pattern = r"^[a-zA-Z][a-zA-Z0-9+.-]*://\S+$"), extend("format" = "uri"))]
        String,
    );

    #[derive(JsonSchema)]
    #[schemars(inline)]
    pub(super) struct WebUri(
        #[schemars(regex(pattern = r"^[hH][tT][tT][pP][sS]?://\S+$"), extend("format" = "uri"))]
        String,
    );

    #[derive(JsonSchema)]
    #[schemars(inline)]
    pub(super) struct Annotations(
        #[schemars(extend("propertyNames" = { "pattern": r"^([a-z0-9]+([-.][a-z0-9]+)*/)?[a-zA-Z0-9]+([-_.][a-zA-Z0-9]+)*$" }))]
         BTreeMap<String, String>,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Catalog, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_smallest_document_is_read_and_written_without_nulls() {
        let json = r#"{"models":[{"name":"m-v1","owner":"jane","lifecycle":"development","description":""}]}"#;
        let catalog = parse(json).unwrap();
        assert_eq!(serde_json::to_string(&catalog).unwrap(), json);
    }

    #[test]
    fn null_and_unknown_fields_are_refused_by_name() {
        let null = r#"{"models":[],"modelServer":null}"#;
        assert!(parse(null).unwrap_err().contains("null"), "{:?}", parse(null));
        let unknown = parse(r#"{"models":[],"servers":[]}"#).unwrap_err();
        assert!(unknown.contains("servers"), "{unknown}");
    }
}
