//! What is seen of requests to others: how each ended, and how long it took.
//!
//! The clients of registries, of Backstage, of the bridge's own services and of clusters share it; none of them knows who
//! is told, or whether anyone is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use reqwest::{RequestBuilder, Response};

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

/// Is told of each request when its answer's head is there, or when none came.
pub trait Observer: Send + Sync {
    /// A request ended like this after so long.
    fn ended(&self, outcome: Outcome, elapsed: Duration);
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
        let began = Instant::now();
        let result = request.send().await;
        self.ended(result.as_ref().ok().map(Response::status), began);
        result
    }

    /// A request was answered with that status, or not at all.
    fn ended(&self, status: Option<StatusCode>, began: Instant) {
        if let Some(observer) = &self.0 {
            observer.ended(status.map_or(Outcome::Unreachable, Outcome::of), began.elapsed());
        }
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
}
