//! The Backstage import: each entry that location holds is a location in Backstage, and no other of ours is.
//!
//! Every pass reads which locations Backstage has and works from the difference, so a restart, a lost answer or a
//! Backstage that lost its database needs no care of its own. Which content Backstage has read it does not tell. So what
//! it was told is remembered beside each location's id in the store, and what can't be shown to be known is told again.

mod find;
mod import;
mod memory;
mod ours;
mod plan;
mod prune;
mod standing;

use std::sync::Arc;

use backstage_client::{BackstageError, CatalogClient};
use model_catalog::render::Format;
use service::Shutdown;
use tokio::time::Instant;
use url::Url;

pub use self::find::Backstage;
pub use self::ours::BridgeUrl;

use self::memory::Memory;
use self::plan::Registered;
use self::prune::Pruning;
use self::standing::Standing;
use super::{Held, Pace, Settled, Untold};
use crate::metrics::{InStep, StorageMetrics};
use crate::store::{Store, StoreError};

/// What the import needs.
pub struct BackstageImport {
    /// Where entries come from.
    pub store: Arc<dyn Store>,
    /// Whom they are announced to.
    pub client: CatalogClient,
    /// What location holds: Backstage is never sent where there is nothing.
    pub held: Arc<Held>,
    /// By which changes it holds that.
    pub untold: Arc<Untold>,
    /// Whether what the store lacks is gone.
    pub settled: Settled,
    /// Location as Backstage sees it.
    pub bridge_url: Url,
    /// The format that location serves.
    pub format: Format,
    /// The type that locations are registered with.
    pub location_type: String,
    /// What becomes of entities that nothing emits any more.
    pub orphans: Orphans,
    /// What is counted.
    pub metrics: StorageMetrics,
    /// How patient it is.
    pub pace: Pace,
}

/// What becomes of entities of this bridge that nothing emits any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// Nothing.
    Keep,
    /// They are deleted.
    Prune,
}

/// A pass did not get to its end, or not for every entry.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Backstage(#[from] BackstageError),
    #[error(
        "Backstage takes no locations of type `{kind}`: give one that it takes with --bkstg-location-type / \
         BKSTG_LOCATION_TYPE, or choose NORMALIZER_FORMAT by what Backstage reads (`url` is for \
         CatalogInfoYamlFormat, `rhdh-rhoai-bridge` is known only where RHDH's provider is installed): {source}"
    )]
    LocationType { kind: String, source: BackstageError },
    #[error("Backstage says that {target} is registered, and does not show the location")]
    Hidden { target: String },
    #[error("{count} of the requests to Backstage failed, the last one: {last}")]
    Incomplete { count: usize, last: Box<ImportError> },
}

/// How far a pass got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Backstage has what it should have.
    Complete,
    /// Location has not told yet what it holds, so nothing was asked of Backstage.
    TooEarly,
}

/// The import at work.
struct Importing {
    given: BackstageImport,
    registered: Registered,
    memory: Memory,
    pruning: Pruning,
    standing: Standing,
}

impl BackstageImport {
    /// Imports until the service stops.
    pub async fn run(self, shutdown: Shutdown) {
        let registered = Registered {
            bridge: BridgeUrl::from(&self.bridge_url),
            format: self.format,
            kind: self.location_type.clone(),
        };
        let mut importing = Importing {
            registered,
            memory: Memory::new(self.pace.resync),
            pruning: Pruning::default(),
            standing: Standing::default(),
            given: self,
        };
        importing.run(&shutdown).await;
        importing.save_the_rest().await;
    }
}

impl Importing {
    async fn run(&mut self, shutdown: &Shutdown) {
        let mut failures = 0;
        while let Some(result) = shutdown.unless(self.pass()).await {
            failures = if result.is_ok() { 0 } else { failures + 1 };
            let wait = self.given.pace.wait(failures);
            self.standing.say(&result, wait);
            let in_step = matches!(result, Ok(Pass::Complete));
            self.given.metrics.backstage_in_step(if in_step { InStep::Yes } else { InStep::No });
            let waited = if result.is_ok() {
                shutdown.unless(self.wait_for_change()).await
            } else {
                shutdown.unless(tokio::time::sleep(wait)).await
            };
            if waited.is_none() {
                return;
            }
        }
    }

    async fn wait_for_change(&self) {
        let Pace { resync, first_wait, .. } = self.given.pace;
        tokio::select! {
            () = self.given.held.changed() => {}
            () = tokio::time::sleep(resync) => {}
        }
        // What changes together goes out together.
        tokio::time::sleep(first_wait).await;
    }

    async fn pass(&mut self) -> Result<Pass, ImportError> {
        if self.import().await? == Pass::TooEarly {
            return Ok(Pass::TooEarly);
        }
        if self.given.orphans == Orphans::Prune && self.given.settled.is_settled() {
            self.pruning.prune_when_due(&self.given, &self.registered, Instant::now()).await;
        }
        Ok(Pass::Complete)
    }
}
