//! The Model Registry's lists and records.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::{
    endpoint::{Endpoint, Patience, wrong_shape},
    error::{Peer, RegistryError},
    pages::{ListQuery, Pages},
    records::{InferenceServiceRecord, ModelArtifact, ModelVersion, Record, RegisteredModel, ServingEnvironment},
};
use bearer::{Token, TokenSource};
use calls::Calls;

const API: [&str; 3] = ["api", "model_registry", "v1alpha3"];
const API_V1: [&str; 3] = ["api", "model_registry", "v1"];

/// Reads a Model Registry.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    pub(crate) endpoint: Endpoint,
}

impl RegistryClient {
    /// A client for the registry at `base`: its host, a host with a path prefix (which is kept), or the API's own root
    /// (`.../api/model_registry/v1alpha3` or `/v1`). Asks nothing yet.
    pub fn new(base: Url, http: reqwest::Client, token: Option<SecretString>) -> Self {
        Self::at(base, &API, http, token)
    }

    /// The same, but `/v1` is asked where `base` does not lead to an API's root.
    pub fn new_v1(base: Url, http: reqwest::Client, token: Option<SecretString>) -> Self {
        Self::at(base, &API_V1, http, token)
    }

    fn at(base: Url, api: &[&str], http: reqwest::Client, token: Option<SecretString>) -> Self {
        let base = api_root(base, "model_registry", api);
        Self { endpoint: Endpoint::new(Peer::Registry, base, http, Token::from(token)) }
    }

    /// The same, sending what `source` gives at each request as the token.
    #[must_use]
    pub fn with_token_source(mut self, source: TokenSource) -> Self {
        self.endpoint.token = Token::from_source(source);
        self
    }

    /// The same with that token.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.endpoint.token = token;
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

    /// The same with another limit for the bytes of a page (64 MiB unless set).
    #[must_use]
    pub const fn with_body_limit(mut self, bytes: usize) -> Self {
        self.endpoint.body_limit = bytes;
        self
    }

    /// The same, trying requests again that may succeed a little later.
    #[must_use]
    pub const fn with_patience(mut self, patience: Patience) -> Self {
        self.endpoint.patience = patience;
        self
    }

    /// The same registry by another version of its API, as `v1`.
    #[must_use]
    pub fn at_version(mut self, version: &str) -> Self {
        self.endpoint.set_last_segment(version);
        self
    }

    /// The version of the API that is asked.
    pub fn version(&self) -> &str {
        self.endpoint.last_segment()
    }

    /// The API's root, without credentials.
    pub fn base_url(&self) -> String {
        self.endpoint.public_base()
    }

    /// All registered models.
    pub fn registered_models(&self, query: ListQuery) -> Pages<RegisteredModel> {
        self.list(&["registered_models"], query)
    }

    /// All versions of all models.
    pub fn model_versions(&self, query: ListQuery) -> Pages<ModelVersion> {
        self.list(&["model_versions"], query)
    }

    /// The versions of one model. A model that does not exist has none.
    pub fn versions_of(&self, model_id: &str, query: ListQuery) -> Pages<ModelVersion> {
        self.list(&["registered_models", model_id, "versions"], query)
    }

    /// All model artifacts. They do not say which version they belong to.
    pub fn model_artifacts(&self, query: ListQuery) -> Pages<ModelArtifact> {
        self.list(&["model_artifacts"], query)
    }

    /// The model artifacts of one version. A version that does not exist has none.
    pub fn artifacts_of(&self, version_id: &str, query: ListQuery) -> Pages<ModelArtifact> {
        self.list(&["model_versions", version_id, "artifacts"], query)
    }

    /// All inference-service records.
    pub fn inference_services(&self, query: ListQuery) -> Pages<InferenceServiceRecord> {
        self.list(&["inference_services"], query)
    }

    /// All serving environments.
    pub fn serving_environments(&self, query: ListQuery) -> Pages<ServingEnvironment> {
        self.list(&["serving_environments"], query)
    }

    /// One serving environment.
    pub async fn serving_environment(&self, id: &str) -> Result<Option<ServingEnvironment>, RegistryError> {
        self.one(&["serving_environments", id]).await
    }

    /// One registered model.
    pub async fn registered_model(&self, id: &str) -> Result<Option<RegisteredModel>, RegistryError> {
        self.one(&["registered_models", id]).await
    }

    /// One version.
    pub async fn model_version(&self, id: &str) -> Result<Option<ModelVersion>, RegistryError> {
        self.one(&["model_versions", id]).await
    }

    /// The registered model with this name.
    pub async fn find_registered_model(&self, name: &str) -> Result<Option<RegisteredModel>, RegistryError> {
        self.one_by(&["registered_model"], &[("name", name)]).await
    }

    /// The version with this name of one model.
    pub async fn find_model_version(&self, name: &str, model_id: &str) -> Result<Option<ModelVersion>, RegistryError> {
        self.one_by(&["model_version"], &[("name", name), ("parentResourceId", model_id)]).await
    }

    async fn one_by<T: Record>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Option<T>, RegistryError> {
        one(&self.endpoint, &self.url(path, query)).await
    }

    /// The address of a path below the API's root, and of what is asked of it.
    pub(crate) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.endpoint.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Any list of the API, by its path below the root; as [`crate::RawRecord`], of whatever kind.
    pub fn list<T: Record>(&self, path: &[&str], query: ListQuery) -> Pages<T> {
        let mut url = self.endpoint.url(path);
        query.apply(&mut url);
        Pages::new(self.endpoint.clone(), url)
    }

    async fn one<T: Record>(&self, path: &[&str]) -> Result<Option<T>, RegistryError> {
        one(&self.endpoint, &self.endpoint.url(path)).await
    }
}

/// One record, which must be readable: there is no page around it that would be worth keeping.
pub(crate) async fn one<T: Record>(endpoint: &Endpoint, url: &Url) -> Result<Option<T>, RegistryError> {
    let Some(body) = endpoint.find(url).await? else {
        return Ok(None);
    };
    let json: Value = endpoint.parse(url, &body)?;
    T::from_json(&json).transpose().map_err(|error| endpoint.error(url, wrong_shape(error)))
}

/// The root of an API below a base that may be a host, have a path prefix, or lead into one of the two APIs already.
pub(crate) fn api_root(mut base: Url, api: &str, default: &[&str]) -> Url {
    base.set_query(None);
    base.set_fragment(None);
    let segments: Vec<String> =
        base.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
    let prefix = match segments.as_slice() {
        [.., first, name, _version] if first == "api" && name == api => return trimmed(base),
        [prefix @ .., first, name, _version]
            if first == "api" && (name == "model_registry" || name == "model_catalog") =>
        {
            prefix
        }
        prefix => prefix,
    };
    let path: Vec<&str> = prefix.iter().map(String::as_str).chain(default.iter().copied()).collect();
    base.set_path(&path.join("/"));
    base
}

fn trimmed(mut base: Url) -> Url {
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(&path);
    base
}
