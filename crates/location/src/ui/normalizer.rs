//! What the normalizer says of its sources. location itself knows only what storage holds, so it asks, for those who look,
//! and not more often than every few seconds.

use std::sync::Arc;
use std::time::Duration;

use bridge_api::{NormalizerClient, NormalizerStatus};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer counts for everybody.
const FRESH: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer, or why there is none.
pub(super) type Answer = Result<NormalizerStatus, String>;

/// The normalizer, as far as it can be asked. Clones share its answers.
#[derive(Debug, Clone)]
pub(crate) struct Normalizer {
    client: NormalizerClient,
    latest: Arc<Mutex<Option<Latest>>>,
}

/// The last answer, and when it came.
#[derive(Debug)]
struct Latest {
    at: Instant,
    answer: Arc<Answer>,
}

impl Normalizer {
    /// The normalizer that `client` reaches.
    pub(crate) fn new(client: NormalizerClient) -> Self {
        Self { client, latest: Arc::default() }
    }

    /// What it says, or said a moment ago. One asks at a time; the others wait for the same answer.
    pub(super) async fn status(&self) -> Arc<Answer> {
        let mut latest = self.latest.lock().await;
        if let Some(Latest { answer, .. }) = latest.as_ref().filter(|latest| latest.at.elapsed() < FRESH) {
            return Arc::clone(answer);
        }
        let answer = match timeout(PATIENCE, self.client.status()).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("the normalizer does not answer within {} s", PATIENCE.as_secs())),
        };
        let answer = Arc::new(answer);
        *latest = Some(Latest { at: Instant::now(), answer: Arc::clone(&answer) });
        answer
    }
}
