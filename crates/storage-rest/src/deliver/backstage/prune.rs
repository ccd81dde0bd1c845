//! Entities of this bridge that nothing emits any more are deleted, where that is wanted.

use backstage_client::{BackstageError, Entity, ORPHANS};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::BackstageImport;
use super::plan::Registered;
use crate::metrics::{Delivery, Target};

/// When orphans are looked for, and how that went.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    due: Option<Instant>,
    failing: bool,
}

impl Pruning {
    /// Deletes orphans, unless that was done a short while ago. A failure is nothing that entries wait for.
    pub(super) async fn prune_when_due(&mut self, given: &BackstageImport, registered: &Registered, now: Instant) {
        if self.due.is_some_and(|due| due > now) {
            return;
        }
        self.due = Some(now + given.pace.resync);
        match prune(given, registered).await {
            Ok(()) => self.failing = false,
            Err(error) if self.failing => tracing::debug!(%error, "orphaned entities can't be deleted"),
            Err(error) => {
                self.failing = true;
                tracing::warn!(%error, "orphaned entities can't be deleted (PRUNE_ORPHANS); it is tried again");
            }
        }
    }
}

async fn prune(given: &BackstageImport, registered: &Registered) -> Result<(), BackstageError> {
    let found = given.client.entities(&[ORPHANS]).await?;
    let ours = found.into_iter().filter(|entity| is_ours(entity, registered));
    let mut deletions = stream::iter(ours).map(|entity| delete(given, entity)).buffer_unordered(given.pace.concurrency);
    let mut result = Ok(());
    while let Some(deleted) = deletions.next().await {
        if let Err(error) = deleted {
            given.metrics.delivered(Target::Backstage, Delivery::Failed);
            result = Err(error);
        }
    }
    result
}

/// Whatever a filter lets through: an orphan, and from this bridge.
fn is_ours(entity: &Entity, registered: &Registered) -> bool {
    entity.is_orphan() && registered.bridge.emitted(entity, &registered.kind)
}

async fn delete(given: &BackstageImport, entity: Entity) -> Result<(), BackstageError> {
    let Some(uid) = entity.uid() else { return Ok(()) };
    given.client.delete_entity(uid).await?;
    given.metrics.delivered(Target::Backstage, Delivery::Pruned);
    tracing::info!(entity = entity.reference(), uid, "deleted an orphaned entity in Backstage");
    Ok(())
}
