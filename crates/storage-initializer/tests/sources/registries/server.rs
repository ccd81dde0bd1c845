//! An HTTP server that answers what it is told, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap())
    }
}

type Answer = Arc<dyn Fn(&Asked) -> Response + Send + Sync>;

/// The server; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    answer: Answer,
    asked: Mutex<Vec<Asked>>,
    /// What the next requests whose paths contain a text are answered.
    faults: Mutex<VecDeque<(String, StatusCode)>>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner { answer: Arc::new(answer), asked: Mutex::default(), faults: Mutex::default() };
        let server = Self { address, inner: Arc::new(inner) };
        let router = Router::new().fallback(handle).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }

    /// The next request whose path contains `part` is answered with `status`.
    pub(crate) fn fail(&self, part: &str, status: StatusCode) {
        self.inner.faults.lock().unwrap().push_back((part.to_owned(), status));
    }

    fn fault(&self, path: &str) -> Option<StatusCode> {
        let mut faults = self.inner.faults.lock().unwrap();
        let at = faults.iter().position(|(part, _)| path.contains(part))?;
        faults.remove(at).map(|(_, status)| status)
    }
}

async fn handle(State(server): State<Server>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
    };
    server.inner.asked.lock().unwrap().push(asked.clone());
    match server.fault(&asked.path) {
        Some(status) => (status, [(header::RETRY_AFTER, "0")]).into_response(),
        None => (server.inner.answer)(&asked),
    }
}

/// A file, or the range of it that was asked for.
pub(crate) fn file(asked: &Asked, content: &[u8]) -> Response {
    let range = asked.headers.get(header::RANGE).map(|value| value.to_str().unwrap());
    let range = range.and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range else { return Body::from(content.to_vec()).into_response() };
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let last = last.min(content.len() - 1);
    let content_range = format!("bytes {first}-{last}/{}", content.len());
    let part = content[first..=last].to_vec();
    (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, content_range)], part).into_response()
}

pub(crate) fn status(status: StatusCode) -> Response {
    status.into_response()
}
