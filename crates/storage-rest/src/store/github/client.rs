//! Requests to GitHub's REST API: each bounded, with the right token, and its failures told apart. The routes are in
//! [`super::routes`].
//!
//! It is a small client of our own over the HTTP client that all services share: `octocrab` brings a second one (hyper
//! with its own TLS set-up and retries), knows neither conditional requests nor GitHub's limits, and types the few
//! routes of git data that we need only in part.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use service::guard::read_up_to;
use service::http_client::{self, HttpClientError, TlsSettings};
use tokio::sync::Mutex;
use url::Url;

use super::auth::{Credentials, InstallationToken};
use super::error::GithubError;
use super::limits::{self, Gate};

/// How long one request may take. It must leave a write time for several.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const API_VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");
/// JSON, as GitHub describes it.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/vnd.github+json");
/// The bytes of a file themselves.
pub(super) const RAW: HeaderValue = HeaderValue::from_static("application/vnd.github.raw+json");
/// How long an answer may be: GitHub's longest are trees of 7 MB, and files in base64 that we would not read.
const BODY_LIMIT: usize = 64 << 20;
/// How much of an error's message is kept.
const MESSAGE_LIMIT: usize = 300;

/// A repository: its owner and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The person or organisation.
    pub owner: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Talks to GitHub about one repository.
pub(super) struct GithubClient {
    http: reqwest::Client,
    api: Url,
    pub(super) repository: Repository,
    pub(super) credentials: Credentials,
    pub(super) installation: Mutex<Option<InstallationToken>>,
    gate: Gate,
}

/// What a request needs a permission for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// One request.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Option<&'static str>,
    pub(super) accept: HeaderValue,
    pub(super) etag: Option<HeaderValue>,
    pub(super) body: Option<Value>,
}

impl Call {
    pub(super) fn new<'a>(method: Method, path: impl IntoIterator<Item = &'a str>) -> Self {
        let path = path.into_iter().map(str::to_owned).collect();
        Self { method, path, query: None, accept: JSON, etag: None, body: None }
    }

    fn name(&self) -> String {
        format!("{} /{}", self.method, self.path.join("/"))
    }

    fn access(&self) -> Access {
        if self.method == Method::GET { Access::Read } else { Access::Write }
    }
}

/// A success, or that nothing has changed.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    request: String,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, GithubError> {
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(&error.to_string()))
    }

    pub(super) fn unexpected(&self, reason: &str) -> GithubError {
        GithubError::Unexpected { request: self.request.clone(), reason: reason.to_owned() }
    }
}

impl GithubClient {
    pub(super) fn new(
        api: Url,
        repository: Repository,
        credentials: Credentials,
        tls: &TlsSettings,
    ) -> Result<Self, HttpClientError> {
        let http = http_client::client_with(tls, "GitHub", |builder| builder.timeout(REQUEST_TIMEOUT))?;
        let installation = Mutex::default();
        Ok(Self { http, api, repository, credentials, installation, gate: Gate::default() })
    }

    /// A call about the repository.
    pub(super) fn call<'a>(&'a self, method: Method, path: impl IntoIterator<Item = &'a str>) -> Call {
        let repository = ["repos", &self.repository.owner, &self.repository.name];
        Call::new(method, repository.into_iter().chain(path))
    }

    /// Sends a call with the token for the repository.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, GithubError> {
        let bearer = self.bearer().await?;
        let sent = self.send_as(&call, &bearer).await;
        if !matches!(&sent, Err(GithubError::Denied { verb: "use", .. })) || !self.forget_installation_token().await {
            return sent;
        }
        // The token may have been revoked before its time.
        let bearer = self.bearer().await?;
        self.send_as(&call, &bearer).await
    }

    pub(super) async fn send_as(&self, call: &Call, bearer: &SecretString) -> Result<Answer, GithubError> {
        self.gate.check()?;
        let name = call.name();
        let transport = |error: reqwest::Error| transport(&name, error);
        let mut request = self
            .http
            .request(call.method.clone(), self.url(call))
            .bearer_auth(bearer.expose_secret())
            .header(header::ACCEPT, call.accept.clone())
            .header("x-github-api-version", API_VERSION);
        if let Some(etag) = &call.etag {
            request = request.header(header::IF_NONE_MATCH, etag.clone());
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(transport)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_up_to(response, BODY_LIMIT).await.map_err(transport)?;
        let body = body.map(Bytes::from).ok_or_else(|| GithubError::Unexpected {
            request: name.clone(),
            reason: format!("the answer has more than {BODY_LIMIT} bytes"),
        })?;
        tracing::debug!(request = %name, status = status.as_u16(), "asked GitHub");
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(Answer { status, headers, body, request: name });
        }
        Err(self.refusal(call, status, &headers, &body))
    }

    fn url(&self, call: &Call) -> Url {
        let mut url = self.api.clone();
        // The settings take none but URLs of http and https, which have paths.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&call.path);
        }
        url.set_query(call.query);
        url
    }

    fn refusal(&self, call: &Call, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> GithubError {
        let message = message_of(body);
        if let Some(wait) = limits::wait_of(status, headers, &message, SystemTime::now()) {
            return self.gate.close(wait, &message);
        }
        match status {
            StatusCode::UNAUTHORIZED => GithubError::Denied {
                verb: "use",
                resource: "GitHub's API with the token that it has".to_owned(),
                reason: format!("{message} (401); check STORAGE_GITHUB_TOKEN, or the App's id and key"),
            },
            StatusCode::FORBIDDEN => self.forbidden(call.access(), headers, &message),
            StatusCode::CONFLICT if message.to_ascii_lowercase().contains("empty") => GithubError::Empty,
            StatusCode::CONFLICT => GithubError::Moved(message),
            StatusCode::PAYLOAD_TOO_LARGE => GithubError::TooLarge(message),
            _ => GithubError::Status { request: call.name(), status: status.as_u16(), message },
        }
    }

    fn forbidden(&self, access: Access, headers: &HeaderMap, message: &str) -> GithubError {
        let accepted = headers.get("x-accepted-github-permissions").and_then(|value| value.to_str().ok());
        let (verb, permission) = match access {
            Access::Read => ("read", "contents: read"),
            Access::Write => ("write to", "contents: write"),
        };
        let accepted = accepted.map(|accepted| format!(", GitHub says `{accepted}`")).unwrap_or_default();
        GithubError::Denied {
            verb,
            resource: format!("the repository {}", self.repository),
            reason: format!("{message} (403); the token or App needs the permission `{permission}`{accepted}"),
        }
    }
}

fn transport(request: &str, error: reqwest::Error) -> GithubError {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    GithubError::Transport { request: request.to_owned(), reason }
}

/// GitHub's errors are `{"message", "errors"}`; a proxy's may be anything.
fn message_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let message = value.get("message").and_then(Value::as_str).unwrap_or(text.trim());
    message.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MESSAGE_LIMIT).collect()
}
