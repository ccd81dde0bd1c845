//! `http(s)://`: one file, called like the last segment of the path.
//!
//! It is probed with a request for its first byte, which tells its length, its version and whether there are ranges, also
//! where HEAD is not answered, as with signed URLs. Headers from the environment go to the URI's own scheme, host and port
//! only, wherever it redirects to.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::percent_decode_str;
use reqwest::{Client, Response};
use url::Url;

use super::network::Network;
use super::retry::{Retries, refused, unanswered};
use super::{Content, Object, Source};
use crate::environment::Environment;
use crate::relative::RelativePath;
use crate::{Failure, Kind};

pub(super) mod answer;
pub(super) mod headers;
pub(super) mod redirects;

use answer::{ContentRange, checksum, content_range, is_encoded, version};

/// One file.
pub struct HttpSource {
    client: Client,
    network: Network,
    url: Url,
    /// The URL without what may be a credential.
    name: String,
    path: RelativePath,
    headers: HeaderMap,
    has_ranges: OnceLock<bool>,
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource").field("name", &self.name).finish_non_exhaustive()
    }
}

impl HttpSource {
    /// The file at `url`. Nothing is asked of anybody yet.
    pub fn open(url: &Url, environment: &Environment, network: &Network) -> Result<Self, Failure> {
        let name = public(url);
        network.check(url)?;
        let file = url.path().rsplit('/').next().unwrap_or_default();
        let decoded = percent_decode_str(file).decode_utf8().ok().filter(|name| !name.contains('/'));
        let path = RelativePath::new(decoded.as_deref().unwrap_or(file)).map_err(|bad| {
            Failure::new(Kind::Usage, format!("{name}: {bad}"), "give a URL whose last segment names a file")
        })?;
        let client = network.client(&headers::trust(environment, network), &name)?;
        let headers = headers::of_host(url, environment)?;
        Ok(Self {
            client,
            network: network.clone(),
            url: url.clone(),
            name,
            path,
            headers,
            has_ranges: OnceLock::new(),
        })
    }

    async fn probe(&self) -> Result<Object, Failure> {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let response = self.get(&headers).await?;
        let range = content_range(response.headers());
        let (has_ranges, size) = match (response.status(), range) {
            (StatusCode::PARTIAL_CONTENT, Some(ContentRange { size, .. })) => (true, size),
            // An empty file has no first byte.
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(ContentRange { size: size @ Some(0), .. })) => (false, size),
            (status, _) if status == StatusCode::OK => (false, length(response.headers())),
            (status, _) => return Err(refused(&self.name, status, response.headers(), "")),
        };
        // Whoever asks twice is told the same.
        let _ = self.has_ranges.set(has_ranges);
        Ok(Object {
            path: self.path.clone(),
            locator: self.name.clone(),
            size,
            version: version(response.headers()),
            checksum: None,
        })
    }

    /// Sends a request until there is an answer that is worth something.
    async fn get(&self, headers: &HeaderMap) -> Result<Response, Failure> {
        let retries: &Retries = &self.network.retries;
        retries.run(|| self.get_once(headers)).await
    }

    async fn get_once(&self, conditions: &HeaderMap) -> Result<Response, Failure> {
        let mut url = self.url.clone();
        for _ in 0..=redirects::LIMIT {
            let mut headers = conditions.clone();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if url.origin() == self.url.origin() {
                headers.extend(self.headers.clone());
            }
            let sent = self.client.get(url.clone()).headers(headers).send().await;
            let response = sent.map_err(|error| unanswered(&self.name, error))?;
            let Some(next) = redirects::next(&self.name, &url, &response)? else {
                return self.accepted(response);
            };
            self.network.check(&next).map_err(|failure| redirects::refused(&self.name, &failure))?;
            url = next;
        }
        Err(redirects::too_many(&self.name))
    }

    fn accepted(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let failure = refused(&self.name, status, response.headers(), "");
            let host = self.url.host_str().unwrap_or_default();
            let advice = format!("give headers for it in the variable {host}-headers, or see whether they are right");
            return Err(Failure { advice, ..failure });
        }
        if !status.is_success() && status != StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(refused(&self.name, status, response.headers(), ""));
        }
        if is_encoded(&self.url, response.headers()) {
            let what = format!("{}: the server sends it compressed, though asked not to", self.name);
            return Err(Failure::new(Kind::Integrity, what, "let the server keep to `Accept-Encoding: identity`"));
        }
        Ok(response)
    }

    fn content(&self, response: Response, asked: Option<&Range<u64>>) -> Result<Content, Failure> {
        let is_range = response.status() == StatusCode::PARTIAL_CONTENT;
        let size = match (is_range, content_range(response.headers()), asked) {
            (false, ..) => length(response.headers()),
            (true, Some(ContentRange { range: Some(range), size }), Some(asked)) if range == *asked => size,
            _ => {
                let what = format!("{}: the server sends another range than it was asked for", self.name);
                return Err(Failure::new(Kind::Integrity, what, "see whether the file is just being written"));
            }
        };
        let name = self.name.clone();
        let headers = response.headers();
        Ok(Content {
            size,
            version: version(headers),
            checksum: checksum(headers, is_range),
            is_range,
            content_type: headers.get(header::CONTENT_TYPE).and_then(|kind| Some(kind.to_str().ok()?.to_owned())),
            bytes: response.bytes_stream().map_err(move |error| unanswered(&name, error)).boxed(),
        })
    }
}

#[async_trait]
impl Source for HttpSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        stream::once(self.probe()).boxed()
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        let response = self.get(&conditions(object, range.as_ref())).await?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(changed(&self.name));
        }
        let content = self.content(response, range.as_ref())?;
        if object.version.is_some() && content.version != object.version {
            return Err(changed(&self.name));
        }
        Ok(content)
    }

    fn has_ranges(&self) -> bool {
        self.has_ranges.get().copied().unwrap_or(true)
    }
}

/// Only what was listed is wanted. Not all servers heed it, so the answer's version is looked at, too.
fn conditions(object: &Object, range: Option<&Range<u64>>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let version = object.version.as_deref().and_then(|version| HeaderValue::from_str(version).ok());
    if let Some(range) = range {
        let value = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        headers.extend(HeaderValue::from_str(&value).ok().map(|value| (header::RANGE, value)));
        headers.extend(version.clone().map(|version| (header::IF_RANGE, version)));
    }
    let is_etag = object.version.as_deref().is_some_and(|version| version.starts_with('"'));
    let condition = if is_etag { header::IF_MATCH } else { header::IF_UNMODIFIED_SINCE };
    headers.extend(version.map(|version| (condition, version)));
    headers
}

fn changed(name: &str) -> Failure {
    let what = format!("{name} has changed since the download began");
    Failure::new(Kind::Integrity, what, "start again, when nobody writes it")
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A URL without what may be a credential.
fn public(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // These fail only for URLs that cannot have user information to begin with.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}
