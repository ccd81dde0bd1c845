//! What can go wrong when Backstage is asked something.

use reqwest::StatusCode;
use thiserror::Error;

/// A request to Backstage that did not do what was asked.
#[derive(Debug, Error)]
pub enum BackstageError {
    /// The base URL cannot carry paths, such as `mailto:x`.
    #[error("`{url}` can't be the base URL of Backstage: use http://HOST[:PORT] or https://HOST[:PORT]")]
    BaseUrl {
        /// What was given.
        url: String,
    },
    /// Nothing, or half an answer, came back.
    #[error("Backstage did not answer {request}: {source}")]
    Transport {
        /// Method and path.
        request: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// 401 or 403.
    #[error("Backstage refused {request} with {status}: check that RHDH_TOKEN is one of its static tokens (backend.auth.externalAccess) and may use the catalog{}", said(.message))]
    Unauthorized {
        /// Method and path.
        request: String,
        /// 401 or 403.
        status: StatusCode,
        /// Backstage's own words.
        message: String,
    },
    /// Any other status that says no.
    #[error("Backstage answered {request} with {status}{}", said(.message))]
    Status {
        /// Method and path.
        request: String,
        /// What it answered.
        status: StatusCode,
        /// Backstage's own words.
        message: String,
    },
    /// A success whose body is not what the catalog API sends.
    #[error("Backstage's answer to {request} is not understood ({reason}): is this the URL of its backend?")]
    Unexpected {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl BackstageError {
    /// The status that Backstage answered with, where it answered with one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Unauthorized { status, .. } | Self::Status { status, .. } => Some(*status),
            Self::BaseUrl { .. } | Self::Transport { .. } | Self::Unexpected { .. } => None,
        }
    }

    /// Whether the same request may succeed later without anyone changing a setting.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::BaseUrl { .. } | Self::Unauthorized { .. } | Self::Unexpected { .. } => false,
        }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
