//! A reader in the background, as Backstage is one: it reads the list and all documents, again and again, and notes what
//! would make Backstage drop entities or stop.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt as _, stream};
use model_catalog::render::Format;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{Bridge, Service, Shown, http};

#[derive(Debug, Default)]
struct Seen {
    /// What each complete list must hold.
    expected: BTreeSet<String>,
    violations: Vec<String>,
    lists: usize,
}

/// Reads until it is dropped or finished.
#[derive(Debug)]
pub struct Reader {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reader {
    /// Starts to read from a bridge's location.
    pub fn start(bridge: &Bridge) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let look =
            Look { base: bridge.url(Service::Location), format: bridge.format, http: http(), seen: Arc::clone(&seen) };
        let task = tokio::spawn(async move {
            loop {
                look.round().await;
                tokio::task::yield_now().await;
            }
        });
        Self { seen, task }
    }

    /// From now on each list that location answers must hold these.
    pub fn expect(&self, uris: impl IntoIterator<Item = String>) {
        lock(&self.seen).expected = uris.into_iter().collect();
    }

    /// How many lists it was answered.
    pub fn lists(&self) -> usize {
        lock(&self.seen).lists
    }

    /// Waits until it has read the list so many times more.
    pub async fn reads(&self, count: usize) {
        let before = self.lists();
        testkit::eventually(crate::SOON, "the reader goes on", async || self.lists() >= before + count).await;
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it saw what it must never see.
    pub fn finish(self) {
        let seen = lock(&self.seen);
        assert!(seen.lists > 0, "the reader was never answered a list");
        let (count, first) = (seen.violations.len(), seen.violations.iter().take(5).cloned().collect::<Vec<_>>());
        assert!(count == 0, "readers saw {count} times what they must never see:\n{}", first.join("\n"));
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Look {
    base: String,
    format: Format,
    http: reqwest::Client,
    seen: Arc<Mutex<Seen>>,
}

impl Look {
    async fn round(&self) {
        // What is expected may grow while the answer is on its way, so it is what was expected before.
        let expected = lock(&self.seen).expected.clone();
        let Some(listed) = self.list().await else {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            return;
        };
        {
            let mut seen = lock(&self.seen);
            seen.lists += 1;
            // What ceased to be expected meanwhile may be gone.
            let missing: Vec<String> =
                expected.intersection(&seen.expected).filter(|uri| !listed.contains(*uri)).cloned().collect();
            if !missing.is_empty() {
                seen.violations.push(format!("a list of {} lacks {}", listed.len(), missing.join(", ")));
            }
        }
        stream::iter(listed).for_each_concurrent(8, |uri| async move { self.document(&uri).await }).await;
    }

    /// The list, where there is one: not while location is down or loads.
    async fn list(&self) -> Option<BTreeSet<String>> {
        let answer = self.http.get(format!("{}/list", self.base)).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        match status {
            200 => {}
            503 => return None,
            other => {
                self.violation(format!("/list answers {other}: {text}"));
                return None;
            }
        }
        let list: Option<Value> = serde_json::from_str(&text).ok();
        let uris = list.as_ref().and_then(|list| list["uris"].as_array());
        let uris = uris.and_then(|uris| uris.iter().map(|uri| uri.as_str().map(str::to_owned)).collect());
        if uris.is_none() {
            self.violation(format!("/list answers {text}"));
        }
        uris
    }

    async fn document(&self, uri: &str) {
        let Ok(answer) = self.http.get(format!("{}{uri}", self.base)).send().await else { return };
        let status = answer.status().as_u16();
        let Ok(text) = answer.text().await else { return };
        match status {
            200 => {
                if let Err(error) = Shown::read(self.format, &text) {
                    self.violation(format!("{uri}: {error}"));
                }
            }
            // Location was started anew and loads.
            503 => {}
            404 if !self.is_still_listed(uri).await => {}
            other => self.violation(format!("{uri}, which is listed, answers {other}")),
        }
    }

    /// An entry may be removed between the list and the document.
    async fn is_still_listed(&self, uri: &str) -> bool {
        lock(&self.seen).expected.contains(uri) || self.list().await.is_some_and(|listed| listed.contains(uri))
    }

    fn violation(&self, text: String) {
        lock(&self.seen).violations.push(text);
    }
}
