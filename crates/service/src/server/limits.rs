//! What a request may take: its turn, its time, the size of its body; and that a panic in it is no more than its own.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http_body_util::Limited;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Limits;
use super::answers::ApiError;

/// How much of a body that is too large is still read, so that its sender gets to read our answer: while it sends, most
/// clients do not look, and closing a connection on unread data discards the answer.
const MAX_DRAINED_BYTES: usize = 64 << 20;
const MAX_DRAIN_TIME: Duration = Duration::from_secs(5);

/// What all requests to a server share.
#[derive(Clone)]
pub(super) struct Gate {
    limits: Limits,
    /// Those who work and those who wait.
    admitted: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let admitted = limits.concurrent_requests.saturating_add(limits.waiting_requests);
        Self {
            limits,
            admitted: Arc::new(Semaphore::new(admitted.min(Semaphore::MAX_PERMITS))),
            working: Arc::new(Semaphore::new(limits.concurrent_requests.min(Semaphore::MAX_PERMITS))),
        }
    }
}

/// Lets a request through when it is its turn, and answers in its place when it takes more than it may.
pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Ok(_admitted) = gate.admitted.try_acquire() else {
        return ApiError::unavailable("too many requests are waiting: try again later").into_response();
    };
    let limit = gate.limits.body_bytes;
    if declared_length(&request).is_some_and(|length| length > limit as u64) {
        drain(request.into_body(), MAX_DRAINED_BYTES, MAX_DRAIN_TIME).await;
        let message = format!("the body is too large: at most {limit} bytes are taken");
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message).into_response();
    }
    let request =
        if request.body().is_end_stream() { request } else { request.map(|body| Body::new(Limited::new(body, limit))) };
    let work = async {
        // The semaphore is never closed; if it were, the request would only not count.
        let _working = gate.working.acquire().await;
        next.run(request).await
    };
    let Ok(response) = timeout(gate.limits.request_timeout, work).await else {
        let seconds = gate.limits.request_timeout.as_secs_f32();
        return ApiError::unavailable(format!("the request took longer than {seconds} s")).into_response();
    };
    response
}

fn declared_length(request: &Request) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body that nobody wants, up to so many bytes and for so long.
pub(crate) async fn drain(body: Body, bytes: usize, time: Duration) {
    let read = async {
        let mut chunks = body.into_data_stream();
        let mut drained = 0;
        while let Some(Ok(chunk)) = chunks.next().await {
            drained += chunk.len();
            if drained > bytes {
                break;
            }
        }
    };
    // Whether the end was reached does not matter.
    let _ = timeout(time, read).await;
}

/// Answers a panic in a handler with 500; the message of it is logged only.
pub(super) fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "no message".to_owned(), |text| (*text).to_owned()),
    };
    tracing::error!(message, "a request handler panicked");
    ApiError::internal("internal error: see the log of the service").into_response()
}
