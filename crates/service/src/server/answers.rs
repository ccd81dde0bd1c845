//! Errors as answers: always a status of failure with a JSON body, of one shape for all that a server answers.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode, Uri};
use serde_json::{Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::openapi::ErrorAnswer;

/// The most that is kept of a message which a library gave in plain text.
const MAX_PLAIN_MESSAGE: usize = 4 << 10;
const SHOWN_PATH: usize = 200;
/// When to come back after a 503 that does not say otherwise.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// An answer that reports an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// What went wrong and what to do, for people. Goes out: it must hold no secret.
    pub message: String,
    /// When it makes sense to ask again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with any status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    /// 400: the request is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 500: we are wrong.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 503 with `Retry-After`: not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(RETRY_SOON)
    }

    /// Says when it makes sense to ask again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

/// The bodies of all answers that report an error, the server's own ones among them: `{"error": "..."}`, if a service has to
/// say nothing else.
#[derive(Debug, Clone, Copy)]
pub struct ErrorShape {
    /// The body of an answer with that status and that message.
    pub body: fn(StatusCode, &str) -> Value,
    /// What the OpenAPI document says of it.
    pub schema: fn() -> RefOr<Schema>,
}

impl Default for ErrorShape {
    fn default() -> Self {
        Self { body: |_, message| json!({ "error": message }), schema: ErrorAnswer::schema }
    }
}

impl ErrorShape {
    fn apply(self, mut response: Response) -> Response {
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            *response.body_mut() = Body::from((self.body)(error.status, &error.message).to_string());
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if let Some(after) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

pub(super) async fn not_found(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is no route {method} {}", shown_path(&uri)))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take the method {method}", shown_path(&uri));
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

fn shown_path(uri: &Uri) -> String {
    uri.path().chars().take(SHOWN_PATH).collect()
}

/// Gives errors their shape, those that libraries answer in plain text, too. Pages for people stay pages.
pub(super) async fn errors_as_json(State(shape): State<ErrorShape>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    if response.extensions().get::<ApiError>().is_some() {
        return shape.apply(response);
    }
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type.starts_with(b"application/json") || content_type.starts_with(b"text/html") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = plain_text(body).await;
    let message = if text.is_empty() { status.canonical_reason().unwrap_or("failed").to_owned() } else { text };
    let mut response = ApiError::new(status, message).into_response();
    for (name, value) in &parts.headers {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    shape.apply(response)
}

async fn plain_text(body: Body) -> String {
    let bytes = axum::body::to_bytes(body, MAX_PLAIN_MESSAGE).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
