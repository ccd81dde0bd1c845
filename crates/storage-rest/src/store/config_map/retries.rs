//! How long a request to the Kubernetes API is worth trying.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::super::StoreError;
use super::requests::Failure;

/// How often a request to the Kubernetes API is tried, and how long the waits are.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Attempts in all, for an API that is not well.
    pub attempts: usize,
    /// Attempts in all, while others keep writing: the API is well, so it is worth more patience than a failure.
    pub conflict_attempts: usize,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// The longest wait that the API may ask for (`Retry-After`).
    pub longest_asked: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 4,
            conflict_attempts: 20,
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(1),
            longest_asked: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
        }
    }
}

impl Retries {
    /// The patience with an API that is not well.
    pub(super) fn with_failures(&self) -> Patience {
        self.patience(self.attempts)
    }

    /// The patience with others who write.
    pub(super) fn with_conflicts(&self) -> Patience {
        self.patience(self.conflict_attempts)
    }

    fn patience(&self, attempts: usize) -> Patience {
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(attempts.saturating_sub(1))
            .with_jitter()
            .build();
        Patience { waits, longest_asked: self.longest_asked }
    }
}

/// The waits that are left.
pub(super) struct Patience {
    waits: ExponentialBackoff,
    longest_asked: Duration,
}

impl Patience {
    /// Waits before the next attempt, as long as the API asks for if it does; or gives the error back when there is to
    /// be none.
    pub(super) async fn wait_after(&mut self, failure: &Failure, error: StoreError) -> Result<(), StoreError> {
        match self.waits.next() {
            Some(wait) if error.is_retryable() => {
                let asked = failure.retry_after.unwrap_or_default().min(self.longest_asked);
                let wait = wait.max(asked);
                tracing::debug!(%error, retry_in = ?wait, "trying again");
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}
