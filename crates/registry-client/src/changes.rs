//! What a registry says of its changes. Only our own does (`crates/model-registry`); the existing ones have no such route.

use std::time::Duration;

use serde::Deserialize;

use crate::RegistryClient;
use crate::error::{Failure, RegistryError};

/// Where to go on, and whether anything happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// How many there were; more may follow at once.
    pub count: usize,
    /// What to ask for next.
    pub next: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    items: Vec<serde::de::IgnoredAny>,
    next: String,
}

impl RegistryClient {
    /// The changes since `since`, for which the registry waits that long if there are none; without `since`, only where to
    /// begin. `None` when it has no such route.
    pub async fn changes(&self, since: Option<&str>, wait: Duration) -> Result<Option<Changes>, RegistryError> {
        let mut url = self.endpoint.url(&["changes"]);
        if let Some(since) = since {
            url.query_pairs_mut().append_pair("since", since).append_pair("wait", &wait.as_secs().to_string());
        }
        let body = match self.endpoint.get(&url).await {
            Ok(body) => body,
            Err(RegistryError { failure: Failure::Status { code: 404 | 405, .. }, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let answer: Answer = self.endpoint.parse(&url, &body)?;
        Ok(Some(Changes { count: answer.items.len(), next: answer.next }))
    }
}
