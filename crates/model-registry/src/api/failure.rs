//! Requests that fail, as the API says it: `{code, message}`.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::store::StoreError;

/// When to come back while the database does not answer.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// A request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    message: String,
}

impl Failure {
    /// One with any status, and a message that is complete.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request is wrong.
    pub(crate) fn bad_request(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{message}: bad request"))
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{message}: not found"))
    }

    /// A body holds a field that its schema does not have.
    pub(super) fn unknown_field(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("json: unknown field {}", Value::from(name)))
    }

    /// A body lacks a field that it has to have.
    pub(super) fn missing(name: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("required field '{name}' is zero value."))
    }

    /// What is wrong, without what the API adds.
    pub(super) fn into_reason(self) -> String {
        self.message.strip_suffix(": bad request").map(str::to_owned).unwrap_or(self.message)
    }

    #[cfg(test)]
    pub(super) fn parts(&self) -> (u16, &str) {
        (self.status.as_u16(), &self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { .. } => Self::not_found(error),
            StoreError::Conflict(_) => Self::new(StatusCode::CONFLICT, format!("{error}: conflict")),
            StoreError::Invalid(_) => Self::bad_request(error),
            StoreError::Forbidden(_) => {
                tracing::warn!("refused: {error}");
                Self::new(StatusCode::FORBIDDEN, error.to_string())
            }
            StoreError::Outdated { .. } => Self::new(StatusCode::PRECONDITION_FAILED, error.to_string()),
            StoreError::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            StoreError::Database(_) => {
                // What a database says may hold what others wrote, and is of no use to who asks.
                tracing::error!(%error, "a request failed");
                let message = "the registry's database failed: the log of the registry says more";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(body(self.status, &self.message))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_SOON.as_secs()));
        }
        response
    }
}

/// The body of an answer of the server around the API that reports an error.
pub(super) fn of_server(status: StatusCode, message: &str) -> Value {
    if status == StatusCode::NOT_FOUND { body(status, &format!("{message}: not found")) } else { body(status, message) }
}

/// The body of an answer that reports an error.
fn body(status: StatusCode, message: &str) -> Value {
    // The API calls a body that lacks something a bad request, whatever its status.
    let named = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
    json!({ "code": named.canonical_reason().unwrap_or("Error"), "message": message })
}
