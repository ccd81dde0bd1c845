//! An HTTP server that answers as a test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use tokio::task::JoinHandle;
use url::Url;

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// How many requests came before.
    pub(crate) number: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub(crate) struct Server {
    pub(crate) url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(respond: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let router = router(Arc::clone(&asked), respond);
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, asked, task }
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn router(
    asked: Arc<Mutex<Vec<Asked>>>,
    respond: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static,
) -> Router {
    Router::new().fallback(move |request: Request| {
        let mut all = asked.lock().unwrap();
        let one = Asked {
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
            number: all.len(),
        };
        all.push(one.clone());
        let response = respond(&one);
        async move { response }
    })
}

/// An answer.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

/// A file with ranges and a version.
pub(crate) fn file(asked: &Asked, content: &[u8], etag: &str) -> Response {
    let size = content.len();
    let headers = [("etag", etag), ("accept-ranges", "bytes"), ("content-type", "application/octet-stream")];
    if asked.header("if-match").is_some_and(|wanted| wanted != etag) {
        return reply(412, &headers, "");
    }
    let range = asked.header("range").filter(|_| asked.header("if-range").is_none_or(|wanted| wanted == etag));
    let Some(range) = range else { return reply(200, &headers, content.to_vec()) };
    let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse::<usize>().map_or(size, |last| size.min(last + 1));
    if first >= last {
        return reply(416, &[("content-range", &format!("bytes */{size}"))], "");
    }
    let shown = format!("bytes {first}-{}/{size}", last - 1);
    let headers: Vec<_> = headers.into_iter().chain([("content-range", shown.as_str())]).collect();
    reply(206, &headers, content[first..last].to_vec())
}

/// An answer that breaks off: it promises `length` bytes and sends these.
pub(crate) fn broken(status: u16, headers: &[(&str, &str)], sent: &[u8], length: usize) -> Response {
    let sent = stream::iter([Ok(Bytes::copy_from_slice(sent))]);
    // What was sent is on its way before it breaks.
    let reset = stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("a reset"))
    });
    let length = length.to_string();
    let headers: Vec<_> = headers.iter().copied().chain([("content-length", length.as_str())]).collect();
    reply(status, &headers, Body::from_stream(sent.chain(reset)))
}
