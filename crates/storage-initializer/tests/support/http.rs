//! Files on an HTTP server that can hold answers back, and a source that reads them there.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use storage_initializer::relative::RelativePath;
use storage_initializer::source::{Content, Object, Source};
use storage_initializer::{Failure, Kind};

/// How many bytes the server sends at a time.
const CHUNK: usize = 64 << 10;

/// `count` files of `size` bytes each: `/0`, `/1` and so on, below `/size/count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) size: u64,
    pub(crate) count: u64,
}

/// What a server is told, and tells.
#[derive(Debug)]
pub(crate) struct Server {
    noise: Bytes,
    /// Answers end half way, and hang, where their range begins at this byte or later.
    pub(crate) hangs_from: AtomicU64,
    pub(crate) requests: Mutex<Vec<(String, Option<Range<u64>>)>>,
}

impl Server {
    /// For files of up to `longest` bytes.
    pub(crate) fn new(longest: u64) -> Arc<Self> {
        // Longer files say the same again and again, shifted, so that no two ranges are alike.
        let noise = Bytes::from(testkit::noise(usize::try_from(longest).unwrap().min(1 << 22) + CHUNK));
        Arc::new(Self { noise, hangs_from: AtomicU64::new(u64::MAX), requests: Mutex::default() })
    }

    /// Listens on a free port: the address.
    pub(crate) async fn listen(self: Arc<Self>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// The bytes of a file from `position`, up to `length`.
    pub(crate) fn bytes(&self, position: u64, length: u64) -> Bytes {
        let chunk = CHUNK as u64;
        let shift = (position / chunk * 4099) % (self.noise.len() as u64 - chunk + 1);
        let (start, left) = (shift + position % chunk, chunk - position % chunk);
        let range = usize::try_from(start).unwrap()..usize::try_from(start + left.min(length)).unwrap();
        self.noise.slice(range)
    }
}

async fn answer(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap) -> Response {
    let numbers: Vec<u64> = uri.path().split('/').filter_map(|part| part.parse().ok()).collect();
    let [size, ..] = numbers[..] else { return StatusCode::NOT_FOUND.into_response() };
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok()).map(parse);
    server.requests.lock().unwrap().push((uri.path().to_owned(), asked.clone()));
    let range = asked.clone().unwrap_or(0..size);
    let hangs = range.start >= server.hangs_from.load(Ordering::SeqCst);
    let end = if hangs { range.start + (range.end - range.start) / 2 } else { range.end };
    let sent = stream::unfold(range.start, move |position| {
        let bytes = (position < end).then(|| server.bytes(position, end - position));
        async move { bytes.map(|bytes| (Ok::<_, std::io::Error>(bytes.clone()), position + bytes.len() as u64)) }
    });
    let hang = stream::once(std::future::pending()).take(usize::from(hangs));
    let mut response = Response::new(Body::from_stream(sent.chain(hang)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    headers.insert(header::ETAG, header::HeaderValue::from_static("\"v1\""));
    if asked.is_some() {
        let said = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, said.parse().unwrap());
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn parse(range: &str) -> Range<u64> {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    first.parse().unwrap()..last.parse::<u64>().unwrap() + 1
}

/// Reads the files of a server.
#[derive(Debug)]
pub(crate) struct Files {
    address: String,
    shape: Shape,
    client: reqwest::Client,
}

impl Files {
    pub(crate) fn new(address: &str, shape: Shape) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { address: address.to_owned(), shape, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Sends a request.
    pub(crate) async fn get(&self, number: u64, range: Option<Range<u64>>) -> reqwest::Result<reqwest::Response> {
        let Shape { size, count } = self.shape;
        let mut request = self.client.get(format!("{}/{size}/{count}/{number}", self.address));
        if let Some(range) = range {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        }
        request.send().await?.error_for_status()
    }
}

fn failed(error: &reqwest::Error) -> Failure {
    Failure::new(Kind::Unavailable, error.to_string(), "").transient()
}

#[async_trait]
impl Source for Files {
    fn name(&self) -> String {
        format!("files of {}", self.shape.size)
    }

    fn objects(&self) -> BoxStream<'_, Result<Object, Failure>> {
        let object = |number: u64| Object {
            path: RelativePath::new(&format!("{}/{number}", number / 1000)).unwrap(),
            locator: number.to_string(),
            size: Some(self.shape.size),
            version: Some("\"v1\"".to_owned()),
            checksum: None,
        };
        stream::iter((0..self.shape.count).map(object).map(Ok)).boxed()
    }

    async fn read(&self, object: &Object, range: Option<Range<u64>>) -> Result<Content, Failure> {
        let number = object.locator.parse().unwrap();
        let response = self.get(number, range).await.map_err(|error| failed(&error))?;
        let version = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Content {
            is_range: response.status() == StatusCode::PARTIAL_CONTENT,
            bytes: response.bytes_stream().map_err(|error| failed(&error)).boxed(),
            size: Some(self.shape.size),
            version,
            checksum: None,
            content_type: None,
        })
    }
}
