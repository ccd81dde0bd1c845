//! Keeps an index of the current snapshot, for those who look.

use std::sync::Arc;

use arc_swap::ArcSwap;
use service::ApiError;
use tokio::sync::Mutex;

use super::index::Index;
use super::internal;
use crate::catalog::ServedCatalog;

/// Makes the index anew when somebody looks and entries have changed. However many look, one is made at a time, off the
/// threads that answer requests. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Indexing {
    catalog: Arc<ServedCatalog>,
    latest: Arc<ArcSwap<Index>>,
    /// Held by whoever makes one.
    turn: Arc<Mutex<()>>,
}

impl Indexing {
    pub(super) fn new(catalog: Arc<ServedCatalog>) -> Self {
        Self { catalog, latest: Arc::default(), turn: Arc::default() }
    }

    /// An index that is no older than this call.
    pub(super) async fn current(&self) -> Result<Arc<Index>, ApiError> {
        let asked = self.catalog.current().generation();
        let latest = self.latest.load_full();
        if latest.generation() >= asked {
            return Ok(latest);
        }
        let this = self.clone();
        // Goes on when who asked goes away: the next one asks for the same.
        let made = tokio::spawn(async move {
            let turn = Arc::clone(&this.turn).lock_owned().await;
            let latest = this.latest.load_full();
            if latest.generation() >= asked {
                return Ok(latest);
            }
            tokio::task::spawn_blocking(move || {
                let _turn = turn;
                let snapshot = this.catalog.snapshot();
                let index = Arc::new(Index::of(&snapshot, this.catalog.format(), &latest));
                this.latest.store(Arc::clone(&index));
                index
            })
            .await
        });
        made.await.and_then(|made| made).map_err(|_| internal("the entries could not be listed"))
    }
}
