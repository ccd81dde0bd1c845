//! The HTTP side: connections, authentication, faults, and the answer's form.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Request, Response, StatusCode, header, request::Parts};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dispatch::{Answer, Call, dispatch};
use super::failure::{Failure, reason_of};
use super::faults::{Fault, Journal, RecordedRequest};
use super::rbac::User;
use super::store::State;

/// A real server takes at most this much in one request.
const BODY_LIMIT: usize = 3 * 1024 * 1024;
/// Read on for so long, so that the client gets to see the refusal.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;
/// Go clients look at this to tell the aggregated form from the plain one.
const AGGREGATED_DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const HTML: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>{not json</body></html>";

pub(crate) type Body = UnsyncBoxBody<Bytes, Interrupted>;

/// The connection is to be closed here and now.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Interrupted {}

impl From<Infallible> for Interrupted {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What the connections share, and what survives a restart.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) tokens: Mutex<HashMap<String, User>>,
    pub(crate) journal: Arc<Mutex<Journal>>,
    pub(crate) paused: watch::Sender<bool>,
    pub(crate) bookmark_interval: Duration,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, HashMap<String, User>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the API is not paused.
    pub(crate) async fn running(&self) {
        // The sender is ours, so waiting cannot fail.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    pub(crate) fn user_of(&self, token: &str) -> Option<User> {
        self.tokens().get(token).cloned()
    }
}

/// Accepts connections until the task is aborted; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| handle(Arc::clone(&shared), request));
    // A client that hangs up, and a connection that is interrupted on purpose, are both normal here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Interrupted> {
    let (parts, body) = request.into_parts();
    let (body, is_too_large) = collect(body).await?;
    let user = bearer(&parts.headers).and_then(|token| shared.user_of(token)).filter(|user| user.audience.is_none());
    let (id, fault) = shared.journal().arrival(record(&parts, user.as_ref(), &body));
    shared.running().await;
    let response = match &fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Reset) => return Err(Interrupted),
        Some(Fault::Status(code)) => failure_response(&made_up(*code)),
        Some(Fault::Refusal(code, message)) => {
            failure_response(&Failure::status(*code, reason_of(*code), (*message).to_owned()))
        }
        Some(Fault::Garbage) => text_response(200, "text/html; charset=utf-8", HTML),
        other => {
            if let Some(Fault::Delay(time)) = other {
                tokio::time::sleep(*time).await;
            }
            respond(&shared, &parts, user, body, is_too_large)
        }
    };
    match fault {
        Some(Fault::LostAnswer) => return Err(Interrupted),
        Some(Fault::Truncated) => return Ok(cut(response).await),
        _ => {}
    }
    shared.journal().answered(id, response.status().as_u16());
    Ok(response)
}

fn respond(shared: &Arc<Shared>, parts: &Parts, user: Option<User>, body: Bytes, is_too_large: bool) -> Response<Body> {
    let Some(user) = user else {
        return failure_response(&Failure::status(401, "Unauthorized", "Unauthorized"));
    };
    let call = Call { parts, user, body, is_too_large };
    match dispatch(shared, &call) {
        Ok(Answer::Object(code, object)) => json_response(code, &object),
        Ok(Answer::AggregatedDiscovery(object)) => response(200, AGGREGATED_DISCOVERY, full(object.to_string())),
        Ok(Answer::Text(text)) => text_response(200, "text/plain; charset=utf-8", text),
        Ok(Answer::Watch(watch)) => {
            let body = StreamBody::new(watch.into_stream()).boxed_unsync();
            response(200, "application/json", body)
        }
        Err(failure) => failure_response(&failure),
    }
}

/// Reads the body; says so when it is larger than the server takes.
async fn collect(mut body: Incoming) -> Result<(Bytes, bool), Interrupted> {
    let mut kept = BytesMut::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Interrupted)?.into_data() else { continue };
        size += data.len();
        if size > DRAIN_LIMIT {
            return Err(Interrupted);
        }
        if size <= BODY_LIMIT {
            kept.extend_from_slice(&data);
        }
    }
    Ok((kept.freeze(), size > BODY_LIMIT))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) fn text_header(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn record(parts: &Parts, user: Option<&User>, body: &Bytes) -> RecordedRequest {
    RecordedRequest {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        user: user.map(|user| user.name.clone()),
        content_type: text_header(&parts.headers, header::CONTENT_TYPE).to_owned(),
        body: body.clone(),
        status: None,
    }
}

fn made_up(code: u16) -> Failure {
    Failure::status(code, reason_of(code), format!("testkit: status {code} on demand"))
}

fn response(code: u16, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(Interrupted::from).boxed_unsync()
}

fn text_response(code: u16, content_type: &'static str, text: &'static str) -> Response<Body> {
    response(code, content_type, full(text))
}

fn json_response(code: u16, object: &Value) -> Response<Body> {
    response(code, "application/json", full(format!("{object}\n")))
}

fn failure_response(failure: &Failure) -> Response<Body> {
    if *failure == Failure::PageNotFound {
        return text_response(404, "text/plain; charset=utf-8", "404 page not found\n");
    }
    let mut response = json_response(failure.code(), &failure.object());
    if matches!(failure.code(), 429 | 504) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

/// The same answer, broken off in the middle of its first piece.
async fn cut(response: Response<Body>) -> Response<Body> {
    let (parts, mut body) = response.into_parts();
    let data = match body.frame().await {
        Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    };
    let half = data.slice(..data.len() / 2);
    // The reset must not overtake the first half.
    let end = stream::once(async {
        tokio::task::yield_now().await;
        Err(Interrupted)
    });
    let pieces = stream::iter([Ok(Frame::data(half))]).chain(end);
    Response::from_parts(parts, StreamBody::new(pieces).boxed_unsync())
}
