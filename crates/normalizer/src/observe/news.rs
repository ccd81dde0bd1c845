//! Hears of changes from a registry that tells of them, so that they are read at once and not at the next poll.
//!
//! What the news are does not matter: they only say that it is time to look. A registry that tells of none, or tells of them
//! badly, is polled as ever.

use std::time::Duration;

use registry_client::{RegistryClient, RegistryError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How long the registry may hold an answer back.
const WAIT: Duration = Duration::from_secs(20);
/// A registry that has no such route may be replaced by one that does.
const ASK_AGAIN: Duration = Duration::from_mins(10);
const SETTLE: Duration = Duration::from_millis(100);
const UNHURRIED: Duration = Duration::from_secs(1);
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Says with `news` when to look, as long as the registry is `well`: one that fails, or asks to be left alone, is asked by the
/// polls only. Never ends.
pub(super) async fn follow(client: &RegistryClient, mut well: watch::Receiver<bool>, news: &Notify) {
    loop {
        if well.wait_for(|well| *well).await.is_err() {
            return std::future::pending().await;
        }
        let pause = match client.changes(None, Duration::ZERO).await {
            Ok(Some(begin)) => {
                // What changed before this moment may have been missed.
                news.notify_one();
                listen(client, begin.next, &mut well, news).await
            }
            Ok(None) => ASK_AGAIN,
            Err(error) => pause_after(&error),
        };
        sleep(pause).await;
    }
}

/// The polls say what is wrong with the registry.
fn pause_after(error: &RegistryError) -> Duration {
    error.retry_after().unwrap_or_default().clamp(AFTER_FAILURE, ASK_AGAIN)
}

/// Listens until the registry no longer tells, or is no longer well; answers how long to leave it alone.
async fn listen(client: &RegistryClient, begin: String, well: &mut watch::Receiver<bool>, news: &Notify) -> Duration {
    let mut since = begin;
    loop {
        let asked = Instant::now();
        let answer = tokio::select! {
            answer = client.changes(Some(&since), WAIT) => answer,
            _ = well.wait_for(|well| !*well) => return AFTER_FAILURE,
        };
        let changes = match answer {
            Ok(Some(changes)) => changes,
            Ok(None) => return ASK_AGAIN,
            Err(error) => return pause_after(&error),
        };
        if changes.count > 0 {
            news.notify_one();
        }
        since = changes.next;
        // Changes that come together are read together, and a registry that does not wait is not asked without end.
        let at_least = if changes.count > 0 { SETTLE } else { UNHURRIED };
        sleep_until(asked + at_least).await;
    }
}
