//! Tokens of service accounts, which only their cluster can judge: its verdicts are kept for a while, by the tokens'
//! hashes, and no flood of made-up tokens drives out those of allowed accounts or keeps the cluster busy.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::settings::ServiceAccount;
use super::shared::{TokenHash, hash};

/// How many tokens are remembered.
const REMEMBERED: usize = 1024;
/// How many reviews are under way at once.
const CONCURRENT_REVIEWS: usize = 8;
/// How long a request may wait for the review of its token.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a cluster whose token it is.
#[async_trait]
pub trait TokenReviewer: fmt::Debug + Send + Sync {
    /// The name of the user that `token` belongs to; `None` when it is nobody's, or not meant for `audience`.
    async fn review(&self, token: &SecretString, audience: Option<&str>) -> Result<Option<String>, ReviewError>;
}

/// The cluster gave no verdict. The text tells why, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ReviewError(pub String);

/// How long verdicts are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    /// Of those who may.
    pub(super) allowed: Duration,
    /// Of those who may not, and of nobody's tokens.
    pub(super) refused: Duration,
    /// That there was none.
    pub(super) failed: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self { allowed: Duration::from_mins(1), refused: Duration::from_secs(10), failed: Duration::from_secs(2) }
    }
}

/// What a token is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is that of an allowed account.
    Allowed,
    /// It is someone else's.
    Forbidden {
        /// Whose.
        user: String,
    },
    /// It is nobody's.
    Unknown,
    /// It can't be told at the moment.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Judges tokens by asking the cluster, and remembers.
#[derive(Debug)]
pub(super) struct Reviews {
    reviewer: Arc<dyn TokenReviewer>,
    allowed: BTreeSet<String>,
    audience: Option<String>,
    keep: Keep,
    remembered: Mutex<HashMap<TokenHash, Arc<Slot>>>,
    turns: Semaphore,
}

/// The verdict on one token. Whoever asks while it is being found waits for it, and does not ask again.
type Slot = tokio::sync::Mutex<Option<Kept>>;

#[derive(Debug)]
struct Kept {
    verdict: Verdict,
    until: Instant,
}

impl Reviews {
    pub(super) fn new(
        reviewer: Arc<dyn TokenReviewer>,
        allowed: &[ServiceAccount],
        audience: Option<String>,
        keep: Keep,
    ) -> Self {
        Self {
            reviewer,
            allowed: allowed.iter().map(ServiceAccount::username).collect(),
            audience,
            keep,
            remembered: Mutex::default(),
            turns: Semaphore::new(CONCURRENT_REVIEWS),
        }
    }

    /// What `token` is worth.
    pub(super) async fn judge(&self, token: &SecretString) -> Verdict {
        let Some(slot) = self.slot(hash(token)) else {
            return Verdict::Failed { reason: "too many different tokens are sent at the moment".to_owned() };
        };
        let judged = timeout(PATIENCE, async {
            let mut kept = slot.lock().await;
            if let Some(kept) = kept.as_ref().filter(|kept| kept.until > Instant::now()) {
                return kept.verdict.clone();
            }
            let verdict = self.ask(token).await;
            let until = Instant::now() + self.how_long(&verdict);
            *kept = Some(Kept { verdict: verdict.clone(), until });
            verdict
        });
        judged.await.unwrap_or_else(|_| Verdict::Failed {
            reason: format!("the cluster did not review it within {} s", PATIENCE.as_secs()),
        })
    }

    async fn ask(&self, token: &SecretString) -> Verdict {
        // The semaphore is never closed; if it were, the review would only not be counted.
        let _turn = self.turns.acquire().await;
        match self.reviewer.review(token, self.audience.as_deref()).await {
            Ok(Some(user)) if self.allowed.contains(&user) => Verdict::Allowed,
            Ok(Some(user)) => Verdict::Forbidden { user },
            Ok(None) => Verdict::Unknown,
            Err(error) => Verdict::Failed { reason: error.to_string() },
        }
    }

    fn how_long(&self, verdict: &Verdict) -> Duration {
        match verdict {
            Verdict::Allowed => self.keep.allowed,
            Verdict::Forbidden { .. } | Verdict::Unknown => self.keep.refused,
            Verdict::Failed { .. } => self.keep.failed,
        }
    }

    /// Where the verdict on a token is; `None` when there is no room for another one.
    fn slot(&self, token: TokenHash) -> Option<Arc<Slot>> {
        let mut remembered = self.remembered();
        if let Some(slot) = remembered.get(&token) {
            return Some(Arc::clone(slot));
        }
        if remembered.len() >= REMEMBERED {
            remembered.retain(|_, slot| is_worth_keeping(slot));
        }
        if remembered.len() >= REMEMBERED {
            return None;
        }
        let slot = Arc::new(Slot::default());
        remembered.insert(token, Arc::clone(&slot));
        Some(slot)
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<TokenHash, Arc<Slot>>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When room is needed only those who may stay, and those whose verdict is being found.
fn is_worth_keeping(slot: &Arc<Slot>) -> bool {
    match slot.try_lock() {
        Err(_) => true,
        Ok(kept) => {
            let allowed = |kept: &Kept| kept.verdict == Verdict::Allowed && kept.until > Instant::now();
            kept.as_ref().map_or(Arc::strong_count(slot) > 1, allowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use secrecy::ExposeSecret;

    use super::*;

    /// Knows the tokens `of-<user>`.
    #[derive(Debug, Default)]
    struct Cluster {
        down: AtomicBool,
        asked: AtomicUsize,
        under_way: AtomicUsize,
        most_under_way: AtomicUsize,
    }

    #[async_trait]
    impl TokenReviewer for Cluster {
        async fn review(&self, token: &SecretString, audience: Option<&str>) -> Result<Option<String>, ReviewError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_under_way.fetch_max(now, Ordering::SeqCst);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            if self.down.load(Ordering::SeqCst) {
                return Err(ReviewError("the cluster is down".to_owned()));
            }
            let known = audience.is_none_or(|audience| audience == "bridge");
            Ok(token.expose_secret().strip_prefix("of-").filter(|_| known).map(str::to_owned))
        }
    }

    const FOREVER: Duration = Duration::from_hours(1);
    const KEPT: Keep = Keep { allowed: FOREVER, refused: FOREVER, failed: FOREVER };
    const FORGOTTEN: Keep = Keep { allowed: Duration::ZERO, refused: Duration::ZERO, failed: Duration::ZERO };
    const WRITER: &str = "of-system:serviceaccount:bridge:normalizer";

    fn reviews(keep: Keep, audience: Option<&str>) -> (Arc<Cluster>, Arc<Reviews>) {
        let cluster = Arc::<Cluster>::default();
        let allowed = ["bridge:normalizer".parse().unwrap()];
        let reviews = Reviews::new(Arc::clone(&cluster) as _, &allowed, audience.map(str::to_owned), keep);
        (cluster, Arc::new(reviews))
    }

    async fn judge(reviews: &Reviews, token: &str) -> Verdict {
        reviews.judge(&token.into()).await
    }

    #[tokio::test]
    async fn allowed_accounts_may_others_are_named_and_the_rest_is_unknown() {
        let (_, reviews) = reviews(KEPT, None);
        assert_eq!(judge(&reviews, WRITER).await, Verdict::Allowed);
        let other = "system:serviceaccount:bridge:other";
        assert_eq!(judge(&reviews, &format!("of-{other}")).await, Verdict::Forbidden { user: other.to_owned() });
        assert_eq!(judge(&reviews, "made-up").await, Verdict::Unknown);
    }

    #[tokio::test]
    async fn the_audience_is_asked_for() {
        assert_eq!(judge(&reviews(KEPT, Some("bridge")).1, WRITER).await, Verdict::Allowed);
        assert_eq!(judge(&reviews(KEPT, Some("other")).1, WRITER).await, Verdict::Unknown);
    }

    #[tokio::test]
    async fn verdicts_are_kept_for_their_time_and_no_longer() {
        for (keep, asked) in [(KEPT, 3), (FORGOTTEN, 6)] {
            let (cluster, reviews) = reviews(keep, None);
            for _ in 0..2 {
                judge(&reviews, WRITER).await;
                judge(&reviews, "made-up").await;
                judge(&reviews, "of-someone").await;
            }
            assert_eq!(cluster.asked.load(Ordering::SeqCst), asked);
        }
    }

    #[tokio::test]
    async fn a_cluster_that_is_down_refuses_nobody_and_is_asked_again() {
        let (cluster, reviews) = reviews(Keep { failed: Duration::ZERO, ..KEPT }, None);
        cluster.down.store(true, Ordering::SeqCst);
        let verdict = judge(&reviews, WRITER).await;
        assert_eq!(verdict, Verdict::Failed { reason: "the cluster is down".to_owned() });
        cluster.down.store(false, Ordering::SeqCst);
        assert_eq!(judge(&reviews, WRITER).await, Verdict::Allowed);
    }

    #[tokio::test]
    async fn who_asks_about_the_same_token_at_the_same_time_shares_one_review() {
        let (cluster, reviews) = reviews(KEPT, None);
        let token = SecretString::from(WRITER);
        let verdicts = futures::future::join_all((0..100).map(|_| reviews.judge(&token))).await;
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Allowed));
        assert_eq!(cluster.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_flood_of_made_up_tokens_is_bounded_and_drives_nobody_out() {
        let (cluster, reviews) = reviews(KEPT, None);
        judge(&reviews, WRITER).await;
        let tokens: Vec<SecretString> = (0..3 * REMEMBERED).map(|n| format!("made-up-{n}").into()).collect();
        futures::future::join_all(tokens.iter().map(|token| reviews.judge(token))).await;
        assert!(cluster.most_under_way.load(Ordering::SeqCst) <= CONCURRENT_REVIEWS);
        assert!(reviews.remembered().len() <= REMEMBERED);
        let asked = cluster.asked.load(Ordering::SeqCst);
        assert_eq!(judge(&reviews, WRITER).await, Verdict::Allowed);
        assert_eq!(cluster.asked.load(Ordering::SeqCst), asked);
        assert_eq!(judge(&reviews, "of-someone").await, Verdict::Forbidden { user: "someone".to_owned() });
    }
}
