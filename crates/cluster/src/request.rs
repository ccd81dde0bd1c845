//! Single requests to the API server: each is bounded in time, and its failure is sorted into the few cases that the
//! callers tell apart.

use std::{fmt::Debug, future::Future, time::Duration};

use kube::{Api, api::ListParams};
use serde::de::DeserializeOwned;

/// How long one request may take before it counts as failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// 401: the API server does not know the caller.
    #[error("{what}: 401 Unauthorized (the cluster token is missing, wrong or expired)")]
    Unauthorized {
        /// Verb and resource.
        what: String,
    },
    /// 403: the caller lacks a permission.
    #[error("{what}: 403 Forbidden (grant the service account this verb on this resource)")]
    Forbidden {
        /// Verb and resource.
        what: String,
    },
    /// 404: no such object, or no such resource in this cluster.
    #[error("{what}: 404 Not Found")]
    NotFound {
        /// Verb and resource.
        what: String,
    },
    /// Everything else: no connection, no answer in time, another status, an answer that cannot be read.
    #[error("{what}: {reason}")]
    Failed {
        /// Verb and resource.
        what: String,
        /// What went wrong.
        reason: String,
    },
}

impl RequestError {
    /// An answer that is not what was asked for.
    pub(crate) fn unreadable(what: &str, reason: &str) -> Self {
        Self::Failed { what: what.to_owned(), reason: reason.to_owned() }
    }

    /// Sorts a client error; `what` says verb and resource.
    pub(crate) fn new(what: &str, error: &kube::Error) -> Self {
        let what = what.to_owned();
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized { what },
                403 => Self::Forbidden { what },
                404 => Self::NotFound { what },
                code => Self::Failed { what, reason: format!("status {code} {}", clip(&status.message)) },
            },
            other => Self::Failed { what, reason: chain(other) },
        }
    }
}

/// Runs one request with the time limit.
pub(crate) async fn bounded<T>(what: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, RequestError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(RequestError::new(what, &error)),
        Err(_) => Err(RequestError::Failed {
            what: what.to_owned(),
            reason: format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
        }),
    }
}

/// One list. A list without a resource version is an answer of something else, which says nothing about absence.
pub(crate) async fn list<K>(what: &str, api: &Api<K>, parameters: &ListParams) -> Result<Vec<K>, RequestError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let found = bounded(what, api.list(parameters)).await?;
    if found.metadata.resource_version.is_none_or(|version| version.is_empty()) {
        return Err(RequestError::unreadable(what, "the answer is not a Kubernetes list"));
    }
    Ok(found.items)
}

/// An error with its causes, without repeating a cause that the error already quotes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    clip(&text)
}

/// Peers may answer with whole pages; a log line needs only the beginning.
fn clip(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
