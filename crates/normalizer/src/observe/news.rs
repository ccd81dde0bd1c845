//! Hears of changes from a registry that tells of them, so that they are read at once and not at the next poll.
//!
//! What the news are does not matter: they only say that it is time to look. A registry that tells of none, or tells of them
//! badly, is polled as ever.

use std::time::Duration;

use registry_client::RegistryClient;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// How long the registry may hold an answer back.
const WAIT: Duration = Duration::from_secs(20);
/// A registry that has no such route may be replaced by one that does.
const ASK_AGAIN: Duration = Duration::from_mins(10);
const SETTLE: Duration = Duration::from_millis(100);
const UNHURRIED: Duration = Duration::from_secs(1);
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Says with `news` when to look. Never ends.
pub(super) async fn follow(client: &RegistryClient, news: &Notify) {
    loop {
        let pause = match client.changes(None, Duration::ZERO).await {
            Ok(Some(begin)) => {
                // What changed before this moment may have been missed.
                news.notify_one();
                listen(client, begin.next, news).await;
                AFTER_FAILURE
            }
            Ok(None) => ASK_AGAIN,
            // The polls say what is wrong with it.
            Err(_) => AFTER_FAILURE,
        };
        sleep(pause).await;
    }
}

/// Returns when the registry no longer tells.
async fn listen(client: &RegistryClient, begin: String, news: &Notify) {
    let mut since = begin;
    loop {
        let asked = Instant::now();
        let Ok(Some(changes)) = client.changes(Some(&since), WAIT).await else { return };
        if changes.count > 0 {
            news.notify_one();
        }
        since = changes.next;
        // Changes that come together are read together, and a registry that does not wait is not asked without end.
        let at_least = if changes.count > 0 { SETTLE } else { UNHURRIED };
        sleep_until(asked + at_least).await;
    }
}
