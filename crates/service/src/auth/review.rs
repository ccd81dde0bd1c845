//! Tokens of service accounts, which only their cluster can judge: its verdicts are kept for a while, by the tokens'
//! hashes, and no flood of made-up tokens drives out those of allowed accounts or keeps the cluster busy.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::settings::ServiceAccount;
use super::shared::TokenHash;

/// How many tokens are remembered.
const REMEMBERED: usize = 1024;
/// How many reviews are under way at once.
const CONCURRENT_REVIEWS: usize = 8;
/// How long a request may wait for the review of its token.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a cluster whose token it is.
#[async_trait]
pub trait TokenReviewer: fmt::Debug + Send + Sync {
    /// The user that `token` belongs to; `None` when it is nobody's, or not meant for `audience`.
    async fn review(&self, token: &SecretString, audience: Option<&str>) -> Result<Option<User>, ReviewError>;
}

/// Asks a cluster what a user may do.
#[async_trait]
pub trait AccessReviewer: TokenReviewer {
    /// Whether `user` may do that.
    async fn may(&self, user: &User, action: &ServiceAction) -> Result<bool, ReviewError>;
}

/// A user of a cluster, as it tells of them and wants to be told of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Its name, as in `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// What identifies it over time.
    pub uid: Option<String>,
    /// The groups it is in.
    pub groups: Vec<String>,
    /// What else the cluster's authenticators say.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Something that is done to a Service of a cluster: its name and namespace, and the verb of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAction {
    /// `get`, `update`, ...
    pub verb: String,
    /// The Service's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The cluster gave no verdict. The text tells why, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ReviewError(pub String);

/// How long verdicts are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Of those who may.
    pub allowed: Duration,
    /// Of those who may not, and of nobody's tokens.
    pub refused: Duration,
    /// That there was none.
    pub failed: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self { allowed: Duration::from_mins(1), refused: Duration::from_secs(10), failed: Duration::from_secs(2) }
    }
}

/// What a token is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<G> {
    /// It is that of somebody who may, with what comes with it.
    Allowed(G),
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

/// Finds out what a token is worth.
#[async_trait]
pub trait Judge: fmt::Debug + Send + Sync {
    /// What is known of somebody who may.
    type Grant: fmt::Debug + Clone + Send + Sync;

    /// What `token` is worth.
    async fn judge(&self, token: &SecretString) -> Verdict<Self::Grant>;
}

/// Judges by a list of service accounts.
#[derive(Debug)]
pub(super) struct Listed {
    reviewer: Arc<dyn TokenReviewer>,
    allowed: BTreeSet<String>,
    audience: Option<String>,
}

impl Listed {
    pub(super) fn new(reviewer: Arc<dyn TokenReviewer>, allowed: &[ServiceAccount], audience: Option<String>) -> Self {
        Self { reviewer, allowed: allowed.iter().map(ServiceAccount::username).collect(), audience }
    }
}

#[async_trait]
impl Judge for Listed {
    type Grant = ();

    async fn judge(&self, token: &SecretString) -> Verdict<()> {
        match self.reviewer.review(token, self.audience.as_deref()).await {
            Ok(Some(user)) if self.allowed.contains(&user.name) => Verdict::Allowed(()),
            Ok(Some(user)) => Verdict::Forbidden { user: user.name },
            Ok(None) => Verdict::Unknown,
            Err(error) => Verdict::Failed { reason: error.to_string() },
        }
    }
}

/// Judges tokens by asking a judge, and remembers.
#[derive(Debug)]
pub struct Reviews<J: Judge> {
    judge: J,
    keep: Keep,
    remembered: Mutex<HashMap<TokenHash, Arc<Slot<J::Grant>>>>,
    turns: Semaphore,
}

/// The verdict on one token. Whoever asks while it is being found waits for it, and does not ask again.
type Slot<G> = tokio::sync::Mutex<Option<Kept<G>>>;

#[derive(Debug)]
struct Kept<G> {
    verdict: Verdict<G>,
    until: Instant,
}

impl<J: Judge> Reviews<J> {
    /// What `judge` finds, kept for so long.
    pub fn new(judge: J, keep: Keep) -> Self {
        Self { judge, keep, remembered: Mutex::default(), turns: Semaphore::new(CONCURRENT_REVIEWS) }
    }

    /// What `token` is worth.
    pub async fn judge(&self, token: &SecretString) -> Verdict<J::Grant> {
        let Some(slot) = self.slot(TokenHash::of(token)) else {
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

    async fn ask(&self, token: &SecretString) -> Verdict<J::Grant> {
        // The semaphore is never closed; if it were, the review would only not be counted.
        let _turn = self.turns.acquire().await;
        self.judge.judge(token).await
    }

    fn how_long(&self, verdict: &Verdict<J::Grant>) -> Duration {
        match verdict {
            Verdict::Allowed(_) => self.keep.allowed,
            Verdict::Forbidden { .. } | Verdict::Unknown => self.keep.refused,
            Verdict::Failed { .. } => self.keep.failed,
        }
    }

    /// Where the verdict on a token is; `None` when there is no room for another one.
    fn slot(&self, token: TokenHash) -> Option<Arc<Slot<J::Grant>>> {
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

    fn remembered(&self) -> MutexGuard<'_, HashMap<TokenHash, Arc<Slot<J::Grant>>>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When room is needed only those who may stay, and those whose verdict is being found.
fn is_worth_keeping<G>(slot: &Arc<Slot<G>>) -> bool {
    match slot.try_lock() {
        Err(_) => true,
        Ok(kept) => {
            let allowed = |kept: &Kept<G>| matches!(kept.verdict, Verdict::Allowed(_)) && kept.until > Instant::now();
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
        async fn review(&self, token: &SecretString, audience: Option<&str>) -> Result<Option<User>, ReviewError> {
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
            Ok(token
                .expose_secret()
                .strip_prefix("of-")
                .filter(|_| known)
                .map(|name| User { name: name.to_owned(), ..User::default() }))
        }
    }

    const FOREVER: Duration = Duration::from_hours(1);
    const KEPT: Keep = Keep { allowed: FOREVER, refused: FOREVER, failed: FOREVER };
    const FORGOTTEN: Keep = Keep { allowed: Duration::ZERO, refused: Duration::ZERO, failed: Duration::ZERO };
    const WRITER: &str = "of-system:serviceaccount:bridge:normalizer";

    fn reviews(keep: Keep, audience: Option<&str>) -> (Arc<Cluster>, Arc<Reviews<Listed>>) {
        let cluster = Arc::<Cluster>::default();
        let allowed = ["bridge:normalizer".parse().unwrap()];
        let judge = Listed::new(Arc::clone(&cluster) as _, &allowed, audience.map(str::to_owned));
        let reviews = Reviews::new(judge, keep);
        (cluster, Arc::new(reviews))
    }

    async fn judge(reviews: &Reviews<Listed>, token: &str) -> Verdict<()> {
        reviews.judge(&token.into()).await
    }

    #[tokio::test]
    async fn allowed_accounts_may_others_are_named_and_the_rest_is_unknown() {
        let (_, reviews) = reviews(KEPT, None);
        assert_eq!(judge(&reviews, WRITER).await, Verdict::Allowed(()));
        let other = "system:serviceaccount:bridge:other";
        assert_eq!(judge(&reviews, &format!("of-{other}")).await, Verdict::Forbidden { user: other.to_owned() });
        assert_eq!(judge(&reviews, "made-up").await, Verdict::Unknown);
    }

    #[tokio::test]
    async fn the_audience_is_asked_for() {
        assert_eq!(judge(&reviews(KEPT, Some("bridge")).1, WRITER).await, Verdict::Allowed(()));
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
        assert_eq!(judge(&reviews, WRITER).await, Verdict::Allowed(()));
    }

    #[tokio::test]
    async fn who_asks_about_the_same_token_at_the_same_time_shares_one_review() {
        let (cluster, reviews) = reviews(KEPT, None);
        let token = SecretString::from(WRITER);
        let verdicts = futures::future::join_all((0..100).map(|_| reviews.judge(&token))).await;
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Allowed(())));
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
        assert_eq!(judge(&reviews, WRITER).await, Verdict::Allowed(()));
        assert_eq!(cluster.asked.load(Ordering::SeqCst), asked);
        assert_eq!(judge(&reviews, "of-someone").await, Verdict::Forbidden { user: "someone".to_owned() });
    }
}
