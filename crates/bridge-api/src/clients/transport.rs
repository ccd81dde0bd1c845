//! One request and its answer: URLs, the token, limits, and errors that name all of it but secrets.

use calls::Calls;
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, Response};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::ClientError;
use crate::messages::{ErrorBody, from_json};
use bearer::Token;

/// The largest answer that is read: a list of some 100,000 entries with digests has a fifth of that.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The most that is read of an answer that reports an error.
const MAX_ERROR_BYTES: usize = 4 << 10;
/// The most characters of it that are passed on.
const MAX_ERROR_CHARS: usize = 400;
/// Longer queries are not repeated in messages.
const MAX_SHOWN_QUERY: usize = 300;

/// A peer, and how to reach it.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    peer: &'static str,
    base: Url,
    http: Client,
    token: Token,
    calls: Calls,
}

/// An answer whose status was not looked at yet.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Vec<u8>,
    context: Context,
}

#[derive(Clone)]
struct Context {
    peer: &'static str,
    method: Method,
    url: String,
}

impl Transport {
    pub(super) fn new(peer: &'static str, base: Url, http: Client) -> Self {
        Self { peer, base, http, token: Token::default(), calls: Calls::default() }
    }

    pub(super) fn set_token(&mut self, token: Token) {
        self.token = token;
    }

    pub(super) fn set_calls(&mut self, calls: Calls) {
        self.calls = calls;
    }

    /// The base URL, fit for messages.
    pub(super) fn shown_base(&self) -> String {
        shown(&self.base)
    }

    /// The URL of a route below the base, which may have a path of its own.
    pub(super) fn url(&self, route: &str, query: &[(&str, &str)]) -> Result<Url, ClientError> {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().push(route),
            Err(()) => {
                return Err(ClientError::BaseUrl { peer: self.peer, url: self.shown_base() });
            }
        };
        if !query.is_empty() {
            // Keys and types consist of characters that need no escape, and a comma may stand as it is.
            let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            url.set_query(Some(&query.join("&")));
        }
        Ok(url)
    }

    pub(super) async fn get(&self, url: Url) -> Result<Answer, ClientError> {
        self.send(Method::GET, url, None::<&()>).await
    }

    pub(super) async fn delete(&self, url: Url) -> Result<Answer, ClientError> {
        self.send(Method::DELETE, url, None::<&()>).await
    }

    pub(super) async fn post<B: Serialize + Sync>(&self, url: Url, body: Option<&B>) -> Result<Answer, ClientError> {
        self.send(Method::POST, url, body).await
    }

    async fn send<B: Serialize + Sync>(
        &self,
        method: Method,
        url: Url,
        body: Option<&B>,
    ) -> Result<Answer, ClientError> {
        let context = Context { peer: self.peer, method: method.clone(), url: shown(&url) };
        let mut request = self.http.request(method.clone(), url);
        if let Some(token) = self.token.now() {
            request = request.bearer_auth(token.expose_secret());
        }
        request = match body {
            Some(body) => request.json(body),
            // Some servers insist on a length for a POST.
            None if method == Method::POST => request.header(http::header::CONTENT_LENGTH, 0),
            None => request,
        };
        let response = self.calls.send(request).await.map_err(|error| context.transport(error))?;
        let status = response.status();
        let limit = if status.is_success() { MAX_ANSWER_BYTES } else { MAX_ERROR_BYTES };
        let body = read(response, limit, &context).await?;
        Ok(Answer { status, body, context })
    }
}

impl Answer {
    /// The answer, if its status is one of success.
    pub(super) fn successful(self) -> Result<Self, ClientError> {
        if self.status.is_success() { Ok(self) } else { Err(self.into_error()) }
    }

    /// The JSON value that a successful answer holds.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let answer = self.successful()?;
        from_json(&answer.body).map_err(|error| answer.context.unexpected(error.to_string()))
    }

    fn into_error(self) -> ClientError {
        let text = String::from_utf8_lossy(&self.body);
        let message = from_json::<ErrorBody>(&self.body).map_or_else(|_| text.into_owned(), |body| body.error);
        let Context { peer, method, url } = self.context;
        ClientError::Status { peer, method, url, status: self.status, message: one_line(&message) }
    }
}

impl Context {
    fn transport(&self, error: reqwest::Error) -> ClientError {
        let Self { peer, method, url } = self.clone();
        ClientError::Transport { peer, method, url, message: causes(&error.without_url()) }
    }

    fn unexpected(&self, message: String) -> ClientError {
        let Self { peer, method, url } = self.clone();
        ClientError::Unexpected { peer, method, url, message }
    }
}

/// Reads a body up to `limit`. Of an answer that reports an error the beginning is enough; any other must be whole.
async fn read(mut response: Response, limit: usize, context: &Context) -> Result<Vec<u8>, ClientError> {
    let is_error = !response.status().is_success();
    let mut body = Vec::with_capacity(expected_length(response.headers()).min(limit));
    while let Some(chunk) = response.chunk().await.map_err(|error| context.transport(error))? {
        let room = limit - body.len();
        if chunk.len() > room {
            if is_error {
                body.extend_from_slice(&chunk[..room]);
                break;
            }
            return Err(context.unexpected(format!("it is longer than {limit} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn expected_length(headers: &HeaderMap) -> usize {
    let length = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail on a URL that has a host, and one without has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some_and(|query| query.len() > MAX_SHOWN_QUERY) {
        url.set_query(Some("…"));
    }
    url.into()
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_ERROR_CHARS).collect()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
