//! How often GitHub is asked again, and how long the waits are.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::error::GithubError;

/// How patient the store is with GitHub, and with others who write to the same branch.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Attempts in all, for an API that is not well.
    pub attempts: usize,
    /// Attempts in all, while others keep moving the branch.
    pub conflict_attempts: usize,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// How long a write may take with all of its attempts. Two of them, one that is waited for and one's own, and the
    /// commit interval must be less than the 30 s for which clients wait.
    pub write_within: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 4,
            conflict_attempts: 20,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(2),
            write_within: Duration::from_secs(11),
        }
    }
}

/// The attempts that are left.
pub(super) struct Patience {
    failures: ExponentialBackoff,
    conflicts: ExponentialBackoff,
    deadline: Instant,
}

/// There will be no further attempt.
pub(super) enum GivenUp {
    /// For what went wrong.
    Failed(GithubError),
    /// For others who keep writing.
    Conflict,
}

impl Patience {
    pub(super) fn new(retries: &Retries) -> Self {
        let waits = |attempts: usize| {
            ExponentialBuilder::default()
                .with_min_delay(retries.first_wait)
                .with_max_delay(retries.longest_wait)
                .with_max_times(attempts.saturating_sub(1))
                .with_jitter()
                .build()
        };
        Self {
            failures: waits(retries.attempts),
            conflicts: waits(retries.conflict_attempts),
            deadline: Instant::now() + retries.write_within,
        }
    }

    /// When the last attempt must be over.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits before the next attempt, or says why there is to be none.
    pub(super) async fn wait_after(&mut self, error: GithubError) -> Result<(), GivenUp> {
        let is_conflict = matches!(error, GithubError::Moved(_) | GithubError::Empty);
        let wait = match &error {
            GithubError::Moved(_) | GithubError::Empty => self.conflicts.next(),
            GithubError::Limited { wait, .. } => Some(*wait),
            // What has just been written is not found everywhere at once, so what seems gone may not be.
            GithubError::Transport { .. } | GithubError::Unexpected { .. } | GithubError::Gone { .. } => {
                self.failures.next()
            }
            GithubError::Status { status, .. } if *status >= 500 || *status == 404 => self.failures.next(),
            GithubError::Status { .. } | GithubError::Denied { .. } | GithubError::TooLarge(_) => None,
        };
        match wait {
            Some(wait) if Instant::now() + wait < self.deadline => {
                tracing::debug!(%error, retry_in = ?wait, "trying again");
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ if is_conflict => Err(GivenUp::Conflict),
            _ => Err(GivenUp::Failed(error)),
        }
    }
}
