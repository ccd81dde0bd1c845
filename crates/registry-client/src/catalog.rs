//! The Model Catalog: sources, their models, and the model cards.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::{
    endpoint::Endpoint,
    error::{Peer, RegistryError},
    pages::Pages,
    properties::Properties,
    records::{Fields, Record, RecordError},
    registry::{api_root, one},
};
use bearer::{Token, TokenSource};
use calls::Calls;

const API: [&str; 3] = ["api", "model_catalog", "v1alpha1"];
/// Catalog pages hold model cards, so they are kept smaller.
const PAGE_SIZE: &str = "50";

/// A model of the catalog.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct CatalogModel {
    /// The name, with its group: `RedHatAI/granite`.
    pub name: String,
    pub source_id: Option<String>,
    /// The model card, in Markdown.
    pub readme: Option<String>,
    pub description: Option<String>,
    pub provider: Option<String>,
    pub license: Option<String>,
    pub license_link: Option<String>,
    pub library_name: Option<String>,
    pub maturity: Option<String>,
    pub logo: Option<String>,
    pub language: Vec<String>,
    pub tasks: Vec<String>,
    pub properties: Properties,
    /// Milliseconds since the epoch.
    pub create_time: Option<i64>,
    /// Milliseconds since the epoch.
    pub last_update_time: Option<i64>,
}

/// A source of catalog models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the API's own")]
pub struct CatalogSource {
    pub id: String,
    pub name: String,
    pub is_enabled: bool,
    pub labels: Vec<String>,
}

impl Record for CatalogModel {
    const KIND: &'static str = "catalog model";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        Some(Fields::read(Self::KIND, json, |fields| {
            Ok(Self {
                name: fields.required("name")?,
                source_id: fields.text("source_id")?,
                readme: fields.text("readme")?,
                description: fields.text("description")?,
                provider: fields.text("provider")?,
                license: fields.text("license")?,
                license_link: fields.text("licenseLink")?,
                library_name: fields.text("libraryName")?,
                maturity: fields.text("maturity")?,
                logo: fields.text("logo")?,
                language: fields.texts("language")?,
                tasks: fields.texts("tasks")?,
                properties: fields.properties()?,
                create_time: fields.time("createTimeSinceEpoch"),
                last_update_time: fields.time("lastUpdateTimeSinceEpoch"),
            })
        }))
    }
}

impl Record for CatalogSource {
    const KIND: &'static str = "catalog source";

    fn from_json(json: &Value) -> Option<Result<Self, RecordError>> {
        Some(Fields::read(Self::KIND, json, |fields| {
            let id = fields.required("id")?;
            Ok(Self {
                name: fields.text("name")?.unwrap_or_else(|| id.clone()),
                id,
                is_enabled: fields.flag("enabled").unwrap_or(true),
                labels: fields.texts("labels")?,
            })
        }))
    }
}

/// Reads a Model Catalog.
#[derive(Debug, Clone)]
pub struct CatalogClient {
    endpoint: Endpoint,
}

impl CatalogClient {
    /// A client for the catalog at `base`: its host, a host with a path prefix (which is kept), the catalog API's own
    /// root, or the API root of the registry that it stands beside. Asks nothing yet.
    pub fn new(base: Url, http: reqwest::Client, token: Option<SecretString>) -> Self {
        let base = api_root(base, "model_catalog", &API);
        Self { endpoint: Endpoint::new(Peer::Catalog, base, http, Token::from(token)) }
    }

    /// The same, sending what `source` gives at each request as the token.
    #[must_use]
    pub fn with_token_source(mut self, source: TokenSource) -> Self {
        self.endpoint.token = Token::from_source(source);
        self
    }

    /// The same, telling of each request as `calls` does.
    #[must_use]
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.endpoint.calls = calls;
        self
    }

    /// The same with another time limit for each request (30 s unless set).
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.endpoint.timeout = timeout;
        self
    }

    /// The API's root, without credentials.
    pub fn base_url(&self) -> String {
        self.endpoint.public_base()
    }

    /// All sources.
    pub fn sources(&self) -> Pages<CatalogSource> {
        let mut url = self.endpoint.url(&["sources"]);
        url.query_pairs_mut().append_pair("pageSize", PAGE_SIZE);
        Pages::new(self.endpoint.clone(), url)
    }

    /// All models of a source.
    pub fn models(&self, source_id: &str) -> Pages<CatalogModel> {
        let mut url = self.endpoint.url(&["models"]);
        url.query_pairs_mut().append_pair("source", source_id).append_pair("pageSize", PAGE_SIZE);
        Pages::new(self.endpoint.clone(), url)
    }

    /// One model with its card, or `None` when the catalog says that it has no such model. The name may hold slashes.
    pub async fn model_card(&self, source_id: &str, model_name: &str) -> Result<Option<CatalogModel>, RegistryError> {
        // No path leads to such a name: URLs resolve it away.
        let unreachable = |name: &str| matches!(name, "" | "." | "..");
        if unreachable(source_id) || unreachable(model_name) {
            return Ok(None);
        }
        let url = self.endpoint.url(&["sources", source_id, "models", model_name]);
        one(&self.endpoint, &url).await
    }
}
