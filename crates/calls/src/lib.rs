//! What is seen of requests to others: how each ended, how long it took, and which trace it belongs to.
//!
//! The clients of registries, of Backstage, of the bridge's own services and of clusters share it; none of them knows who
//! is told, or whether anyone is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};
use tracing::{Instrument as _, Span};

mod layer;

pub use layer::{CallsLayer, CallsService};

/// How a request to another ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was answered as it should be.
    Ok,
    /// We are not let in (401, 403).
    Refused,
    /// There is no such thing (404), which may be what was to be found out.
    NotFound,
    /// The request is not taken (any other 4xx).
    Rejected,
    /// The other is in trouble, or asks to come back later (5xx, 429).
    Failed,
    /// No answer came in time.
    Unreachable,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Refused, Self::NotFound, Self::Rejected, Self::Failed, Self::Unreachable];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }

    /// What an answer's status means.
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::TOO_MANY_REQUESTS => Self::Failed,
            _ if status.is_client_error() => Self::Rejected,
            _ if status.is_server_error() => Self::Failed,
            _ => Self::Ok,
        }
    }
}

/// How long an answer asks to be left alone (`Retry-After`), in seconds or as a date.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // A date that is past asks for no wait.
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// A request that is about to be sent, without anything that may hold a secret.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The host that it goes to, where the URL says so.
    pub host: Option<&'a str>,
    /// The path of its URL.
    pub path: &'a str,
}

/// What goes along with a request.
#[derive(Debug)]
pub struct Company {
    /// The span in which it is sent.
    pub span: Span,
    /// Headers that it has besides its own.
    pub headers: HeaderMap,
}

impl Default for Company {
    fn default() -> Self {
        Self { span: Span::none(), headers: HeaderMap::new() }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The status of its answer; `None` when none came.
    pub status: Option<StatusCode>,
    /// How long that took.
    pub elapsed: Duration,
}

impl Ended {
    /// What that means.
    pub fn outcome(&self) -> Outcome {
        self.status.map_or(Outcome::Unreachable, Outcome::of)
    }
}

/// Is told of each request.
pub trait Observer: Send + Sync {
    /// A request is about to be sent.
    fn begins(&self, request: Outgoing<'_>) -> Company;

    /// The head of its answer is there, or none will come.
    fn ended(&self, ended: Ended, span: &Span);
}

/// The requests to one target. Clones tell the same observer; by default there is none.
#[derive(Clone, Default)]
pub struct Calls(Option<Arc<dyn Observer>>);

impl Calls {
    /// Requests that `observer` is told of.
    pub fn observed_by(observer: Arc<dyn Observer>) -> Self {
        Self(Some(observer))
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, reqwest::Error> {
        let Some(observer) = &self.0 else { return request.send().await };
        let began = Instant::now();
        let (client, request) = request.build_split();
        let (span, result) = match request {
            Ok(mut request) => {
                let url = request.url();
                let outgoing = Outgoing { method: request.method(), host: url.host_str(), path: url.path() };
                let Company { span, headers } = observer.begins(outgoing);
                request.headers_mut().extend(headers);
                let sent = client.execute(request).instrument(span.clone()).await;
                (span, sent)
            }
            Err(error) => (Span::none(), Err(error)),
        };
        let status = result.as_ref().ok().map(Response::status);
        observer.ended(Ended { status, elapsed: began.elapsed() }, &span);
        result
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Calls(observed)" } else { "Calls" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a status that is none is a wrong test")]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whose_trouble_it_is() {
        for (status, outcome) in [
            (200, "ok"),
            (304, "ok"),
            (400, "rejected"),
            (401, "refused"),
            (403, "refused"),
            (404, "not_found"),
            (409, "rejected"),
            (429, "failed"),
            (503, "failed"),
        ] {
            assert_eq!(Outcome::of(StatusCode::from_u16(status).unwrap()).as_str(), outcome, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, seconds) in [("17", Some(17)), ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)), ("soon", None)] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
