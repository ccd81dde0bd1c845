//! The distribution API, as far as pulling goes: manifests, blobs, and the dance for a token.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Method, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::RwLock;
use url::{Host, Url};

use super::OciOptions;
use super::credentials::{Challenge, Credentials};
use crate::environment::Environment;
use crate::source::network::Network;
use crate::source::retry::{excerpt, refused};
use crate::source::wire::{Request, Wire, body};
use crate::uri::OciUri;
use crate::{Failure, Kind};

/// The longest manifest that registries have to take.
const MANIFEST_LIMIT: usize = 4 << 20;
const TOKEN_LIMIT: usize = 1 << 20;
const ERROR_LIMIT: usize = 64 << 10;

const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json";

/// One repository of a registry.
pub(super) struct RegistryClient {
    name: String,
    base: Url,
    repository: String,
    wire: Wire,
    credentials: Option<Credentials>,
    /// What requests are authorised with: nothing, until the registry asks for it.
    authorization: RwLock<Option<HeaderValue>>,
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A manifest as it came.
pub(super) struct Fetched {
    pub(super) body: Bytes,
    /// The digest that the registry says it has.
    pub(super) digest: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl RegistryClient {
    pub(super) fn new(
        uri: &OciUri,
        environment: &Environment,
        network: &Network,
        options: &OciOptions,
        name: &str,
    ) -> Result<Self, Failure> {
        let base = base(&uri.host, &options.plain_http)?;
        let credentials = Credentials::find(uri, environment, options.auth_file.as_deref())?;
        Ok(Self {
            name: name.to_owned(),
            base,
            repository: uri.repository.clone(),
            wire: Wire::new(environment, network, name)?,
            credentials,
            authorization: RwLock::new(None),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A manifest, by tag or digest.
    pub(super) async fn manifest(&self, reference: &str) -> Result<Fetched, Failure> {
        let mut request = Request::get(self.url("manifests", reference)?);
        request.headers.insert(header::ACCEPT, HeaderValue::from_static(MANIFESTS));
        let fetch = || async {
            let response = self.authorized(&request).await?;
            let digest = response.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
            let digest = digest.filter(|digest| digest.starts_with("sha256:")).map(str::to_owned);
            Ok(Fetched { body: body(&self.name, response, MANIFEST_LIMIT).await?, digest })
        };
        self.wire.retries().run(fetch).await
    }

    /// A blob, or a range of it.
    pub(super) async fn blob(&self, digest: &str, range: Option<&Range<u64>>) -> Result<Response, Failure> {
        let request = Request::get(self.url("blobs", digest)?).range(range);
        self.wire.retries().run(|| self.authorized(&request)).await
    }

    fn url(&self, kind: &str, reference: &str) -> Result<Url, Failure> {
        let path = format!("v2/{}/{kind}/{reference}", self.repository);
        self.base.join(&path).map_err(|error| Failure::new(Kind::Usage, format!("{}: {error}", self.name), ""))
    }

    /// Sends a request; where the registry asks for authorisation, gets it and sends the request again.
    async fn authorized(&self, request: &Request) -> Result<Response, Failure> {
        let used = self.authorization.read().await.clone();
        let response = self.send_with(request, used.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.accepted(response).await;
        }
        let authorization = self.authorize(&response, used.as_ref()).await?;
        let response = self.send_with(request, Some(&authorization)).await?;
        self.accepted(response).await
    }

    async fn send_with(&self, request: &Request, authorization: Option<&HeaderValue>) -> Result<Response, Failure> {
        let mut request = request.clone();
        request.private.extend(authorization.map(|value| (header::AUTHORIZATION, value.clone())));
        self.wire.send(&self.name, &request).await
    }

    /// What the registry asks for. Of many requests that are refused at once, one gets it for all.
    async fn authorize(&self, refusal: &Response, used: Option<&HeaderValue>) -> Result<HeaderValue, Failure> {
        let mut authorization = self.authorization.write().await;
        if let Some(newer) = authorization.as_ref().filter(|newer| Some(*newer) != used) {
            return Ok(newer.clone());
        }
        let value = match Challenge::of(refusal.headers()) {
            Some(Challenge::Bearer { realm, service, scope }) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
                self.token(&realm, service.as_deref(), &scope).await?
            }
            Some(Challenge::Basic) => match &self.credentials {
                Some(Credentials::Basic { user, password }) => basic(user, password)?,
                _ => return Err(self.no_credentials(refusal)),
            },
            None => return Err(self.no_credentials(refusal)),
        };
        if used == Some(&value) {
            return Err(self.no_credentials(refusal));
        }
        *authorization = Some(value.clone());
        Ok(value)
    }

    async fn token(&self, realm: &str, service: Option<&str>, scope: &str) -> Result<HeaderValue, Failure> {
        if let Some(Credentials::Token(token)) = &self.credentials {
            return secret(&format!("Bearer {}", token.expose_secret()));
        }
        let what = format!("{}: its authorisation server", self.name);
        let realm = Url::parse(realm).ok().filter(|realm| realm.scheme() == "https" || self.base.scheme() == "http");
        let realm = realm.ok_or_else(|| {
            let what = format!("{}: it sends us for a token to what is no https URL", self.name);
            Failure::new(Kind::Permission, what, "see to the registry's configuration")
        })?;
        let request = self.token_request(realm, service, scope)?;
        let response = self.wire.send(&what, &request).await?;
        if !response.status().is_success() {
            let failure = refused(&what, response.status(), response.headers(), "");
            let advice = self.advice();
            return Err(if failure.kind == Kind::Permission { Failure { advice, ..failure } } else { failure });
        }
        let answer = body(&what, response, TOKEN_LIMIT).await?;
        let token = serde_json::from_slice::<Token>(&answer).ok().and_then(|token| token.token.or(token.access_token));
        let token = token.ok_or_else(|| {
            Failure::new(Kind::Unavailable, format!("{what} answers without a token"), "see to its configuration")
        })?;
        secret(&format!("Bearer {token}"))
    }

    fn token_request(&self, mut realm: Url, service: Option<&str>, scope: &str) -> Result<Request, Failure> {
        if let Some(Credentials::Identity(identity)) = &self.credentials {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", identity.expose_secret());
            form.append_pair("client_id", "storage-initializer").append_pair("scope", scope);
            form.extend_pairs(service.map(|service| ("service", service)));
            let content_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            let body = Some((content_type, form.finish().into()));
            return Ok(Request { method: Method::POST, body, ..Request::get(realm) });
        }
        realm.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).append_pair("scope", scope);
        let mut request = Request::get(realm);
        if let Some(Credentials::Basic { user, password }) = &self.credentials {
            request.private.insert(header::AUTHORIZATION, basic(user, password)?);
        }
        Ok(request)
    }

    async fn accepted(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers: HeaderMap = response.headers().clone();
        let text = body(&self.name, response, ERROR_LIMIT).await.unwrap_or_default();
        let failure = refused(&self.name, status, &headers, &detail(&text));
        Err(match failure.kind {
            Kind::Permission => Failure { advice: self.advice(), ..failure },
            Kind::NotFound => {
                let advice = "see whether the repository and its tag are right".to_owned();
                Failure { advice, ..failure }
            }
            _ => failure,
        })
    }

    fn no_credentials(&self, refusal: &Response) -> Failure {
        let failure = refused(&self.name, refusal.status(), refusal.headers(), "");
        Failure { advice: self.advice(), ..failure }
    }

    fn advice(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.credentials {
            Some(_) => format!("see whether the credentials for {host} may pull {}", self.repository),
            None => format!("give credentials for {host} in a Docker configuration, such as a mounted pull secret"),
        }
    }
}

/// What a registry says is wrong: `{"errors": [{"code", "message"}]}`.
fn detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Reason>,
    }
    #[derive(Deserialize)]
    struct Reason {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let first = serde_json::from_slice::<Errors>(body).ok().and_then(|body| body.errors.into_iter().next());
    first.map(|error| excerpt(&format!("{} {}", error.code, error.message))).unwrap_or_default()
}

fn base(host: &str, plain_http: &[String]) -> Result<Url, Failure> {
    let bad =
        || Failure::new(Kind::Usage, format!("{host:?} is no host of a registry"), "write it as HOST or HOST:PORT");
    let url = Url::parse(&format!("https://{host}/")).map_err(|_| bad())?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(bad()),
    };
    if !is_here && !plain_http.iter().any(|plain| plain == host) {
        return Ok(url);
    }
    Url::parse(&format!("http://{host}/")).map_err(|_| bad())
}

fn basic(user: &str, password: &SecretString) -> Result<HeaderValue, Failure> {
    secret(&format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose_secret()))))
}

fn secret(value: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| Failure::new(Kind::Usage, "a token for a registry has characters that no header may have", ""))?;
    value.set_sensitive(true);
    Ok(value)
}
