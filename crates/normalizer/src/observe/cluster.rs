//! Puts what a cluster's watches see on the board.

use cluster::watch::{ClusterSnapshot, ClusterWatch, KindState};
use service::Shutdown;

use super::Board;
use crate::inventory::SourceId;

/// Follows a cluster's watches until `shutdown`.
pub async fn follow(id: SourceId, watch: ClusterWatch, board: Board, shutdown: Shutdown) {
    let mut changes = watch.changes();
    loop {
        changes.borrow_and_update();
        let snapshot = watch.snapshot();
        let failure = failure(&snapshot);
        board.cluster_seen(&id, is_readable(&snapshot).then_some(snapshot), failure);
        match shutdown.unless(changes.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// Whether as much is known as ever will be: where InferenceServices may not be read, waiting brings nothing.
fn is_readable(snapshot: &ClusterSnapshot) -> bool {
    let optional = |state: &KindState| state.is_known() || matches!(state, KindState::Forbidden { .. });
    optional(&snapshot.inference_services) && optional(&snapshot.owned_services) && optional(&snapshot.service_accounts)
}

/// Why less is known of a cluster than should be.
fn failure(snapshot: &ClusterSnapshot) -> Option<String> {
    let kinds = [&snapshot.inference_services, &snapshot.owned_services, &snapshot.service_accounts];
    kinds.into_iter().find_map(|state| match state {
        KindState::NotYet { reason } => Some(reason.clone().unwrap_or_else(|| "not read yet".to_owned())),
        KindState::Forbidden { reason } | KindState::Stale { reason, .. } => Some(reason.clone()),
        KindState::Absent | KindState::Complete { .. } => None,
    })
}
