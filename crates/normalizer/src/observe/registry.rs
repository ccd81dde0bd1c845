//! Polls one registry: completely at the start and now and then, for what is new in between.

use std::time::Duration;

use rand::Rng as _;
use registry_client::RegistryError;
use service::Shutdown;
use service::telemetry::{TARGET, failed};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::increment::{Increment, Memory};
use super::reader::RegistryReader;
use super::{Board, Read, news};
use crate::inventory::{RegistryContents, SourceId};
use crate::metrics::SourceMetrics;

/// The first pause after a failure; it doubles up to the polling interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// However long a registry asks to be left alone, it is asked again after this.
const LONGEST_REQUEST: Duration = Duration::from_mins(10);

/// How often a registry is read.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// From the end of a read to the next one (`POLLING_INTERVAL`).
    pub polling: Duration,
    /// From one complete read to the next one (`RESYNC_INTERVAL`), give or take a tenth.
    pub resync: Duration,
    /// Between looks whether there is anything new (`PROBE_INTERVAL`); zero for none.
    pub probe: Duration,
}

/// One registry that is polled.
#[derive(Debug)]
pub struct Poller {
    /// What its entries are remembered under.
    pub id: SourceId,
    /// How it is read.
    pub reader: RegistryReader,
    /// How often.
    pub cadence: Cadence,
    /// Where what it holds is put.
    pub board: Board,
    /// What is counted.
    pub metrics: SourceMetrics,
}

/// When the next read of each kind is due.
struct Schedule {
    poll: Instant,
    resync: Instant,
    failures: u32,
}

impl Poller {
    /// Reads until `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        let (news, well) = (Notify::new(), watch::Sender::new(false));
        tokio::select! {
            () = self.poll(&news, &well, &shutdown) => (),
            () = news::follow(&self.reader.client, well.subscribe(), &news) => (),
            () = shutdown.cancelled() => (),
        }
    }

    async fn poll(&self, news: &Notify, well: &watch::Sender<bool>, shutdown: &Shutdown) {
        let mut memory = Memory::default();
        let now = Instant::now();
        let mut schedule = Schedule { poll: now, resync: now, failures: 0 };
        loop {
            let Some(pause) = shutdown.unless(self.turn(&mut memory, &mut schedule)).await else { return };
            well.send_replace(schedule.failures == 0);
            let hurried = async {
                tokio::select! {
                    () = tokio::time::sleep(pause) => false,
                    // A registry that fails is left alone for as long as it takes, whatever it tells.
                    () = news.notified(), if schedule.failures == 0 => true,
                    () = self.board.wants_look(&self.id), if schedule.failures == 0 => true,
                }
            };
            match shutdown.unless(hurried).await {
                None => return,
                Some(true) => schedule.poll = Instant::now(),
                Some(false) => {}
            }
        }
    }

    /// Does what is due, and returns for how long nothing else is.
    async fn turn(&self, memory: &mut Memory, schedule: &mut Schedule) -> Duration {
        let contents = self.board.registry(&self.id);
        self.board.registry_begins(&self.id);
        let poll_is_due = Instant::now() >= schedule.poll;
        let result = match contents.as_deref() {
            Some(known) if poll_is_due && !self.wants_complete_read(schedule) => {
                self.traced(Read::Increment, self.increment(known, memory)).await
            }
            Some(known) if !poll_is_due => match self.reader.has_news(known, memory).await {
                Ok(true) => self.traced(Read::Increment, self.increment(known, memory)).await,
                // A look that fails says nothing; the next read will.
                Ok(false) | Err(_) => return self.next_look(schedule),
            },
            known => self.traced(Read::Complete, self.complete(known, memory, schedule)).await,
        };
        match result {
            Ok(()) => {
                schedule.failures = 0;
                schedule.poll = Instant::now() + self.cadence.polling;
                self.next_look(schedule)
            }
            Err(error) => {
                let pause = self.failed(&error, schedule);
                schedule.poll = Instant::now() + pause;
                pause
            }
        }
    }

    /// Reads in a trace of its own, of which whatever changes thereby becomes a part.
    async fn traced(
        &self,
        read: Read,
        work: impl Future<Output = Result<(), RegistryError>>,
    ) -> Result<(), RegistryError> {
        let span = tracing::info_span!(target: TARGET, parent: None, "read", source = %self.id, read = read.as_str());
        let result = work.instrument(span.clone()).await;
        result.inspect_err(|error| failed(&span, error))
    }

    fn wants_complete_read(&self, schedule: &Schedule) -> bool {
        Instant::now() >= schedule.resync || self.board.is_awaited(&self.id)
    }

    async fn complete(
        &self,
        known: Option<&RegistryContents>,
        memory: &mut Memory,
        schedule: &mut Schedule,
    ) -> Result<(), RegistryError> {
        let contents = self.reader.read_all(known).await?;
        if known.is_none() || schedule.failures > 0 {
            let (models, versions) = (contents.models.len(), contents.versions.len());
            tracing::info!(source = %self.id, models, versions, "the registry at {} was read", self.reader.client.base_url());
        }
        memory.reset();
        schedule.resync = Instant::now() + self.cadence.resync.mul_f64(rand::rng().random_range(0.9..=1.1));
        self.metrics.read(&self.id, Read::Complete, contents.versions.len());
        self.board.registry_read(&self.id, Read::Complete, Some(contents));
        Ok(())
    }

    async fn increment(&self, known: &RegistryContents, memory: &mut Memory) -> Result<(), RegistryError> {
        let contents = match self.reader.read_increment(known, memory).await? {
            Increment::Unchanged => None,
            Increment::Changed(contents) => Some(*contents),
        };
        let versions = contents.as_ref().unwrap_or(known).versions.len();
        self.metrics.read(&self.id, Read::Increment, versions);
        self.board.registry_read(&self.id, Read::Increment, contents);
        Ok(())
    }

    /// Until the next poll, or a look before it. A complete read that somebody waits for is a poll.
    fn next_look(&self, schedule: &Schedule) -> Duration {
        let until_poll = schedule.poll.saturating_duration_since(Instant::now());
        if self.cadence.probe.is_zero() { until_poll } else { until_poll.min(self.cadence.probe) }
    }

    fn failed(&self, error: &RegistryError, schedule: &mut Schedule) -> Duration {
        let text = error.to_string();
        self.metrics.failed(&self.id);
        if self.board.registry_failed(&self.id, &text) {
            tracing::warn!(source = %self.id, "{text}; its entries stay as they are");
        }
        schedule.failures = schedule.failures.saturating_add(1);
        error
            .retry_after()
            .unwrap_or_default()
            .min(LONGEST_REQUEST)
            .max(backoff(schedule.failures, self.cadence.polling))
    }
}

/// One second, doubled with each failure in a row, never longer than `longest`, and shortened by up to a quarter so
/// that several bridges do not ask in step.
fn backoff(failures: u32, longest: Duration) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)));
    doubled.min(longest).mul_f64(rand::rng().random_range(0.75..=1.0))
}
