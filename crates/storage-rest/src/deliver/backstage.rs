//! The Backstage import: each entry that location holds is a location in Backstage, and no other of ours is.
//!
//! Every pass reads what Backstage has and works from the difference, so a restart, a lost answer or a Backstage that
//! lost its database needs no care of its own. What is remembered in the store (id and target) is for people and for
//! Go services; no decision rests on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstage_client::{BackstageError, CatalogClient, Created, Location, location_entity_ref};
use bridge_api::{Digest, EntryKey};
use futures::{StreamExt, stream};
use model_catalog::render::Format;
use service::Shutdown;
use url::Url;

use super::{Held, Pace, Settled};
use crate::metrics::{Delivery, StorageMetrics, Target};
use crate::store::{ImportedLocation, IndexEntry, Store, StoreError};

/// What the import needs.
pub struct BackstageImport {
    /// Where entries come from.
    pub store: Arc<dyn Store>,
    /// Whom they are announced to.
    pub client: CatalogClient,
    /// What location holds: Backstage is never sent where there is nothing.
    pub held: Arc<Held>,
    /// Whether what the store lacks is gone.
    pub settled: Settled,
    /// Location as Backstage sees it.
    pub bridge_url: Url,
    /// The format that location serves.
    pub format: Format,
    /// The type that locations are registered with.
    pub location_type: String,
    /// What is counted.
    pub metrics: StorageMetrics,
    /// How patient it is.
    pub pace: Pace,
}

/// A pass did not get to its end, or not for every entry.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Backstage(#[from] BackstageError),
    #[error("{count} of the requests to Backstage failed, the last one: {last}")]
    Incomplete { count: usize, last: Box<ImportError> },
}

/// What an entry should be in Backstage.
struct Wanted {
    key: EntryKey,
    target: String,
    digest: Digest,
    remembered: Option<ImportedLocation>,
}

/// What is to be done for one location.
enum Step {
    Create(Wanted),
    Adopt(Wanted, String),
    Delete(Location),
}

/// The content of each entry that Backstage was last told of.
type Announced = BTreeMap<EntryKey, Digest>;

impl BackstageImport {
    /// Imports until the service stops.
    pub async fn run(self, shutdown: Shutdown) {
        let mut announced = Announced::new();
        let mut failures = 0;
        while let Some(result) = shutdown.unless(self.reconcile(&mut announced)).await {
            let waited = match result {
                Ok(()) => {
                    failures = 0;
                    let wake = async {
                        tokio::select! {
                            () = self.held.changed() => {}
                            () = tokio::time::sleep(self.pace.resync) => {}
                        }
                        // What changes together goes out together.
                        tokio::time::sleep(self.pace.first_wait).await;
                    };
                    shutdown.unless(wake).await
                }
                Err(error) => {
                    failures += 1;
                    let wait = self.pace.wait(failures);
                    tracing::warn!(%error, retry_in = ?wait, "Backstage does not hold all entries yet");
                    shutdown.unless(tokio::time::sleep(wait)).await
                }
            };
            if waited.is_none() {
                return;
            }
        }
    }

    async fn reconcile(&self, announced: &mut Announced) -> Result<(), ImportError> {
        // Only a store and a location that were really read say what there is, and what there is not.
        let index = self.store.index().await?;
        let Some(held) = self.held.confirmed() else { return Ok(()) };
        let actual = self.client.locations().await?;
        let steps = self.plan(&index, &held, actual);
        announced.retain(|key, _| held.contains_key(key));
        let mut results =
            stream::iter(steps).map(|step| self.take(step, announced)).buffer_unordered(self.pace.concurrency);
        let mut settled = Vec::new();
        let mut failed = Vec::new();
        while let Some(result) = results.next().await {
            match result {
                Ok(done) => settled.extend(done),
                Err(error) => failed.push(error),
            }
        }
        drop(results);
        announced.extend(settled);
        self.metrics.undelivered(Target::Backstage, failed.len());
        let count = failed.len();
        match failed.pop() {
            None => Ok(()),
            Some(last) => Err(ImportError::Incomplete { count, last: Box::new(last) }),
        }
    }

    fn plan(&self, index: &[IndexEntry], held: &BTreeMap<EntryKey, Digest>, actual: Vec<Location>) -> Vec<Step> {
        let mut ours: BTreeMap<String, Location> = actual
            .into_iter()
            .filter(|location| self.is_ours(location))
            .map(|location| (location.target.clone(), location))
            .collect();
        let mut steps = Vec::new();
        for entry in index {
            let target = self.target(&entry.key);
            let registered = ours.remove(&target);
            // What location does not hold yet stays as it is.
            let Some(digest) = held.get(&entry.key).cloned() else { continue };
            let remembered = entry.location.clone();
            let wanted = Wanted { key: entry.key.clone(), target, digest, remembered };
            steps.push(match registered {
                Some(location) => Step::Adopt(wanted, location.id),
                None => Step::Create(wanted),
            });
        }
        if self.settled.is_settled() {
            steps.extend(ours.into_values().map(Step::Delete));
        }
        steps
    }

    /// Does one step; what Backstage was told of by it.
    async fn take(&self, step: Step, announced: &Announced) -> Result<Option<(EntryKey, Digest)>, ImportError> {
        let result = match step {
            Step::Create(wanted) => self.create(wanted).await.map(Some),
            Step::Adopt(wanted, id) => self.adopt(wanted, id, announced).await.map(Some),
            Step::Delete(location) => self.delete(&location).await.map(|()| None),
        };
        if let Err(ImportError::Backstage(error)) = &result {
            let outcome = if error.is_retryable() { Delivery::Failed } else { Delivery::Rejected };
            self.metrics.delivered(Target::Backstage, outcome);
        }
        result
    }

    async fn create(&self, wanted: Wanted) -> Result<(EntryKey, Digest), ImportError> {
        let id = match self.client.create_location(&self.location_type, &wanted.target).await? {
            Created::Created { id } => {
                self.metrics.delivered(Target::Backstage, Delivery::Upserted);
                tracing::info!(key = %wanted.key, target = wanted.target, "registered a location in Backstage");
                Some(id)
            }
            // Registered since the list was read, by someone else or by a request of ours whose answer was lost.
            Created::AlreadyExists => self.find(&wanted.target).await?,
        };
        if let Some(id) = id {
            self.remember(&wanted, id).await?;
        }
        Ok((wanted.key, wanted.digest))
    }

    async fn find(&self, target: &str) -> Result<Option<String>, BackstageError> {
        let locations = self.client.locations().await?;
        let same = |location: &Location| location.kind == self.location_type && location.target == target;
        Ok(locations.into_iter().find(same).map(|location| location.id))
    }

    async fn adopt(
        &self,
        wanted: Wanted,
        id: String,
        announced: &Announced,
    ) -> Result<(EntryKey, Digest), ImportError> {
        self.remember(&wanted, id).await?;
        if announced.get(&wanted.key).is_some_and(|digest| *digest != wanted.digest) {
            self.client.refresh(&location_entity_ref(&self.location_type, &wanted.target)).await?;
            self.metrics.delivered(Target::Backstage, Delivery::Refreshed);
            tracing::debug!(key = %wanted.key, "told Backstage to read an entry again");
        }
        Ok((wanted.key, wanted.digest))
    }

    async fn remember(&self, wanted: &Wanted, id: String) -> Result<(), StoreError> {
        let location = Some(ImportedLocation { id, target: wanted.target.clone(), told: None });
        if wanted.remembered == location {
            return Ok(());
        }
        self.store.set_location(&wanted.key, location).await
    }

    async fn delete(&self, location: &Location) -> Result<(), ImportError> {
        self.client.delete_location(&location.id).await?;
        self.metrics.delivered(Target::Backstage, Delivery::Removed);
        tracing::info!(target = location.target, "removed a location from Backstage");
        Ok(())
    }

    fn target(&self, key: &EntryKey) -> String {
        format!("{}{}", self.base(), key.uri(self.format))
    }

    fn is_ours(&self, location: &Location) -> bool {
        let below = location.target.strip_prefix(self.base()).is_some_and(|rest| rest.starts_with('/'));
        below && location.kind == self.location_type
    }

    fn base(&self) -> &str {
        self.bridge_url.as_str().trim_end_matches('/')
    }
}
