//! Why a call to storage or location failed.

use calls::Outcome;
use http::StatusCode;
use thiserror::Error;

/// A call failed: to which peer, for which URL, and what to do about it. URLs carry neither credentials nor long
/// queries.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The configured base URL cannot be extended by a path.
    #[error("`{url}` cannot be the URL of {peer}: it must look like http://host:port")]
    BaseUrl {
        /// Whom we wanted to talk to.
        peer: &'static str,
        /// The URL as configured, without credentials.
        url: String,
    },
    /// No answer came.
    #[error("{peer} did not answer {method} {url}: {message}")]
    Transport {
        /// Whom we wanted to talk to.
        peer: &'static str,
        /// The method of the request.
        method: http::Method,
        /// The URL of the request, without credentials.
        url: String,
        /// What the network said, cause by cause.
        message: String,
    },
    /// The answer was one of failure.
    #[error("{peer} answered {method} {url} with {status}{}", detail(.message))]
    Status {
        /// Whom we talked to.
        peer: &'static str,
        /// The method of the request.
        method: http::Method,
        /// The URL of the request, without credentials.
        url: String,
        /// The status of the answer.
        status: StatusCode,
        /// What the peer said about it.
        message: String,
    },
    /// The answer was one of success, but not of the expected shape.
    #[error("{peer} answered {method} {url} with something unexpected: {message}")]
    Unexpected {
        /// Whom we talked to.
        peer: &'static str,
        /// The method of the request.
        method: http::Method,
        /// The URL of the request, without credentials.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// A Go storage takes key sets in URLs only, and this one does not fit in one.
    #[error(
        "the key set of {keys} entries needs a URL of {bytes} bytes, and the storage at {url} is none of ours, which \
         would also take it as a JSON body: use the storage-rest of this project, or fewer models"
    )]
    KeySetTooLong {
        /// How many keys there are.
        keys: usize,
        /// How long the URL would be.
        bytes: usize,
        /// The storage.
        url: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed later, without anyone changing what it sends.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Unexpected { .. } => true,
            Self::BaseUrl { .. } | Self::KeySetTooLong { .. } => false,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || self.is_refusal()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
        }
    }

    /// Whether the peer refuses the caller rather than the call: no other call will be taken either until tokens agree,
    /// which they may at any time, because they rotate.
    pub fn is_refusal(&self) -> bool {
        matches!(self.status(), Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }

    /// What kind of end it is.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Transport { .. } => Outcome::Unreachable,
            Self::Status { status, .. } => Outcome::of(*status),
            Self::Unexpected { .. } => Outcome::Failed,
            Self::BaseUrl { .. } | Self::KeySetTooLong { .. } => Outcome::Rejected,
        }
    }

    /// The status of the peer's answer, when it was one of failure.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
