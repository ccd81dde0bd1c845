//! Asks the APIs that are shown for what they say of themselves, when the settings want it (`FETCH_OPENAPI`,
//! `PROBE_MODELS`).
//!
//! The projection says what is to be asked, the answers come back with the inventory: so it stays pure, and nothing is
//! asked that is not shown. An answer counts for an hour, a failure is tried again after longer and longer pauses, and
//! what was answered before stays meanwhile.

mod fetch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use rand::Rng as _;
use service::Shutdown;
use service::guard::Guard;
use service::http_client::{HttpClientError, TlsSettings};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Board;
use crate::inventory::ServedApi;
use crate::project::{Question, Questions};
use fetch::{FetchError, Fetcher};

/// How many APIs are asked at once.
const CONCURRENCY: usize = 16;
/// Answers that come together are shown together.
const SETTLE: Duration = Duration::from_millis(50);

/// How often is asked, and how long is waited.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For an answer.
    pub timeout: Duration,
    /// Until what was answered is asked again.
    pub fresh: Duration,
    /// After the first failure; it doubles, up to `fresh`.
    pub retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), fresh: Duration::from_hours(1), retry: Duration::from_secs(30) }
    }
}

impl Board {
    /// Says what served APIs are to be asked.
    pub fn ask(&self, questions: Questions) {
        self.shared.questions.send_if_modified(|known| {
            let news = **known != questions;
            if news {
                *known = Arc::new(questions);
            }
            news
        });
    }

    /// What served APIs are to be asked.
    fn questions(&self) -> watch::Receiver<Arc<Questions>> {
        self.shared.questions.subscribe()
    }

    /// Puts all answers there are on the board.
    fn answered(&self, answers: BTreeMap<String, ServedApi>) {
        {
            let mut state = self.state();
            if *state.served_apis == answers {
                return;
            }
            state.served_apis = Arc::new(answers);
        }
        self.changed();
    }
}

/// An API and what it is asked.
type Key = (String, Question);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    OpenApi(Arc<str>),
    Models(Vec<String>),
}

/// What is known of one question.
#[derive(Debug)]
struct Known {
    answer: Option<Answer>,
    failures: u32,
    due: Instant,
}

/// Asks served APIs.
#[derive(Debug)]
pub struct Asker {
    fetcher: Fetcher,
    board: Board,
    pace: Pace,
    known: BTreeMap<Key, Known>,
}

impl Asker {
    /// One that trusts whom `tls` says, goes where `guard` lets it, and puts answers on `board`.
    pub fn new(tls: &TlsSettings, guard: Guard, board: Board) -> Result<Self, HttpClientError> {
        Self::with_pace(tls, guard, board, Pace::default())
    }

    /// The same at another pace.
    pub fn with_pace(tls: &TlsSettings, guard: Guard, board: Board, pace: Pace) -> Result<Self, HttpClientError> {
        Ok(Self { fetcher: Fetcher::new(tls, guard, pace.timeout)?, board, pace, known: BTreeMap::new() })
    }

    /// Asks until `shutdown`.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut questions = self.board.questions();
        let mut wanted: BTreeSet<Key> = keys(&questions.borrow_and_update());
        let mut asking: FuturesUnordered<BoxFuture<'static, (Key, Result<Answer, FetchError>)>> =
            FuturesUnordered::new();
        let mut under_way: BTreeSet<Key> = BTreeSet::new();
        let mut show_at: Option<Instant> = None;
        loop {
            for key in self.due(&wanted, &under_way) {
                asking.push(self.ask(key.clone()));
                under_way.insert(key);
            }
            let next = self.next_due(&wanted, &under_way);
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = questions.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    wanted = keys(&questions.borrow_and_update());
                    self.forget(&wanted);
                    show_at.get_or_insert(Instant::now() + SETTLE);
                }
                Some((key, answer)) = asking.next() => {
                    under_way.remove(&key);
                    self.learn(key, answer);
                    show_at.get_or_insert(Instant::now() + SETTLE);
                }
                () = until(next) => {}
                () = until(show_at) => {
                    self.board.answered(self.answers(&wanted));
                    show_at = None;
                }
            }
        }
    }

    fn ask(&self, (url, question): Key) -> BoxFuture<'static, (Key, Result<Answer, FetchError>)> {
        let fetcher = self.fetcher.clone();
        async move {
            let answer = match question {
                Question::OpenApi => fetcher.openapi(&url).await.map(Answer::OpenApi),
                Question::Models => fetcher.models(&url).await.map(Answer::Models),
            };
            ((url, question), answer)
        }
        .boxed()
    }

    /// What is to be asked now, as much as may be under way.
    fn due(&self, wanted: &BTreeSet<Key>, under_way: &BTreeSet<Key>) -> Vec<Key> {
        let now = Instant::now();
        let due = |key: &&Key| !under_way.contains(*key) && self.known.get(*key).is_none_or(|known| known.due <= now);
        wanted.iter().filter(due).take(CONCURRENCY.saturating_sub(under_way.len())).cloned().collect()
    }

    /// When there is something to ask again. While all that may be is under way, an answer comes first.
    fn next_due(&self, wanted: &BTreeSet<Key>, under_way: &BTreeSet<Key>) -> Option<Instant> {
        let waiting = wanted.iter().filter(|key| !under_way.contains(*key));
        let dues = waiting.filter_map(|key| Some(self.known.get(key)?.due));
        dues.min().filter(|_| under_way.len() < CONCURRENCY)
    }

    fn learn(&mut self, key: Key, answer: Result<Answer, FetchError>) {
        let known = self.known.remove(&key);
        let failures = known.as_ref().map_or(0, |known| known.failures);
        let next = match answer {
            Ok(answer) => Known { answer: Some(answer), failures: 0, due: soon(self.pace.fresh) },
            Err(error) => {
                let (url, question) = (&key.0, key.1);
                if failures == 0 {
                    tracing::info!(%url, ?question, "a served API gave no answer: {error}");
                }
                let pause = self.pace.retry.saturating_mul(2_u32.saturating_pow(failures.min(16)));
                Known {
                    answer: known.and_then(|known| known.answer),
                    failures: failures.saturating_add(1),
                    due: soon(pause.min(self.pace.fresh)),
                }
            }
        };
        self.known.insert(key, next);
    }

    /// What is not asked any more stays until it would be asked again: services come back.
    fn forget(&mut self, wanted: &BTreeSet<Key>) {
        let now = Instant::now();
        self.known.retain(|key, known| wanted.contains(key) || known.due > now);
    }

    /// What the wanted APIs said, as far as all was asked that is to be.
    fn answers(&self, wanted: &BTreeSet<Key>) -> BTreeMap<String, ServedApi> {
        let mut answers: BTreeMap<String, ServedApi> = BTreeMap::new();
        let unasked: BTreeSet<&str> =
            wanted.iter().filter(|key| !self.known.contains_key(*key)).map(|(url, _)| url.as_str()).collect();
        for key in wanted.iter().filter(|(url, _)| !unasked.contains(url.as_str())) {
            let api = answers.entry(key.0.clone()).or_default();
            match self.known.get(key).and_then(|known| known.answer.clone()) {
                Some(Answer::OpenApi(document)) => api.openapi = Some(document),
                Some(Answer::Models(models)) => api.models = Some(models),
                None => {}
            }
        }
        answers
    }
}

fn keys(questions: &Questions) -> BTreeSet<Key> {
    let of = |(url, asked): (&String, &BTreeSet<Question>)| -> Vec<Key> {
        asked.iter().map(|question| (url.clone(), *question)).collect()
    };
    questions.iter().flat_map(of).collect()
}

/// After about so long: not all at once what was asked at once.
fn soon(pause: Duration) -> Instant {
    Instant::now() + pause.mul_f64(rand::rng().random_range(0.9..=1.1))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
