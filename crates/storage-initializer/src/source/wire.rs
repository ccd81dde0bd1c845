//! Requests whose credentials stay with the server that they are for, wherever it redirects to, and answers as content.

use std::ops::Range;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Client, Method, Response};
use url::Url;

use super::http::answer::{ContentRange, content_range};
use super::http::{headers, redirects};
use super::network::Network;
use super::retry::{Retries, refused, unanswered};
use super::{Content, Object};
use crate::environment::Environment;
use crate::{Failure, Kind};

/// A client for servers that hand out content by way of others.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    client: Client,
    network: Network,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    /// For whoever answers in the end.
    pub(super) headers: HeaderMap,
    /// For the URL's own scheme, host and port only.
    pub(super) private: HeaderMap,
    pub(super) body: Option<(HeaderValue, Bytes)>,
}

impl Request {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), private: HeaderMap::new(), body: None }
    }

    /// For a range of what is there.
    #[must_use]
    pub(super) fn range(mut self, range: Option<&Range<u64>>) -> Self {
        let text = range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let value = text.and_then(|text| HeaderValue::try_from(text).ok());
        self.headers.extend(value.map(|value| (header::RANGE, value)));
        self
    }
}

impl Wire {
    pub(super) fn new(environment: &Environment, network: &Network, name: &str) -> Result<Self, Failure> {
        let client = network.client(&headers::trust(environment, network), name)?;
        Ok(Self { client, network: network.clone() })
    }

    pub(super) fn retries(&self) -> Retries {
        self.network.retries
    }

    /// Sends a request, and follows where the answer leads. Whatever comes in the end is an answer.
    pub(super) async fn send(&self, name: &str, request: &Request) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        self.network.check(&url)?;
        for _ in 0..=redirects::LIMIT {
            let mut headers = request.headers.clone();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if url.origin() == request.url.origin() {
                headers.extend(request.private.clone());
            }
            let mut builder = self.client.request(request.method.clone(), url.clone()).headers(headers);
            if let Some((content_type, body)) = &request.body {
                builder = builder.header(header::CONTENT_TYPE, content_type).body(body.clone());
            }
            let response = builder.send().await.map_err(|error| unanswered(name, error))?;
            // What is sent along is for the one that it is sent to.
            let next = if request.body.is_some() { None } else { redirects::next(name, &url, &response)? };
            let Some(next) = next else { return Ok(response) };
            self.network.check(&next).map_err(|failure| redirects::refused(name, &failure))?;
            url = next;
        }
        Err(redirects::too_many(name))
    }
}

/// The whole of a short answer.
pub(super) async fn body(name: &str, response: Response, limit: usize) -> Result<Bytes, Failure> {
    let mut stream = response.bytes_stream();
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        body.extend_from_slice(&chunk.map_err(|error| unanswered(name, error))?);
        if body.len() > limit {
            let what = format!("{name}: the answer is longer than {limit} bytes");
            return Err(Failure::new(Kind::Integrity, what, "see whether the address is right"));
        }
    }
    Ok(body.freeze())
}

/// An answer that is all of an object, or the range that was asked for.
pub(super) fn content(
    name: &str,
    response: Response,
    object: &Object,
    asked: Option<&Range<u64>>,
) -> Result<Content, Failure> {
    let is_range = response.status() == StatusCode::PARTIAL_CONTENT;
    let size = match (is_range, content_range(response.headers()), asked) {
        (false, ..) if response.status() == StatusCode::OK => response.content_length(),
        (true, Some(ContentRange { range: Some(range), size }), Some(asked)) if range == *asked => size,
        (true, ..) => {
            let what = format!("{name}: the server sends another range than it was asked for");
            return Err(Failure::new(Kind::Integrity, what, "see to the server, or the proxy in front of it"));
        }
        (false, ..) => return Err(refused(name, response.status(), response.headers(), "")),
    };
    let name = name.to_owned();
    Ok(Content {
        size,
        version: object.version.clone(),
        checksum: object.checksum.clone(),
        is_range,
        content_type: None,
        bytes: response.bytes_stream().map_err(move |error| unanswered(&name, error)).boxed(),
    })
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = text.bytes().map(digit).collect();
    let bytes: Vec<u8> = digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if text.len() == 2 * N { bytes.try_into().ok() } else { None }
}

/// The objects, or a failure where there are none.
pub(super) fn or_failure<'a>(
    objects: BoxStream<'a, Result<Object, Failure>>,
    none: impl FnOnce() -> Failure + Send + 'a,
) -> BoxStream<'a, Result<Object, Failure>> {
    let begin = async move {
        let mut objects = objects.peekable();
        if Pin::new(&mut objects).peek().await.is_none() {
            return stream::once(ready(Err(none()))).boxed();
        }
        objects.boxed()
    };
    stream::once(begin).flatten().boxed()
}
