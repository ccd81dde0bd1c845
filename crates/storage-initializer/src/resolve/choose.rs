//! Which of several records is meant: LIVE ones, and of these the newest.

use std::collections::BTreeMap;

use registry_client::{ModelArtifact, ModelVersion, Pages, Record, RegistryError, State};

/// Whether a record may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// It may. The record of the highest rank is; of the same rank, the newest.
    Take(Rank),
    /// It may not, for this reason.
    Leave(String),
}

/// How good a record is, apart from its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Nobody has said what it is.
    Unknown,
    /// In use.
    Live,
}

/// What was chosen of a list.
#[derive(Debug)]
pub(super) struct Chosen<T> {
    pub(super) best: Option<T>,
    /// How many records were passed over for which reason.
    pub(super) passed_over: BTreeMap<String, usize>,
}

/// What the choice needs of a record.
pub(super) trait Dated {
    /// Milliseconds since the epoch; none counts as the oldest.
    fn created(&self) -> Option<i64>;
    fn id(&self) -> &str;
}

impl Dated for ModelVersion {
    fn created(&self) -> Option<i64> {
        self.create_time
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Dated for ModelArtifact {
    fn created(&self) -> Option<i64> {
        self.create_time
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// A version without a name in the URI must be LIVE.
pub(super) fn version(version: &ModelVersion) -> Choice {
    if version.state.is_live() {
        Choice::Take(Rank::Live)
    } else {
        Choice::Leave(state_name(&version.state).to_owned())
    }
}

/// An artifact must say where it is. The registry's Python client never says LIVE, so UNKNOWN will do where nothing is.
pub(super) fn artifact(artifact: &ModelArtifact) -> Choice {
    let rank = match &artifact.state {
        State::Live => Rank::Live,
        State::Other(state) if state.eq_ignore_ascii_case("UNKNOWN") => Rank::Unknown,
        state => return Choice::Leave(state_name(state).to_owned()),
    };
    if artifact.uri.is_none() && artifact.storage_path.is_none() {
        return Choice::Leave("without a uri".to_owned());
    }
    Choice::Take(rank)
}

pub(super) fn state_name(state: &State) -> &str {
    match state {
        State::Live => "LIVE",
        State::Archived => "ARCHIVED",
        State::Other(state) => state,
    }
}

/// The best record of a list that was asked for with the newest first. Where the list keeps to that it is read no further than
/// it must be.
pub(super) async fn newest<T: Record + Dated>(
    mut pages: Pages<T>,
    choose: fn(&T) -> Choice,
) -> Result<Chosen<T>, RegistryError> {
    let mut best: Option<(Rank, T)> = None;
    let mut passed_over = BTreeMap::new();
    while let Some(page) = pages.next_page().await? {
        let records: Vec<T> =
            page.records.into_iter().filter_map(|record| readable(record, &mut passed_over)).collect();
        let is_ordered = records.len() > 1 && records.is_sorted_by_key(|record| std::cmp::Reverse(record.created()));
        for record in records {
            match choose(&record) {
                Choice::Take(rank) => {
                    let is_better =
                        best.as_ref().is_none_or(|(best_rank, best)| key(rank, &record) > key(*best_rank, best));
                    if is_better {
                        best = Some((rank, record));
                    }
                }
                Choice::Leave(reason) => *passed_over.entry(reason).or_default() += 1,
            }
        }
        if is_ordered && best.as_ref().is_some_and(|(rank, _)| *rank == Rank::Live) {
            break;
        }
    }
    Ok(Chosen { best: best.map(|(_, record)| record), passed_over })
}

fn readable<T>(
    record: Result<T, registry_client::RecordError>,
    passed_over: &mut BTreeMap<String, usize>,
) -> Option<T> {
    record
        .inspect_err(|error| {
            tracing::warn!("{error}");
            *passed_over.entry("unreadable".to_owned()).or_default() += 1;
        })
        .ok()
}

/// Ids are numbers, which grow.
fn key<T: Dated>(rank: Rank, record: &T) -> (Rank, Option<i64>, usize, &str) {
    (rank, record.created(), record.id().len(), record.id())
}
