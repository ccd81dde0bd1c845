//! Sends what `object_store` wants to be sent: by our own clients, tried again with the patience that all sources share, and
//! every refusal as a [`Failure`].

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::{Client, Request, Response};
use service::guard::read_up_to;
use url::Url;

use super::refusal;
use crate::source::network::{Network, Trust};
use crate::source::retry::{Retries, unanswered};
use crate::{Failure, Kind};

/// More than any page of a list has.
const PAGE_LIMIT: usize = 64 << 20;

/// The headers of an answer, for who reads it: an extension of the response.
#[derive(Debug, Clone)]
pub(super) struct AnswerHeaders(pub(super) HeaderMap);

/// Hands out what sends requests.
#[derive(Debug)]
pub(super) struct Connector {
    content: Client,
    identity: Client,
    network: Network,
}

impl Connector {
    pub(super) fn new(network: &Network, trust: &Trust, name: &str) -> Result<Self, Failure> {
        let content = network.client(trust, name)?;
        let identity =
            if trust.tls.insecure_skip_verify { network.identity_client(trust, name)? } else { content.clone() };
        Ok(Self { content, identity, network: network.clone() })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let retries = self.network.retries;
        // We never allow plain http ourselves: `object_store` does so for what the platform tells its pods.
        let allows_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        if allows_http.as_deref() != Some("true") {
            let (content, identity) = (self.content.clone(), self.identity.clone());
            return Ok(HttpClient::new(Transport { content, identity, retries, is_platform: false }));
        }
        let platform = self.network.platform_client().map_err(|failure| object_store::Error::Generic {
            store: "the platform's metadata",
            source: Box::new(failure),
        })?;
        let retries = Retries { attempts: retries.attempts.min(2), ..retries };
        Ok(HttpClient::new(Transport { content: platform.clone(), identity: platform, retries, is_platform: true }))
    }
}

#[derive(Debug)]
struct Transport {
    content: Client,
    identity: Client,
    retries: Retries,
    is_platform: bool,
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.as_bytes().cloned().unwrap_or_default();
        let Ok(url) = parts.uri.to_string().parse::<Url>() else {
            return Err(failed(Failure::new(Kind::Usage, "the endpoint makes no URL", "see whether it is right")));
        };
        // Objects are never posted; what is, is exchanged for credentials.
        let is_identity = parts.method == Method::POST;
        let client = if is_identity { &self.identity } else { &self.content };
        let is_short = is_identity || self.is_platform || is_list(&url);
        let sent = self.retries.run(|| {
            let mut request = Request::new(parts.method.clone(), url.clone());
            request.headers_mut().clone_from(&parts.headers);
            *request.body_mut() = Some(body.clone().into());
            send(client, request, is_short)
        });
        sent.await.map_err(failed)
    }
}

/// Lists are read whole, so that one that breaks is asked for again.
fn is_list(url: &Url) -> bool {
    url.query_pairs().any(|(name, value)| matches!((&*name, &*value), ("list-type", "2") | ("comp", "list")))
}

async fn send(client: &Client, request: Request, is_short: bool) -> Result<HttpResponse, Failure> {
    let what = shown(request.method(), request.url());
    let response = client.execute(request).await.map_err(|error| unanswered(&what, error))?;
    if !response.status().is_success() {
        return Err(refusal::read(&what, response).await);
    }
    if is_transcoded(response.headers()) {
        let what = format!("{what}: the object is stored compressed, and decompressed on the way");
        return Err(Failure::new(Kind::Integrity, what, "upload it without `Content-Encoding: gzip`"));
    }
    if is_short { whole(&what, response).await } else { Ok(streamed(what, response)) }
}

/// What GCS decompresses has neither a length nor ranges, and its checksum is of something else.
fn is_transcoded(headers: &HeaderMap) -> bool {
    let is_stored_compressed = headers.get("x-goog-stored-content-encoding").is_some_and(|encoding| encoding == "gzip");
    is_stored_compressed && !headers.contains_key(http::header::CONTENT_LENGTH)
}

async fn whole(what: &str, response: Response) -> Result<HttpResponse, Failure> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read_up_to(response, PAGE_LIMIT).await.map_err(|error| unanswered(what, error))?;
    let Some(body) = body else {
        let what = format!("{what}: the answer has more than {PAGE_LIMIT} bytes");
        return Err(Failure::new(Kind::Unavailable, what, "see whether that is an object store"));
    };
    let body = http_body_util::Full::new(Bytes::from(body)).map_err(|never| match never {});
    Ok(answer(status, headers, HttpResponseBody::new(body)))
}

fn streamed(what: String, response: Response) -> HttpResponse {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = http::Response::<reqwest::Body>::from(response).into_body();
    let body = body.map_err(move |error| HttpError::new(HttpErrorKind::Interrupted, unanswered(&what, error)));
    answer(status, headers, HttpResponseBody::new(body))
}

fn answer(status: http::StatusCode, headers: HeaderMap, body: HttpResponseBody) -> HttpResponse {
    let mut answer = HttpResponse::new(body);
    *answer.status_mut() = status;
    answer.extensions_mut().insert(AnswerHeaders(headers.clone()));
    *answer.headers_mut() = headers;
    answer
}

/// The request without its query, which may be a credential.
fn shown(method: &Method, url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    // No URL of an object store has any.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    format!("{method} {shown}")
}

/// Of no kind that `object_store` would try again itself.
fn failed(failure: Failure) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, failure)
}
