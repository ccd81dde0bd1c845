//! One API under one base URL: builds addresses, asks with the token, reads a bounded answer, and tells JSON from the rest.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::{Method, Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde::{Deserialize, de::Error as _};
use serde_json::Value;
use url::Url;

use crate::error::{Failure, Peer, RegistryError, public_url};
use bearer::Token;
use calls::Calls;

/// The most that one page may have.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// The most that is read of an error's body.
const ERROR_BODY_LIMIT: usize = 16 * 1024;
/// The longest piece of a server's text that goes into an error.
const EXCERPT: usize = 160;
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request is tried that may succeed a little later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in all.
    pub attempts: usize,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait, also for a server that asks for more (`Retry-After`).
    pub longest_wait: Duration,
}

impl Patience {
    /// One attempt.
    const NONE: Self = Self { attempts: 1, first_wait: Duration::ZERO, longest_wait: Duration::ZERO };

    fn waits(self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) peer: Peer,
    base: Url,
    http: reqwest::Client,
    pub(crate) token: Token,
    pub(crate) calls: Calls,
    pub(crate) timeout: Duration,
    pub(crate) body_limit: usize,
    pub(crate) patience: Patience,
}

/// The whole body of a 200.
#[derive(Debug)]
pub(crate) struct Body {
    content_type: String,
    bytes: Vec<u8>,
}

impl Endpoint {
    pub(crate) fn new(peer: Peer, base: Url, http: reqwest::Client, token: Token) -> Self {
        Self {
            peer,
            base,
            http,
            token,
            calls: Calls::default(),
            timeout: TIMEOUT,
            body_limit: BODY_LIMIT,
            patience: Patience::NONE,
        }
    }

    /// The base without credentials.
    pub(crate) fn public_base(&self) -> String {
        public_url(&self.base)
    }

    /// The last segment of the base's path.
    pub(crate) fn last_segment(&self) -> &str {
        self.base.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default()
    }

    pub(crate) fn set_last_segment(&mut self, segment: &str) {
        if let Ok(mut path) = self.base.path_segments_mut() {
            path.pop().push(segment);
        }
    }

    /// The address of a path below the base. Each segment is percent-encoded, slashes included.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(crate) fn error(&self, url: &Url, failure: Failure) -> RegistryError {
        RegistryError { peer: self.peer, url: public_url(url), failure }
    }

    /// The body of a 200; any other status is an error.
    pub(crate) async fn get(&self, url: &Url) -> Result<Body, RegistryError> {
        self.patiently(|| self.get_once(url)).await
    }

    async fn get_once(&self, url: &Url) -> Result<Body, RegistryError> {
        let response = self.ask(Method::GET, url, None).await?;
        match response.status() {
            StatusCode::OK => self.read(url, response).await,
            _ => Err(self.refused(url, response).await.0),
        }
    }

    /// The body of a 200, or `None` when the API itself says that there is no such thing. A 404 that does not come from
    /// the API (a router's page, another path) proves nothing and is an error.
    pub(crate) async fn find(&self, url: &Url) -> Result<Option<Body>, RegistryError> {
        self.patiently(|| self.find_once(url)).await
    }

    async fn find_once(&self, url: &Url) -> Result<Option<Body>, RegistryError> {
        let response = self.ask(Method::GET, url, None).await?;
        match response.status() {
            StatusCode::OK => self.read(url, response).await.map(Some),
            StatusCode::NOT_FOUND => match self.refused(url, response).await {
                (_, Refused::ByApi) => Ok(None),
                (error, Refused::ByOther) => Err(error),
            },
            _ => Err(self.refused(url, response).await.0),
        }
    }

    async fn patiently<T, F>(&self, ask: impl FnMut() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        ask.retry(self.patience.waits())
            .when(RegistryError::is_transient)
            .adjust(|error, wait| {
                let asked = error.retry_after().unwrap_or_default().min(self.patience.longest_wait);
                wait.map(|wait| wait.max(asked))
            })
            .notify(|error, wait| tracing::warn!(next_try_in = ?wait, "{error}"))
            .await
    }

    /// What is answered to a body that changes something.
    pub(crate) async fn write(&self, method: Method, url: &Url, body: &Value) -> Result<Body, RegistryError> {
        let response = self.ask(method, url, Some(body)).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => self.read(url, response).await,
            _ => Err(self.refused(url, response).await.0),
        }
    }

    async fn ask(&self, method: Method, url: &Url, body: Option<&Value>) -> Result<Response, RegistryError> {
        let mut request =
            self.http.request(method, url.clone()).timeout(self.timeout).header(header::ACCEPT, "application/json");
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(token) = self.token.now() {
            request = request.bearer_auth(token.expose_secret());
        }
        let sent = self.calls.send(request).await;
        sent.map_err(|error| self.error(url, Failure::from_transport(error, self.timeout)))
    }

    async fn read(&self, url: &Url, response: Response) -> Result<Body, RegistryError> {
        let content_type = content_type(&response);
        let bytes = read_up_to(response, self.body_limit)
            .await
            .map_err(|error| self.error(url, Failure::from_transport(error, self.timeout)))?
            .ok_or_else(|| {
                let limit = self.body_limit;
                self.error(url, Failure::TooLarge { limit })
            })?;
        Ok(Body { content_type, bytes })
    }

    async fn refused(&self, url: &Url, response: Response) -> (RegistryError, Refused) {
        let code = response.status().as_u16();
        let retry_after = calls::retry_after(response.headers());
        // A body that cannot be read does not make the refusal another one.
        let bytes = match read_up_to(response, ERROR_BODY_LIMIT).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) | Err(_) => Vec::new(),
        };
        let (message, refused) = match serde_json::from_slice::<ApiError>(&bytes) {
            Ok(ApiError { message: Some(message) }) => (message, Refused::ByApi),
            _ => (String::from_utf8_lossy(&bytes).into_owned(), Refused::ByOther),
        };
        let failure = Failure::Status { code, message: excerpt(&self.redact(message)), retry_after };
        (self.error(url, failure), refused)
    }

    /// A server may echo the token back at us.
    fn redact(&self, text: String) -> String {
        match self.token.now() {
            Some(token) if !token.expose_secret().is_empty() => text.replace(token.expose_secret(), "***"),
            _ => text,
        }
    }

    /// Parses a body; `T` decides what shape is right.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&self, url: &Url, body: &'a Body) -> Result<T, RegistryError> {
        serde_json::from_slice(&body.bytes).map_err(|error| self.error(url, body.fault(&error)))
    }
}

/// Who refused.
#[derive(Debug, Clone, Copy)]
enum Refused {
    ByApi,
    ByOther,
}

#[derive(Deserialize)]
struct ApiError {
    message: Option<String>,
}

impl Body {
    fn fault(&self, error: &serde_json::Error) -> Failure {
        if error.is_data() {
            return Failure::WrongShape(error.to_string());
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let is_html = self.content_type.contains("html") || text.trim_start().starts_with('<');
        let detail = if self.bytes.iter().all(u8::is_ascii_whitespace) {
            "the body is empty".to_owned()
        } else if is_html {
            format!("an HTML page (a login or error page?) that starts {:?}", excerpt(&text))
        } else if error.is_eof() {
            format!("it ends in the middle, after {} bytes", self.bytes.len())
        } else {
            error.to_string()
        };
        Failure::NotJson { content_type: self.content_type.clone(), detail }
    }
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(header::CONTENT_TYPE);
    let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()));
    excerpt(&text.unwrap_or_default())
}

/// The body, or `None` when it is longer than the limit.
async fn read_up_to(mut response: Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// A short, printable, one-line piece of foreign text.
pub(crate) fn excerpt(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(EXCERPT).collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// An error for a value that parses but makes no sense.
pub(crate) fn wrong_shape(reason: impl std::fmt::Display) -> Failure {
    Failure::WrongShape(serde_json::Error::custom(reason).to_string())
}
