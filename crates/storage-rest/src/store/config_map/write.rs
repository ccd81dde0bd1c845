//! Edits of several callers, done together: each ConfigMap that they touch is written once, and whoever's entry can't
//! be kept fails alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use bridge_api::EntryKey;
use serde_json::Map;

use super::super::{ImportedLocation, Outcome, StoreError, StoredEntry};
use super::codec::Decoded;
use super::copies::{self, Held, Settled};
use super::draft::{Change, Draft};
use super::layout::{CONFIG_MAP_NAME, GoCompatible, LIMIT, Layout, name_of};
use super::requests::{Failure, Kind};
use super::retries::Patience;
use super::shard::Snapshot;
use super::shards::{Gate, Shards};
use super::value::Value;

/// How often the copies that moves leave behind are cleaned up in one go, while others write; the next write goes on.
const TIDY_ROUNDS: usize = 5;

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    /// Keep an entry.
    Upsert(EntryKey, Box<StoredEntry>),
    /// Remember where Backstage reads an entry.
    Locate(EntryKey, Option<ImportedLocation>),
    /// Forget entries.
    Remove(Vec<EntryKey>),
    /// Bring an entry home into the first ConfigMap, if it fits.
    Home(EntryKey),
}

impl Edit {
    fn keys(&self) -> &[EntryKey] {
        match self {
            Self::Upsert(key, _) | Self::Locate(key, _) | Self::Home(key) => std::slice::from_ref(key),
            Self::Remove(keys) => keys,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Upsert(key, _) | Self::Home(key) => format!("entry {key}"),
            Self::Locate(key, _) => format!("the location of {key}"),
            Self::Remove(keys) => format!("the removal of {} entries", keys.len()),
        }
    }
}

/// An edit on its way.
struct Job<'a> {
    edit: &'a Edit,
    /// What an attempt whose answer was lost has done, perhaps: the entry may then be there by our own hand.
    tried: Option<Outcome>,
    result: Option<Result<Outcome, StoreError>>,
}

/// An edit in a draft: what it does once these ConfigMaps are written.
struct Planned {
    job: usize,
    outcome: Outcome,
    waiting_for: BTreeSet<u32>,
}

/// What a round of writes learnt.
#[derive(Default)]
struct Round {
    failed: BTreeMap<u32, Failure>,
    planned: Vec<Planned>,
}

/// Does edits.
pub(super) struct Writer<'a> {
    pub(super) shards: &'a Shards,
    pub(super) layout: Layout,
}

impl Writer<'_> {
    /// Does all edits. When the API finds what they come to too large, in halves.
    pub(super) async fn edit_all(&self, edits: &[Edit]) -> Vec<Result<Outcome, StoreError>> {
        let mut results: Vec<Option<Result<Outcome, StoreError>>> = vec![None; edits.len()];
        let mut batches: Vec<Vec<usize>> = vec![(0..edits.len()).collect()];
        while let Some(batch) = batches.pop() {
            let chosen: Vec<&Edit> = batch.iter().map(|index| &edits[*index]).collect();
            let mut too_large = Vec::new();
            for (index, result) in batch.iter().zip(self.edit_batch(&chosen).await) {
                if matches!(result, Err(StoreError::TooLarge { .. })) {
                    too_large.push(*index);
                }
                results[*index] = Some(result);
            }
            if too_large.len() > 1 {
                let rest = too_large.split_off(too_large.len().div_ceil(2));
                batches.extend([rest, too_large]);
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(self.given_up()))).collect()
    }

    fn given_up(&self) -> StoreError {
        StoreError::given_up(self.shards.describe())
    }

    async fn edit_batch(&self, edits: &[&Edit]) -> Vec<Result<Outcome, StoreError>> {
        let gate = self.shards.lock().await;
        let mut jobs: Vec<Job> = edits.iter().map(|edit| Job { edit, tried: None, result: None }).collect();
        let mut failures = self.shards.retries.with_failures();
        let mut conflicts = self.shards.retries.with_conflicts();
        let mut opening = Ok(());
        let mut attempts = 0;
        while jobs.iter().any(|job| job.result.is_none()) {
            attempts += 1;
            let snapshot = match self.snapshot(&gate).await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    settle_all(&mut jobs, |_| error.clone());
                    break;
                }
            };
            let mut draft = Draft::of(&snapshot, self.layout, may_open(&snapshot, &opening));
            let planned = self.plan_all(&mut draft, &mut jobs);
            let failed = self.submit_all(&gate, draft).await;
            let round = Round { failed, planned };
            self.conclude(&round, &mut jobs, &mut opening);
            if let Some(failure) = round.worst(&jobs) {
                self.wait_or_settle(failure, &mut jobs, &mut failures, &mut conflicts, attempts).await;
            }
        }
        self.tidy(&gate).await;
        jobs.into_iter().map(|job| job.result.unwrap_or_else(|| Err(self.given_up()))).collect()
    }

    /// A state to plan on, without copies that moves have left behind.
    async fn snapshot(&self, gate: &Gate<'_>) -> Result<std::sync::Arc<Snapshot>, StoreError> {
        let snapshot = self.shards.read_for_write(gate).await?;
        if snapshot.doubles.is_empty() {
            return Ok(snapshot);
        }
        self.tidy(gate).await;
        self.shards.read_for_write(gate).await
    }

    fn plan_all(&self, draft: &mut Draft<'_>, jobs: &mut [Job<'_>]) -> Vec<Planned> {
        let mut planned = Vec::new();
        for (index, job) in jobs.iter_mut().enumerate().filter(|(_, job)| job.result.is_none()) {
            let outcome = match self.plan(draft, job.edit) {
                Ok(outcome) => outcome,
                Err(error) => {
                    job.result = Some(Err(error));
                    continue;
                }
            };
            let waiting_for: BTreeSet<u32> = job.edit.keys().iter().flat_map(|key| draft.waiting_for(key)).collect();
            if waiting_for.is_empty() {
                job.result = Some(Ok(job.tried.unwrap_or(outcome)));
                continue;
            }
            let outcome = if outcome == Outcome::Unchanged { job.tried.unwrap_or(outcome) } else { outcome };
            job.tried = Some(outcome);
            planned.push(Planned { job: index, outcome, waiting_for });
        }
        planned
    }

    /// Writes each ConfigMap that is touched; those that failed. The first comes first: it says which others there are.
    async fn submit_all(&self, gate: &Gate<'_>, draft: Draft<'_>) -> BTreeMap<u32, Failure> {
        let mut failed: BTreeMap<u32, Failure> = BTreeMap::new();
        for (number, change) in draft.into_changes() {
            let is_new = self.shards.cached().is_none_or(|known| !known.shards.contains_key(&number));
            if let Some(failure) = failed.get(&0).filter(|_| is_new) {
                let failure = failure.clone();
                failed.insert(number, failure);
                continue;
            }
            if let Err(failure) = self.shards.submit(gate, number, &change).await {
                failed.insert(number, failure);
            }
        }
        failed
    }

    /// Settles what is done, and what can't be.
    fn conclude(&self, round: &Round, jobs: &mut [Job<'_>], opening: &mut Result<(), StoreError>) {
        for planned in &round.planned {
            let job = &mut jobs[planned.job];
            let failure = planned.waiting_for.iter().find_map(|number| Some((number, round.failed.get(number)?)));
            let Some((number, failure)) = failure else {
                job.result = Some(Ok(planned.outcome));
                continue;
            };
            match failure.kind {
                Kind::TooLarge => job.result = Some(Err(self.too_large(job.edit, *number))),
                // What has no ConfigMap of its own may find room in another.
                Kind::Forbidden | Kind::Refused if failure.verb == "create" && *number > 0 => {
                    *opening = Err(self.shards.error(failure));
                }
                Kind::Forbidden | Kind::Refused => job.result = Some(Err(self.shards.error(failure))),
                Kind::Conflict | Kind::Missing | Kind::Expired | Kind::Unwell => {}
            }
        }
    }

    fn too_large(&self, edit: &Edit, number: u32) -> StoreError {
        let store = name_of(number);
        match edit {
            Edit::Upsert(key, entry) => {
                let size = entry.body.len() + entry.model_card.len();
                StoreError::TooLarge { store: format!("the ConfigMap {store}"), key: key.clone(), size, limit: LIMIT }
            }
            other => {
                let reason = format!("{} makes {store} too large for the Kubernetes API", other.describe());
                StoreError::Unavailable { store: self.shards.describe(), reason }
            }
        }
    }

    /// Waits before the next round, or settles all that is left when there is to be none.
    async fn wait_or_settle(
        &self,
        failure: &Failure,
        jobs: &mut [Job<'_>],
        failures: &mut Patience,
        conflicts: &mut Patience,
        attempts: usize,
    ) {
        let store = self.shards.describe();
        let conflict = |edit: &Edit| StoreError::Conflict { store: store.clone(), what: edit.describe(), attempts };
        let error = self.shards.error(failure);
        let is_conflict =
            matches!(failure.kind, Kind::Conflict) || failure.kind == Kind::Missing && failure.verb == "patch";
        let patience = if is_conflict { conflicts } else { failures };
        if patience
            .wait_after(failure, StoreError::Unavailable { store: store.clone(), reason: failure.reason.clone() })
            .await
            .is_err()
        {
            settle_all(jobs, |edit| if is_conflict { conflict(edit) } else { error.clone() });
        }
    }

    /// Removes the copies that moves have left behind. What can't be done now is done with the next write.
    pub(super) async fn tidy(&self, gate: &Gate<'_>) {
        for _ in 0..TIDY_ROUNDS {
            if self.shards.cached().is_none_or(|known| known.doubles.is_empty()) {
                return;
            }
            let snapshot = match self.shards.read_for_write(gate).await {
                Ok(snapshot) => snapshot,
                Err(error) => return tracing::debug!(%error, "copies are left behind for now"),
            };
            let mut draft = Draft::of(&snapshot, self.layout, Ok(()));
            let doubles: Vec<(&EntryKey, Held)> =
                snapshot.doubles.iter().filter_map(|key| Some((key, draft.held(key)?))).collect();
            // What counts is whole in one place before the rest goes.
            let all_settled = doubles.iter().all(|(_, held)| held.settled == Settled::Yes);
            for (key, held) in doubles {
                if held.settled == Settled::No {
                    draft.set(held.shard, key, Some(held.value));
                } else if all_settled {
                    let others = snapshot.copies(key).into_iter().filter(|(number, _)| *number != held.shard);
                    others.for_each(|(number, _)| draft.set(number, key, None));
                }
            }
            for (number, failure) in self.submit_all(gate, draft).await {
                tracing::debug!(number, reason = failure.reason, "copies are left behind for now");
                if !matches!(failure.kind, Kind::Conflict | Kind::Missing) {
                    return;
                }
            }
        }
    }

    fn plan(&self, draft: &mut Draft<'_>, edit: &Edit) -> Result<Outcome, StoreError> {
        match edit {
            Edit::Upsert(key, entry) => self.plan_upsert(draft, key, entry),
            Edit::Locate(key, location) => self.plan_location(draft, key, location.as_ref()),
            Edit::Remove(keys) => {
                for key in keys {
                    draft.remove(key);
                }
                Ok(Outcome::Unchanged)
            }
            Edit::Home(key) => self.plan_home(draft, key),
        }
    }

    /// The write that makes the store hold `entry`, or none when it does.
    fn plan_upsert(&self, draft: &mut Draft<'_>, key: &EntryKey, entry: &StoredEntry) -> Result<Outcome, StoreError> {
        let Some(held) = draft.held(key) else {
            let stamps = Some(copies::first_stamps(now()));
            let decoded = Decoded { entry: entry.clone(), stamps, foreign: Map::new() };
            self.put(draft, key, None, &decoded)?;
            return Ok(Outcome::Created);
        };
        let entry = match held.value.facts(key) {
            Ok(facts) => {
                let identity = facts.identity();
                let entry = entry.clone().over(&identity);
                if entry.identity() == identity {
                    return Ok(Outcome::Unchanged);
                }
                entry
            }
            // What can't be read is replaced: the entry is on its way in.
            Err(_) => entry.clone(),
        };
        let decoded = match held.value.decode() {
            Ok(stored) => {
                let stamps = Some(copies::content_stamps(now(), &held, &stored));
                let entry = StoredEntry { location: stored.entry.location, ..entry };
                Decoded { entry, stamps, foreign: stored.foreign }
            }
            Err(_) => Decoded { entry, stamps: Some(copies::first_stamps(now())), foreign: Map::new() },
        };
        self.put(draft, key, Some(held.shard), &decoded)?;
        Ok(Outcome::Updated)
    }

    fn plan_location(
        &self,
        draft: &mut Draft<'_>,
        key: &EntryKey,
        location: Option<&ImportedLocation>,
    ) -> Result<Outcome, StoreError> {
        let Some(held) = draft.held(key) else { return Ok(Outcome::Unchanged) };
        let mut stored = held.value.decode().map_err(|reason| self.corrupt(key, reason))?;
        if stored.entry.location.as_ref() == location {
            return Ok(Outcome::Unchanged);
        }
        stored.stamps = Some(copies::location_stamps(now(), &held, &stored));
        stored.entry.location = location.cloned();
        self.put(draft, key, Some(held.shard), &stored)?;
        Ok(Outcome::Updated)
    }

    fn plan_home(&self, draft: &mut Draft<'_>, key: &EntryKey) -> Result<Outcome, StoreError> {
        let Some(held) = draft.held(key).filter(|held| held.shard > 0) else { return Ok(Outcome::Unchanged) };
        let decoded = copies::moved(&held.value).map_err(|reason| self.corrupt(key, reason))?;
        self.put(draft, key, None, &decoded)?;
        Ok(Outcome::Updated)
    }

    fn put(
        &self,
        draft: &mut Draft<'_>,
        key: &EntryKey,
        held: Option<u32>,
        decoded: &Decoded,
    ) -> Result<(), StoreError> {
        let encode = |form| Value::encoded(decoded.clone(), form).map_err(|reason| self.corrupt(key, reason));
        draft.put(key, held, encode)
    }

    pub(super) fn corrupt(&self, key: &EntryKey, reason: String) -> StoreError {
        StoreError::Corrupt { store: self.shards.describe(), key: key.clone(), reason }
    }

    /// Makes the first ConfigMap, unless it is there.
    pub(super) async fn make_first(&self) -> Result<(), StoreError> {
        let gate = self.shards.lock().await;
        let mut patience = self.shards.retries.with_failures();
        loop {
            if self.shards.read_for_write(&gate).await?.shards.contains_key(&0) {
                self.tidy(&gate).await;
                return Ok(());
            }
            match self.shards.submit(&gate, 0, &Change::default()).await {
                Ok(()) => tracing::info!("created the ConfigMap {CONFIG_MAP_NAME}"),
                // Someone else was quicker, which is as good.
                Err(failure) if failure.kind == Kind::Conflict => {}
                Err(failure) => patience.wait_after(&failure, self.shards.error(&failure)).await?,
            }
        }
    }

    /// Brings home what other ConfigMaps hold, where a Go bridge is to find everything in the first.
    pub(super) async fn bring_home(&self) -> Result<(), StoreError> {
        if self.layout.go_compatible != GoCompatible::Always {
            return Ok(());
        }
        let snapshot = self.shards.read_now().await?;
        let away = snapshot.shards.iter().filter(|(number, _)| **number > 0).flat_map(|(_, shard)| shard.values.keys());
        let edits: Vec<Edit> = away.cloned().map(Edit::Home).collect();
        if edits.is_empty() {
            return Ok(());
        }
        // What does not fit stays where it is, and is not tried one by one.
        let results = self.edit_batch(&edits.iter().collect::<Vec<_>>()).await;
        let left = results.iter().filter(|result| result.is_err()).count();
        match results.into_iter().find_map(Result::err) {
            None => tracing::info!("{} entries were brought home into the first ConfigMap", edits.len()),
            Some(error @ (StoreError::TooLarge { .. } | StoreError::Corrupt { .. })) => tracing::warn!(
                %error, "{left} entries stay in further ConfigMaps, where a Go bridge does not see them"
            ),
            Some(error) => return Err(error),
        }
        Ok(())
    }
}

impl Round {
    /// Why jobs are still to be done.
    fn worst(&self, jobs: &[Job<'_>]) -> Option<&Failure> {
        let open = self.planned.iter().filter(|planned| jobs[planned.job].result.is_none());
        let failures = open.flat_map(|planned| &planned.waiting_for).filter_map(|number| self.failed.get(number));
        let worth_waiting = failures.filter(|failure| !matches!(failure.kind, Kind::Forbidden | Kind::Refused));
        worth_waiting.max_by_key(|failure| (failure.kind != Kind::Conflict, failure.retry_after))
    }
}

fn settle_all(jobs: &mut [Job<'_>], error: impl Fn(&Edit) -> StoreError) {
    for job in jobs.iter_mut().filter(|job| job.result.is_none()) {
        job.result = Some(Err(error(job.edit)));
    }
}

/// Whether a further ConfigMap may be opened. One that can't be listed would not be found again.
fn may_open(snapshot: &Snapshot, opening: &Result<(), StoreError>) -> Result<(), StoreError> {
    match &snapshot.alone {
        Some(error) => Err(error.clone()),
        None => opening.clone(),
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
