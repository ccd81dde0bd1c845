//! Incremental reads: what changed in a registry since it was last read, for a handful of requests whatever its size.
//!
//! Lists are read newest first and only as far as there is something new. That shows every edit, because each one moves
//! its record to the front; it shows nothing that is gone, and neither needs to: registries delete nothing, and the full
//! read proves absence. What a server's clock or order can hide is left to the full read, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use registry_client::pages::{ListQuery, Pages};
use registry_client::records::{
    InferenceServiceRecord, ModelArtifact, ModelVersion, Record, RegisteredModel, ServingEnvironment,
};
use registry_client::{RegistryClient, RegistryError};

use super::reader::RegistryReader;
use crate::inventory::{RecordProblem, Records, RegistryContents};

/// How many versions are asked for an artifact that appeared without its version being touched.
const GUESSES: usize = 4;

/// A record that says when it was last changed.
pub(super) trait Stamped {
    fn id(&self) -> &String;
    fn changed_at(&self) -> Option<i64>;
}

macro_rules! stamped {
    ($($record:ty),+) => {
        $(impl Stamped for $record {
            fn id(&self) -> &String {
                &self.id
            }

            fn changed_at(&self) -> Option<i64> {
                self.last_update_time
            }
        })+
    };
}

stamped!(RegisteredModel, ModelVersion, ModelArtifact, InferenceServiceRecord, ServingEnvironment);

/// What one poller remembers from increment to increment.
#[derive(Debug, Default)]
pub struct Memory {
    /// Lists that the server does not put newest first, by the kind of their records.
    unordered: BTreeSet<&'static str>,
    /// Artifacts that belong to no version that is shown, as far as that is known.
    foreign_artifacts: BTreeMap<String, ModelArtifact>,
}

impl Memory {
    /// Forgets what may have been mistaken: called with each full read.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// What an incremental read came to.
#[derive(Debug)]
pub enum Increment {
    /// Nothing is new.
    Unchanged,
    /// The contents with what is new.
    Changed(Box<RegistryContents>),
}

/// What is new in one list.
struct News<T> {
    changed: Vec<T>,
    problems: Vec<RecordProblem>,
}

impl<T> News<T> {
    const fn none() -> Self {
        Self { changed: Vec::new(), problems: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.problems.is_empty()
    }
}

/// The records known of one list, by id.
type Known<'a, T> = HashMap<&'a str, &'a T>;

impl RegistryReader {
    /// Reads what changed since `contents`.
    pub async fn read_increment(
        &self,
        contents: &RegistryContents,
        memory: &mut Memory,
    ) -> Result<Increment, RegistryError> {
        let client = &self.client;
        let versions = news(memory, &known(&contents.versions), |q| client.model_versions(q)).await?;
        let models = news(memory, &known(&contents.models), |q| client.registered_models(q)).await?;
        let records = news(memory, &known(&contents.inference_services), |q| client.inference_services(q)).await?;
        let any_record = !contents.inference_services.is_empty() || !records.changed.is_empty();
        let environments = if any_record {
            news(memory, &known(&contents.serving_environments), |q| client.serving_environments(q)).await?
        } else {
            News::none()
        };
        let artifacts = self.artifact_news(contents, memory).await?;
        let nothing = versions.is_empty() && models.is_empty() && records.is_empty() && environments.is_empty();
        let cards_missing = contents.wanted_cards().len() != contents.cards.len();
        if nothing && artifacts.is_empty() && !cards_missing {
            return Ok(Increment::Unchanged);
        }

        let mut next = contents.clone();
        let touched: BTreeSet<String> = versions.changed.iter().map(|version| version.id.clone()).collect();
        let problems =
            [versions.problems, models.problems, records.problems, environments.problems, artifacts.problems].concat();
        next.problems.extend(problems.into_iter().filter(|problem| !contents.problems.contains(problem)));
        add(&mut next.versions, versions.changed);
        add(&mut next.models, models.changed);
        add(&mut next.inference_services, records.changed);
        add(&mut next.serving_environments, environments.changed);
        self.renew_artifacts(&mut next, touched, artifacts.changed, memory).await?;
        self.renew_cards(&mut next).await;
        // A record that is as before but for its time leaves the contents as they were.
        Ok(if next == *contents { Increment::Unchanged } else { Increment::Changed(Box::new(next)) })
    }

    /// Whether the newest record of a list is one that is not known: a few small requests.
    pub async fn has_news(&self, contents: &RegistryContents, memory: &Memory) -> Result<bool, RegistryError> {
        let client = &self.client;
        Ok(is_new(memory, client.model_versions(newest_one()), &contents.versions).await?
            || is_new(memory, client.registered_models(newest_one()), &contents.models).await?
            || is_new(memory, client.inference_services(newest_one()), &contents.inference_services).await?)
    }

    async fn artifact_news(
        &self,
        contents: &RegistryContents,
        memory: &mut Memory,
    ) -> Result<News<ModelArtifact>, RegistryError> {
        let foreign = std::mem::take(&mut memory.foreign_artifacts);
        let mut all = artifacts_in(contents);
        all.extend(foreign.iter().map(|(id, artifact)| (id.as_str(), artifact)));
        let found = news(memory, &all, |query| self.client.model_artifacts(query)).await;
        memory.foreign_artifacts = foreign;
        found
    }

    /// Reads the artifacts of the versions that were touched, that have become visible, or whose artifacts changed.
    async fn renew_artifacts(
        &self,
        next: &mut RegistryContents,
        touched: BTreeSet<String>,
        changed: Vec<ModelArtifact>,
        memory: &mut Memory,
    ) -> Result<(), RegistryError> {
        let shown: BTreeSet<String> = next.shown_versions().map(str::to_owned).collect();
        next.artifacts.retain(|version, _| shown.contains(version));
        let owner_of = |id: &String| {
            let mut owners = next.artifacts.iter();
            owners
                .find(|(_, artifacts)| artifacts.iter().any(|artifact| artifact.id == *id))
                .map(|(version, _)| version)
        };
        let mut due: BTreeSet<String> = shown
            .iter()
            .filter(|version| touched.contains(*version) || !next.artifacts.contains_key(*version))
            .cloned()
            .collect();
        due.extend(changed.iter().filter_map(|artifact| owner_of(&artifact.id)).cloned());
        self.read_artifacts(next, due.into_iter().collect()).await?;
        let unexplained = |next: &RegistryContents| {
            let known = artifacts_in(next);
            changed.iter().filter(|artifact| !known.contains_key(artifact.id.as_str())).count()
        };
        if unexplained(next) > 0 {
            // An artifact that came after its version belongs, most often, to one that had none.
            let mut bare: Vec<&Arc<ModelVersion>> = next
                .artifacts
                .iter()
                .filter(|(version, artifacts)| artifacts.is_empty() && !touched.contains(*version))
                .filter_map(|(version, _)| next.versions.get(version))
                .collect();
            bare.sort_by_key(|version| std::cmp::Reverse(version.create_time));
            let guesses: Vec<String> = bare.into_iter().take(GUESSES).map(|version| version.id.clone()).collect();
            self.read_artifacts(next, guesses).await?;
        }
        let known = artifacts_in(next);
        let foreign = changed.iter().filter(|artifact| !known.contains_key(artifact.id.as_str()));
        memory.foreign_artifacts.extend(foreign.map(|artifact| (artifact.id.clone(), artifact.clone())));
        Ok(())
    }

    async fn read_artifacts(&self, next: &mut RegistryContents, versions: Vec<String>) -> Result<(), RegistryError> {
        let before = versions.iter().filter_map(|v| Some((v.clone(), next.artifacts.get(v)?.clone()))).collect();
        let read = self.artifacts(next, &versions, &before).await?;
        next.artifacts.extend(read);
        Ok(())
    }

    /// Asks for the cards that are wanted and not known, and drops those that nothing leads to any more.
    async fn renew_cards(&self, next: &mut RegistryContents) {
        let wanted = next.wanted_cards();
        next.cards.retain(|card, _| wanted.contains(card));
        let missing: BTreeSet<_> = wanted.into_iter().filter(|card| !next.cards.contains_key(card)).collect();
        if !missing.is_empty() {
            let read = self.cards.read(&missing, &next.cards, self.concurrency).await;
            next.cards.extend(read);
        }
    }
}

fn known<T>(records: &Records<T>) -> Known<'_, T> {
    records.iter().map(|(id, record)| (id.as_str(), record.as_ref())).collect()
}

/// The artifacts of all versions.
fn artifacts_in(contents: &RegistryContents) -> Known<'_, ModelArtifact> {
    let all = contents.artifacts.values().flatten();
    all.map(|artifact| (artifact.id.as_str(), artifact.as_ref())).collect()
}

/// Puts changed records in the place of those known.
fn add<T: Stamped>(records: &mut Records<T>, changed: Vec<T>) {
    records.extend(changed.into_iter().map(|record| (record.id().clone(), Arc::new(record))));
}

fn newest_one() -> ListQuery {
    ListQuery::newest_first().with_page_size(1)
}

/// Whether the first record of a list is not the one that is known under its id. A server that is known to have an order
/// of its own cannot be asked this way.
async fn is_new<T: Record + Stamped + PartialEq>(
    memory: &Memory,
    mut newest: Pages<T>,
    known: &Records<T>,
) -> Result<bool, RegistryError> {
    if memory.unordered.contains(T::KIND) {
        return Ok(false);
    }
    let page = newest.next_page().await?;
    let first = page.and_then(|page| page.records.into_iter().flatten().next());
    Ok(first.is_some_and(|record| known.get(record.id()).map(AsRef::as_ref) != Some(&record)))
}

/// What is new in a list.
async fn news<T: Record + Stamped + PartialEq>(
    memory: &mut Memory,
    known: &Known<'_, T>,
    list: impl Fn(ListQuery) -> Pages<T>,
) -> Result<News<T>, RegistryError> {
    if !memory.unordered.contains(T::KIND) {
        if let Some(found) = newest(known, list(ListQuery::newest_first())).await? {
            return Ok(found);
        }
        memory.unordered.insert(T::KIND);
        tracing::info!("the registry does not list its {}s newest first: they are read whole each time", T::KIND);
    }
    let all = list(ListQuery::default()).collect_all().await?;
    let changed = all.records.into_iter().filter(|record| known.get(record.id().as_str()) != Some(&record)).collect();
    Ok(News { changed, problems: all.malformed.into_iter().map(RecordProblem::from).collect() })
}

/// Reads a list newest first, up to where it is known. `None` when it turns out not to be in that order.
async fn newest<T: Record + Stamped + PartialEq>(
    known: &Known<'_, T>,
    mut pages: Pages<T>,
) -> Result<Option<News<T>>, RegistryError> {
    let mut found = News::none();
    // What is newer than all that is known comes first, or else the order is another.
    let newest_known = known.values().filter_map(|record| record.changed_at()).max();
    let mut before: Option<i64> = None;
    while let Some(page) = pages.next_page().await? {
        let mut reached_the_known = false;
        let mut any_new = false;
        for record in page.records {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    found.problems.push(error.into());
                    continue;
                }
            };
            let Some(time) = record.changed_at() else { return Ok(None) };
            let out_of_order =
                before.map_or_else(|| newest_known.is_some_and(|newest| time < newest), |last| time > last);
            if out_of_order {
                return Ok(None);
            }
            before = Some(time);
            reached_the_known |= newest_known.is_some_and(|newest| time < newest);
            if known.get(record.id().as_str()) != Some(&&record) {
                any_new = true;
                found.changed.push(record);
            }
        }
        if page.is_last || reached_the_known || !any_new {
            break;
        }
    }
    Ok(Some(found))
}

/// The artifacts of several versions, a request each.
pub(super) async fn artifacts_of(
    client: &RegistryClient,
    versions: Vec<String>,
    concurrency: usize,
) -> Result<Vec<(String, registry_client::Listing<ModelArtifact>)>, RegistryError> {
    stream::iter(versions)
        .map(|version| async move {
            let listing = client.artifacts_of(&version, ListQuery::default()).collect_all().await?;
            Ok::<_, RegistryError>((version, listing))
        })
        .buffer_unordered(concurrency)
        .try_collect()
        .await
}
