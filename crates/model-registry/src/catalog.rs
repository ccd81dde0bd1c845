//! The model catalog: models that there are to choose from, as files describe them, over the REST API of Kubeflow's.
//!
//! A file of sources names files of models. They are read at the start and whenever one of them changes; a source whose
//! file can't be read keeps what it held, and says what is wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use service::Shutdown;

mod api;
mod files;
mod models;

pub use api::router;
pub use files::CatalogError;
use models::Snapshot;

/// How often files are looked at. Mounted ConfigMaps change by a link being replaced, which no watch of a file sees.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A catalog. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Catalog {
    file: Arc<Path>,
    current: Arc<ArcSwap<Snapshot>>,
}

impl Catalog {
    /// The catalog of that file of sources, which has to be readable; files of models need not be.
    pub fn open(file: &Path) -> Result<Self, CatalogError> {
        let snapshot = files::read(file, &Snapshot::default())?;
        for source in &snapshot.sources {
            match &source.error {
                None => tracing::info!(source = source.id, models = source.models.len(), "the catalog source was read"),
                Some(error) => tracing::warn!(source = source.id, "the catalog source can't be read: {error}"),
            }
        }
        Ok(Self { file: file.into(), current: Arc::new(ArcSwap::from_pointee(snapshot)) })
    }

    /// Follows the files until `shutdown`.
    pub async fn follow(self, shutdown: Shutdown) {
        while shutdown.unless(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let before = self.current.load_full();
            if files::stamps(&before) == before.stamps {
                continue;
            }
            let (file, known) = (Arc::clone(&self.file), Arc::clone(&before));
            match tokio::task::spawn_blocking(move || files::read(&file, &known)).await {
                Ok(Ok(snapshot)) => {
                    tracing::info!(sources = snapshot.sources.len(), "the catalog was read again");
                    self.current.store(Arc::new(snapshot));
                }
                Ok(Err(error)) => {
                    tracing::warn!("the catalog stays as it was: {error}");
                    // What is wrong is said once, not with each look.
                    let stamps = files::stamps(&before);
                    self.current.store(Arc::new(Snapshot { stamps, ..Snapshot::clone(&before) }));
                }
                Err(panicked) => tracing::error!("reading the catalog failed: {panicked}"),
            }
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests;
