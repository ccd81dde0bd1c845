//! Keeps the records of one cluster: compares what is observed with what the registry holds, and writes what differs.

use std::collections::HashMap;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use cluster::watch::{ClusterSnapshot, ClusterWatch, KindState};
use service::Shutdown;
use tokio::time::{Instant, sleep_until};

use super::holdings::Holdings;
use super::plan::{Situation, Step};
use super::refusals::Refusals;
use super::standing::Standing;
use super::wanted::{Selection, Wanted};
use super::writer::{Trouble, Writer};

/// How often somebody else may be first before that counts as a refusal: once for the environment and once for the record
/// would do, if the registry shows what it has.
const CONFLICTS: usize = 4;
/// The longest that a registry may ask to be left alone.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Whether services are told the ids of their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Labels {
    /// They are.
    Written,
    /// Nothing is written to the cluster.
    LeftAlone,
}

/// How often what is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How often everything is read anew.
    pub(super) resync: Duration,
    /// How long to wait after a failure.
    pub(super) retry_min: Duration,
    /// How long at most.
    pub(super) retry_max: Duration,
}

impl Pace {
    fn backoff(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.retry_min)
            .with_max_delay(self.retry_max)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// Replicas that were started together shall not read together for ever.
    fn next_resync(&self) -> Instant {
        Instant::now() + self.resync.mul_f64(rand::random_range(0.9..1.1))
    }
}

/// The records of one cluster.
pub(super) struct Keeper {
    pub(super) watch: ClusterWatch,
    pub(super) writer: Writer,
    pub(super) selection: Selection,
    pub(super) labels: Labels,
    pub(super) standing: Standing,
    pub(super) memory: Memory,
}

/// How often somebody else was first.
#[derive(Debug, Default)]
struct Conflicts {
    all: usize,
    of_each: HashMap<String, usize>,
}

impl Conflicts {
    /// Counts one; answers how many there were in this step.
    fn add(&mut self, step: &Step) -> usize {
        self.all += 1;
        let count = self.of_each.entry(step.subject().to_owned()).or_default();
        *count += 1;
        *count
    }
}

/// What is remembered from one comparison to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What the registry held, as far as is known; nothing after a failure.
    holdings: Option<Holdings>,
    refusals: Refusals,
    /// Which label was written to which service, by its uid: the watch may not have shown it yet.
    labelled: HashMap<String, String>,
}

impl Keeper {
    /// Compares at each change, and from time to time, until `shutdown`.
    pub(super) async fn run(mut self, pace: Pace, shutdown: Shutdown) {
        let mut changes = self.watch.changes();
        let (mut backoff, mut failing) = (pace.backoff(), false);
        let mut wake = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                // After a failure only time is a reason to try again.
                changed = changes.changed(), if !failing => if changed.is_err() { return },
                () = sleep_until(wake) => {
                    self.reconsider();
                    wake = pace.next_resync();
                }
            }
            changes.mark_unchanged();
            match shutdown.unless(Box::pin(self.compare())).await {
                None => return,
                Some(Ok(())) if failing => {
                    (backoff, failing) = (pace.backoff(), false);
                    tracing::info!(cluster = self.writer.name, "the records are kept again");
                }
                Some(Ok(())) => {}
                Some(Err(trouble)) => {
                    let pause = backoff.next().unwrap_or(pace.retry_max).max(asked_for(&trouble));
                    tracing::warn!(cluster = self.writer.name, next_try_in = ?pause, "{trouble}");
                    self.standing.failed(&self.writer.name, trouble.to_string());
                    self.writer.metrics.failed();
                    (wake, failing) = (Instant::now() + pause, true);
                }
            }
        }
    }

    /// Waits until all InferenceServices are known, and compares once. How many writes were refused is answered.
    pub(super) async fn run_once(mut self, patience: Duration) -> anyhow::Result<usize> {
        let mut changes = self.watch.changes();
        let known = async {
            while !self.watch.snapshot().inference_services.is_current() && changes.changed().await.is_ok() {}
        };
        if tokio::time::timeout(patience, known).await.is_err() {
            let state = self.watch.snapshot().inference_services;
            anyhow::bail!("the InferenceServices of {} are not known: {}", self.writer.name, reason(&state));
        }
        Box::pin(self.compare()).await?;
        Ok(self.memory.refusals.len())
    }

    /// Everything is read anew, and what was refused is tried once more.
    fn reconsider(&mut self) {
        self.memory.holdings = None;
        self.memory.labelled.clear();
        self.memory.refusals.reconsider();
    }

    /// Writes what differs. What is known of the registry is believed only as long as nothing differs.
    async fn compare(&mut self) -> Result<(), Trouble> {
        let snapshot = self.watch.snapshot();
        if !snapshot.inference_services.is_known() && snapshot.services.is_empty() {
            let reason = reason(&snapshot.inference_services);
            self.standing.failed(&self.writer.name, format!("its InferenceServices are not known: {reason}"));
            return Ok(());
        }
        let wanted = Wanted::all(&snapshot, &self.selection);
        let held = self.memory.holdings.take();
        let settled = held.filter(|holdings| self.due(&snapshot, &wanted, holdings).is_empty());
        let holdings = match settled {
            Some(holdings) => holdings,
            None => self.settle(&snapshot, &wanted).await?,
        };
        self.memory.holdings = Some(holdings);
        self.writer.metrics.seen(&self.writer.name, wanted.len(), self.memory.refusals.len());
        self.standing.well(&self.writer.name);
        Ok(())
    }

    /// Writes until nothing differs but what is refused. What somebody else made meanwhile is read, not made again.
    async fn settle(&mut self, snapshot: &ClusterSnapshot, wanted: &[Wanted]) -> Result<Holdings, Trouble> {
        let mut conflicts = Conflicts::default();
        loop {
            let mut holdings = Holdings::read(&self.writer.registry).await.map_err(Trouble::Registry)?;
            let before = conflicts.all;
            for step in self.due(snapshot, wanted, &holdings) {
                match self.carry_out(&step, &mut holdings).await {
                    Ok(()) => {}
                    Err(Trouble::Refused(reason)) => self.memory.refusals.add(&step, &reason),
                    Err(Trouble::Overtaken(error)) if conflicts.add(&step) > CONFLICTS => {
                        self.memory.refusals.add(&step, &error.to_string());
                    }
                    Err(Trouble::Overtaken(error)) => tracing::debug!("{error}; reading again"),
                    Err(trouble) => return Err(trouble),
                }
            }
            if conflicts.all == before {
                self.memory.refusals.settle();
                return Ok(holdings);
            }
        }
    }

    async fn carry_out(&mut self, step: &Step, holdings: &mut Holdings) -> Result<(), Trouble> {
        let created = self.writer.carry_out(step, holdings).await?;
        if let (Step::Create { wanted, .. }, Some(id), Labels::Written) = (step, created, self.labels) {
            let label = Step::Label { id, wanted: wanted.clone() };
            match self.writer.carry_out(&label, holdings).await {
                Ok(_) => self.remember(&label),
                Err(Trouble::Refused(reason)) => self.memory.refusals.add(&label, &reason),
                Err(trouble) => return Err(trouble),
            }
        }
        self.remember(step);
        Ok(())
    }

    /// The watch shows a label later than it was written.
    fn remember(&mut self, step: &Step) {
        if let Step::Label { id, wanted } = step {
            self.memory.labelled.insert(wanted.service.uid.clone(), id.clone());
        }
    }

    /// What is to be written, without what was refused already.
    fn due(&self, snapshot: &ClusterSnapshot, wanted: &[Wanted], holdings: &Holdings) -> Vec<Step> {
        let situation = Situation { snapshot, wanted, holdings, cluster: &self.writer.name };
        let mut steps = situation.plan();
        steps.retain(|step| !self.memory.refusals.stand_against(step) && !self.is_labelled(step));
        steps
    }

    /// Whether a step would write a label that is not to be written, or that is there already.
    fn is_labelled(&self, step: &Step) -> bool {
        let Step::Label { id, wanted } = step else { return false };
        self.labels == Labels::LeftAlone || self.memory.labelled.get(&wanted.service.uid) == Some(id)
    }
}

fn asked_for(trouble: &Trouble) -> Duration {
    let asked = match trouble {
        Trouble::Registry(error) | Trouble::Overtaken(error) => error.retry_after(),
        _ => None,
    };
    asked.unwrap_or_default().min(LONGEST_WAIT)
}

fn reason(state: &KindState) -> String {
    match state {
        KindState::NotYet { reason: Some(reason) }
        | KindState::Forbidden { reason }
        | KindState::Stale { reason, .. } => reason.clone(),
        _ => "they were not listed yet".to_owned(),
    }
}
