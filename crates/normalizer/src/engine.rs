//! The loop that keeps storage in step: observe, project, publish, whenever something changed and once an interval.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use service::{Readiness, Shutdown};
use tokio::time::{Instant, sleep, timeout_at};

use crate::inventory::SourceId;
use crate::metrics::NormalizerMetrics;
use crate::observe::Board;
use crate::project::{Diagnostic, Projection, ProjectionSettings, project};
use crate::publish::{PublishError, Published, Publisher, Stored};
use crate::status::EngineStatus;

/// Changes that come together are published together.
const SETTLE: Duration = Duration::from_millis(25);
/// How long a stop waits for what is in flight.
const GRACE: Duration = Duration::from_secs(8);
/// How often is looked whether storage still has to wait for sources.
const WAITING: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Keeps one storage in step with one board.
#[derive(Debug)]
pub struct Engine {
    /// What is observed.
    pub board: Board,
    /// How it is projected.
    pub settings: Arc<ProjectionSettings>,
    /// Where it goes.
    pub publisher: Publisher,
    /// How often storage is compared although nothing changed.
    pub interval: Duration,
    /// What is counted.
    pub metrics: NormalizerMetrics,
    /// Ready once storage was reached.
    pub readiness: Readiness,
    /// What is shown of it.
    pub status: EngineStatus,
}

/// What was published last: as long as neither side changes there is nothing to do.
#[derive(Debug, PartialEq)]
struct InStep {
    board: u64,
    stored: Stored,
}

/// What came of an attempt to bring storage in step.
enum Synced {
    /// Storage holds what is known.
    InStep,
    /// The same, but storage is being filled and waits for sources that could not be read yet.
    Filling,
    /// There is nothing yet to bring it in step with.
    Idle,
}

impl Engine {
    /// Runs until `shutdown`, then finishes what is in flight.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut changes = self.board.changes();
        let mut said = Said::default();
        let mut in_step = None;
        let mut failures: u32 = 0;
        let mut reported = None;
        while !shutdown.is_triggered() {
            let version = *changes.borrow_and_update();
            let Some(result) = finish_in_time(self.sync(version, &mut in_step, &mut said), &shutdown).await else {
                return;
            };
            let pause = match result {
                Ok(Synced::Idle) => self.interval,
                Ok(synced @ (Synced::InStep | Synced::Filling)) => {
                    if failures > 0 {
                        tracing::info!("storage was brought in step again");
                    }
                    failures = 0;
                    reported = None;
                    self.metrics.sync("ok");
                    self.status.update(|progress| {
                        progress.last_sync = Some(Timestamp::now());
                        progress.failure = None;
                    });
                    self.readiness.set_ready();
                    if matches!(synced, Synced::Filling) { self.interval.min(WAITING) } else { self.interval }
                }
                Err(error) => {
                    self.metrics.sync("failed");
                    in_step = None;
                    self.status.update(|progress| progress.failure = Some(error.to_string()));
                    // Each trouble once: a storage that first is away and then refuses us is two.
                    if reported.replace(error.outcome()) != Some(error.outcome()) {
                        tracing::warn!("storage cannot be brought in step, trying again: {error}");
                    }
                    failures = failures.saturating_add(1);
                    FIRST_RETRY.saturating_mul(2_u32.saturating_pow((failures - 1).min(10))).min(LONGEST_RETRY)
                }
            };
            let wait = async {
                // While storage is in trouble nothing is gained by asking it with every change.
                if failures > 0 {
                    sleep(pause).await;
                    return;
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_ok() { sleep(SETTLE).await } else { sleep(pause).await },
                    () = sleep(pause) => {}
                }
            };
            if shutdown.unless(wait).await.is_none() {
                return;
            }
        }
    }

    async fn sync(
        &mut self,
        version: u64,
        in_step: &mut Option<InStep>,
        said: &mut Said,
    ) -> Result<Synced, PublishError> {
        let mut observed = self.board.observed();
        let nothing_read = observed.inventory.registries.is_empty() && observed.inventory.clusters.is_empty();
        if nothing_read && !observed.is_complete() {
            return Ok(Synced::Idle);
        }
        let stored = self.publisher.stored().await?;
        let now = InStep { board: version, stored };
        if in_step.as_ref() == Some(&now) {
            return Ok(Synced::InStep);
        }
        let stored = &now.stored;
        observed.given_up = self.publisher.given_up(stored, &observed, std::time::Instant::now());
        observed.inventory.remembered = stored.remembered(&observed);
        let (inventory, settings) = (observed.inventory.clone(), Arc::clone(&self.settings));
        let projected = tokio::task::spawn_blocking(move || project(&inventory, &settings)).await;
        let projection = match projected {
            Ok(projection) => projection,
            Err(error) => {
                tracing::error!("the projection failed, nothing is published: {error}");
                return Ok(Synced::Idle);
            }
        };
        self.board.ask(projection.questions.clone());
        self.metrics.entries.set(i64::try_from(projection.entries.len()).unwrap_or(i64::MAX));
        self.metrics.diagnostics.set(i64::try_from(projection.diagnostics.len()).unwrap_or(i64::MAX));
        let published = self.publisher.publish(&projection, stored, &observed).await?;
        for source in published.awaited.iter().flatten() {
            self.board.await_complete_read(&SourceId::from_text(source.clone()));
        }
        self.show(&projection, &published);
        // What was changed is seen in storage's own list the next time; nothing is in step before that.
        let settled = published.upserts == 0
            && published.removed.is_empty()
            && published.awaited.is_empty()
            && !published.unsettled
            && !self.publisher.misses_any(&observed);
        *in_step = Some(now).filter(|_| settled);
        said.about(&projection, &published);
        Ok(if published.unsettled { Synced::Filling } else { Synced::InStep })
    }

    fn show(&self, projection: &Projection, published: &Published) {
        let mut entries_by_source: BTreeMap<String, usize> = BTreeMap::new();
        for entry in projection.entries.values() {
            *entries_by_source.entry(entry.origin.source.clone()).or_default() += 1;
        }
        let held_removals = self.publisher.held();
        self.status.update(|progress| {
            progress.entries = projection.entries.len();
            progress.entries_by_source = entries_by_source;
            progress.held_removals = held_removals;
            progress.refused = published.refused.iter().map(|(key, why)| format!("{key}: {why}")).collect();
            progress.diagnostics.clone_from(&projection.diagnostics);
        });
    }
}

/// Runs `work` to its end; when the stop signal is given meanwhile, for a bounded time only.
async fn finish_in_time<T>(work: impl Future<Output = T>, shutdown: &Shutdown) -> Option<T> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => Some(done),
        () = shutdown.cancelled() => timeout_at(Instant::now() + GRACE, work).await.ok(),
    }
}

/// What was logged, so that it is logged once.
#[derive(Debug, Default)]
struct Said {
    diagnostics: BTreeSet<Diagnostic>,
    refused: BTreeSet<String>,
}

impl Said {
    fn about(&mut self, projection: &Projection, published: &Published) {
        if published.upserts > 0 || !published.removed.is_empty() {
            let (sent, removed, entries) = (published.upserts, published.removed.len(), projection.entries.len());
            tracing::info!(sent, removed, entries, "storage is in step");
        }
        let current: BTreeSet<Diagnostic> = projection.diagnostics.iter().cloned().collect();
        for new in current.difference(&self.diagnostics) {
            tracing::info!(source = %new.source, subject = %new.subject, "{}", new.problem);
        }
        self.diagnostics = current;
        let refused: BTreeSet<String> = published.refused.iter().map(|(key, why)| format!("{key}: {why}")).collect();
        for new in refused.difference(&self.refused) {
            tracing::error!("storage refused an entry: {new}");
        }
        self.refused = refused;
    }
}
