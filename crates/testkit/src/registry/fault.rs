//! The ways in which a scripted registry fails.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};

/// How a request fails.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status, with the registry's own `{code, message}`.
    Status(u16),
    /// This status, headers and body.
    StatusWith {
        /// The status code.
        code: u16,
        /// Headers to set.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// 200 with a login page.
    Html,
    /// 200 with bytes that are no JSON, declared as JSON.
    Garbage,
    /// 200 with the true answer's first half, declared complete.
    HalfPage,
    /// 200 with the true answer's first half; then the connection breaks.
    CutBody,
    /// 200 with JSON whose fields have the wrong types.
    WrongTypes,
    /// 200 without a body.
    Empty200,
    /// The connection is reset without an answer.
    Reset,
    /// No answer, ever.
    Hang,
    /// The true answer, so much later.
    Delay(Duration),
}

impl Fault {
    /// 200 with this JSON text.
    pub fn json(body: &str) -> Self {
        Self::StatusWith {
            code: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.to_owned(),
        }
    }

    /// 429 with this `Retry-After`.
    pub fn throttled(retry_after: &str) -> Self {
        Self::StatusWith { code: 429, headers: vec![("retry-after", retry_after.to_owned())], body: String::new() }
    }
}

/// An answer with this status, content type and body.
pub(super) fn answer(code: u16, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).expect("a valid status code");
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn status_with(code: u16, headers: Vec<(&'static str, String)>, body: String) -> Response<Body> {
    let mut response = answer(code, "text/plain", body);
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).expect("a valid header value");
        response.headers_mut().insert(name, value);
    }
    response
}

/// Half of a body, as if it were whole.
pub(super) fn half(whole: &Bytes) -> Response<Body> {
    answer(200, "application/json", whole.slice(..whole.len() / 2))
}

/// Half of a body, announced whole; the broken stream makes the server drop the connection.
pub(super) fn cut(whole: &Bytes) -> Response<Body> {
    let half = whole.slice(..whole.len() / 2);
    let end = async {
        // Once pending, so that what came before is flushed to the client.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut as the test asked"))
    };
    let parts = stream::iter([Ok(half)]).chain(stream::once(end));
    let mut response = answer(200, "application/json", Body::from_stream(parts));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    response
}
