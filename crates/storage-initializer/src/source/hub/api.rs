//! The Hub's API, as far as reading a repository goes.

use std::collections::VecDeque;
use std::ops::Range;

use futures::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::token;
use crate::environment::Environment;
use crate::source::network::Network;
use crate::source::retry::{excerpt, refused};
use crate::source::wire::{Request, Wire, body};
use crate::{Failure, Kind};

/// The Hub that everybody means who says nothing else.
const ENDPOINT: &str = "https://huggingface.co";

const PAGE_LIMIT: usize = 16 << 20;

/// What cannot stand for itself within a segment of a path.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'/')
    .add(b'\\')
    .add(b'^')
    .add(b'{')
    .add(b'}')
    .add(b'|');

/// One repository of a Hub.
#[derive(Debug)]
pub(super) struct HubApi {
    name: String,
    endpoint: Url,
    repository: String,
    wire: Wire,
    authorization: Option<HeaderValue>,
}

/// An entry of a repository's tree.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) size: u64,
    /// The SHA-1 of the git blob.
    pub(super) oid: Option<String>,
    /// Where the content is a large file: then the git blob is but a pointer.
    pub(super) lfs: Option<LargeFile>,
}

/// A file that git has a pointer to.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct LargeFile {
    /// Its SHA-256.
    pub(super) oid: String,
    pub(super) size: u64,
}

impl Entry {
    pub(super) fn is_file(&self) -> bool {
        self.kind == "file"
    }
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

impl HubApi {
    pub(super) fn new(
        repository: &str,
        name: &str,
        environment: &Environment,
        network: &Network,
    ) -> Result<Self, Failure> {
        Ok(Self {
            name: name.to_owned(),
            endpoint: endpoint(environment.get("HF_ENDPOINT").unwrap_or(ENDPOINT))?,
            repository: repository.to_owned(),
            wire: Wire::new(environment, network, name)?,
            authorization: token::authorization(environment)?,
        })
    }

    /// The commit that a branch, a tag or a commit is now.
    pub(super) async fn commit(&self, revision: &str) -> Result<String, Failure> {
        let url = self.url(&["api/models", &self.repository, "revision", &segment(revision)])?;
        let (Revision { sha }, _) = self.json(self.request(url)).await?;
        if sha.is_empty() || !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let what = format!("{}: the answer names no commit", self.name);
            return Err(Failure::new(Kind::Integrity, what, "see to the endpoint"));
        }
        Ok(sha)
    }

    /// The entry of `path`, if it is a file's.
    pub(super) async fn file(&self, commit: &str, path: &str) -> Result<Option<Entry>, Failure> {
        if path.is_empty() {
            return Ok(None);
        }
        let mut request = self.request(self.url(&["api/models", &self.repository, "paths-info", commit])?);
        request.method = Method::POST;
        let question = serde_json::json!({ "paths": [path], "expand": false }).to_string();
        request.body = Some((HeaderValue::from_static("application/json"), question.into()));
        let (entries, _): (Vec<Entry>, _) = self.json(request).await?;
        Ok(entries.into_iter().find(|entry| entry.is_file() && entry.path == path))
    }

    /// Everything below `path`, page by page.
    pub(super) fn tree(&self, commit: &str, path: &str) -> Result<BoxStream<'_, Result<Entry, Failure>>, Failure> {
        let mut url = self.url(&["api/models", &self.repository, "tree", commit, &segments(path)])?;
        url.query_pairs_mut().append_pair("recursive", "true").append_pair("expand", "false");
        let state = (VecDeque::new(), Some(url));
        let pages = stream::try_unfold(state, move |(mut page, mut next): (VecDeque<Entry>, Option<Url>)| async move {
            loop {
                if let Some(entry) = page.pop_front() {
                    return Ok(Some((entry, (page, next))));
                }
                let Some(url) = next else { return Ok(None) };
                (page, next) = self.page(url).await?;
            }
        });
        Ok(pages.boxed())
    }

    async fn page(&self, url: Url) -> Result<(VecDeque<Entry>, Option<Url>), Failure> {
        let (page, headers) = self.json(self.request(url.clone())).await?;
        let Some(next) = next_page(&headers) else { return Ok((page, None)) };
        let next = url.join(&next).ok().filter(|next| next.origin() == self.endpoint.origin() && *next != url);
        match next {
            Some(next) => Ok((page, Some(next))),
            None => {
                let what =
                    format!("{}: the next page of the list is at another server, or is the same again", self.name);
                Err(Failure::new(Kind::Integrity, what, "see to the endpoint, or the proxy in front of it"))
            }
        }
    }

    /// A file, or a range of it.
    pub(super) async fn content(
        &self,
        commit: &str,
        path: &str,
        range: Option<&Range<u64>>,
    ) -> Result<Response, Failure> {
        let url = self.url(&[&self.repository, "resolve", commit, &segments(path)])?;
        let request = self.request(url).range(range);
        self.wire.retries().run(|| self.send(&request)).await
    }

    fn url(&self, parts: &[&str]) -> Result<Url, Failure> {
        let path: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
        let url = self.endpoint.join(&path.join("/"));
        url.map_err(|error| Failure::new(Kind::Usage, format!("{}: {error}", self.name), "see to HF_ENDPOINT"))
    }

    fn request(&self, url: Url) -> Request {
        let mut request = Request::get(url);
        request.private.extend(self.authorization.clone().map(|value| (header::AUTHORIZATION, value)));
        request
    }

    async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<(T, HeaderMap), Failure> {
        let ask = || async {
            let response = self.send(&request).await?;
            let headers = response.headers().clone();
            let text = body(&self.name, response, PAGE_LIMIT).await?;
            let parsed = serde_json::from_slice(&text).map_err(|error| {
                let what = format!("{}: the answer cannot be read: {error}", self.name);
                Failure::new(Kind::Integrity, what, "see whether the endpoint speaks the Hub's API")
            })?;
            Ok((parsed, headers))
        };
        self.wire.retries().run(ask).await
    }

    async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let response = self.wire.send(&self.name, request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response.status(), response.headers()))
    }

    /// What the Hub says is wrong, and what to do.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let failure = refused(&self.name, status, headers, &excerpt(text("x-error-message")));
        let page = self.endpoint.join(&self.repository).map(String::from).unwrap_or_default();
        let advice = match (text("x-error-code"), failure.kind, self.authorization.is_some()) {
            ("GatedRepo", _, true) => format!("accept the model's conditions at {page}, as the user whose token it is"),
            ("GatedRepo", _, false) => {
                format!("accept the model's conditions at {page}, and give a token of that user in HF_TOKEN")
            }
            ("RevisionNotFound", ..) => "see whether there is such a branch, tag or commit".to_owned(),
            ("EntryNotFound", ..) => "see whether there is such a path in that revision".to_owned(),
            (_, Kind::Permission, true) => {
                "see whether the name is right, and whether the token may read it".to_owned()
            }
            (_, Kind::Permission, false) => {
                "see whether the name is right; if the model is private, give a token in HF_TOKEN".to_owned()
            }
            (_, Kind::NotFound, _) => "see whether the name, the revision and the path are right".to_owned(),
            _ => return failure,
        };
        Failure { advice, ..failure }
    }
}

fn endpoint(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(|| {
        Failure::new(Kind::Usage, "the endpoint in HF_ENDPOINT is no http or https URL", "write it as https://HOST")
    })
}

/// `Link: <URL>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|value| value.split(", ")).find_map(|link| {
        let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters.split(';').any(|one| matches!(one.trim(), r#"rel="next""# | "rel=next")).then(|| url.to_owned())
    })
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn segments(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"<https://hub.example/a?cursor=1>; rel="next""#, Some("https://hub.example/a?cursor=1"))]
    #[case(
        r#"<https://hub.example/a>; rel="prev", <https://hub.example/b,c>; rel="next""#,
        Some("https://hub.example/b,c")
    )]
    #[case(r#"<https://hub.example/a>; rel="prev""#, None)]
    #[case("nonsense", None)]
    fn the_next_page_is_in_a_link(#[case] value: &str, #[case] expected: Option<&str>) {
        let headers: HeaderMap = [(header::LINK, value.parse().unwrap())].into_iter().collect();
        assert_eq!(next_page(&headers).as_deref(), expected);
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(segment("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(segments("a b/c#?.bin"), "a%20b/c%23%3F.bin");
    }

    #[rstest]
    #[case("hub.example")]
    #[case("ftp://hub.example")]
    #[case("")]
    fn an_endpoint_is_a_url(#[case] text: &str) {
        assert_eq!(endpoint(text).unwrap_err().kind, Kind::Usage);
    }
}
