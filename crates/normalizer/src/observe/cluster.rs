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
    kinds(snapshot).all(|state| state.is_known() || state.is_forbidden())
}

/// Why less is known of a cluster than should be. That annotations of namespaces may not be read is no failure.
fn failure(snapshot: &ClusterSnapshot) -> Option<String> {
    let optional = snapshot.namespaces.as_ref().filter(|state| state.is_forbidden());
    kinds(snapshot).filter(|state| Some(*state) != optional).find_map(|state| match state {
        KindState::NotYet { reason } => Some(reason.clone().unwrap_or_else(|| "not read yet".to_owned())),
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
