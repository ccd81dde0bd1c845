//! Puts what a cluster's watches see on the board.

use std::time::Duration;

use cluster::watch::{ClusterSnapshot, ClusterWatch, KindState};
use service::Shutdown;
use tokio::time::{Instant, sleep_until};

use super::Board;
use crate::inventory::SourceId;

/// Follows the watches of one cluster.
pub struct Follower {
    /// What its entries are remembered under.
    pub id: SourceId,
    /// The watches.
    pub watch: ClusterWatch,
    /// Where what they see is put.
    pub board: Board,
    /// How long after it was asked for a complete list begins.
    pub interval: Duration,
}

impl Follower {
    /// Follows until `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        let mut changes = self.watch.changes();
        let mut awaited = self.board.awaited();
        let mut relist_at: Option<Instant> = None;
        changes.mark_changed();
        loop {
            let relist = async {
                match relist_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.show();
                }
                // The board outlives its observers.
                _ = awaited.changed() => {}
                () = relist => {
                    self.watch.relist();
                    relist_at = None;
                }
            }
            relist_at = match relist_at {
                // A list that failed is asked for again.
                None if self.board.is_awaited(&self.id) => Some(Instant::now() + self.interval),
                Some(_) if !self.board.is_awaited(&self.id) => None,
                unchanged => unchanged,
            };
        }
    }

    fn show(&self) {
        let snapshot = self.watch.snapshot();
        let failure = failure(&snapshot);
        self.board.cluster_seen(&self.id, is_readable(&snapshot).then_some(snapshot), failure);
    }
}

/// Whether as much is known as ever will be: where InferenceServices may not be read, waiting brings nothing.
fn is_readable(snapshot: &ClusterSnapshot) -> bool {
    kinds(snapshot).all(|state| state.is_known() || state.is_forbidden())
}

/// Why less is known of a cluster than should be. That annotations of namespaces may not be read is no failure.
fn failure(snapshot: &ClusterSnapshot) -> Option<String> {
    let optional = snapshot.namespaces.as_ref().filter(|state| state.is_forbidden());
    kinds(snapshot).filter(|state| Some(*state) != optional).find_map(|state| match state {
        KindState::NotYet { reason } => reason.clone(),
        KindState::Forbidden { reason } | KindState::Stale { reason, .. } => Some(reason.clone()),
        KindState::Absent | KindState::Complete { .. } => None,
    })
}

fn kinds(snapshot: &ClusterSnapshot) -> impl Iterator<Item = &KindState> {
    let always = [
        &snapshot.inference_services,
        &snapshot.llm_inference_services,
        &snapshot.owned_services,
        &snapshot.service_accounts,
    ];
    always.into_iter().chain(&snapshot.namespaces)
}
