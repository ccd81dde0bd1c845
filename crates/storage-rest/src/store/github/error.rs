//! What can go wrong between us and GitHub.

use std::time::Duration;

use super::super::StoreError;

/// A request to GitHub that did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum GithubError {
    /// Nothing, or half an answer, came back.
    #[error("GitHub did not answer {request}: {reason}")]
    Transport {
        /// Method and path.
        request: String,
        /// Why not.
        reason: String,
    },
    /// It is not well, or says what nobody expected.
    #[error("GitHub answered {request} with {status}{}", said(.message))]
    Status {
        /// Method and path.
        request: String,
        /// What it answered.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// A success whose body is not what the API sends.
    #[error("GitHub's answer to {request} is not understood ({reason}): is STORAGE_GITHUB_API_URL the API's URL?")]
    Unexpected {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There were too many requests, of ours or of others who use the same token.
    #[error("GitHub takes no requests until {until} ({} s): {message}", wait.as_secs())]
    Limited {
        /// When it will take some again.
        until: String,
        /// How long that is.
        wait: Duration,
        /// Its own words.
        message: String,
    },
    /// The token or App may not do it.
    #[error("the bridge may not {verb} {resource}: {reason}")]
    Denied {
        /// What was tried.
        verb: &'static str,
        /// On what.
        resource: String,
        /// What it said, and what to do.
        reason: String,
    },
    /// The branch is no longer where it was.
    #[error("the branch has moved: {0}")]
    Moved(String),
    /// The branch was there, and no longer is.
    #[error(
        "the branch {branch} of {repository} is gone: bring it back or name another one (STORAGE_GITHUB_BRANCH) and \
         restart; a restart alone begins an empty catalog"
    )]
    Gone {
        /// Its name.
        branch: String,
        /// Of which repository.
        repository: String,
    },
    /// There is no commit in the repository, so nothing can be built on.
    #[error("the repository is empty")]
    Empty,
    /// One of the requests is too large.
    #[error("GitHub does not take what is this large: {0}")]
    TooLarge(String),
}

impl GithubError {
    /// As the store tells it.
    pub(super) fn into_store_error(self, store: String) -> StoreError {
        match self {
            Self::Denied { verb, resource, reason } => StoreError::Permission { store, verb, resource, reason },
            other => StoreError::Unavailable { store, reason: other.to_string() },
        }
    }

    /// A rejection that others of a group need not share.
    pub(super) fn may_be_one_s_fault(&self) -> bool {
        matches!(self, Self::TooLarge(_) | Self::Status { status: 422, .. })
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
