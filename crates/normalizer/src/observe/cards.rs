//! Model cards: asked for once per distinct catalog model.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt as _, stream};
use registry_client::{CatalogClient, RegistryError};

use crate::inventory::{CardRef, Cards};

/// A catalog that may have the cards.
#[derive(Debug)]
pub struct Catalog {
    /// Its client.
    pub client: CatalogClient,
    /// Whether it is only supposed to be there, beside a registry, and so may be missing.
    pub supposed: bool,
}

/// Reads model cards from the first catalog that has them.
#[derive(Debug, Default)]
pub struct CardReader {
    catalogs: Vec<Catalog>,
    failing: AtomicBool,
}

impl CardReader {
    /// A reader of these catalogs.
    pub fn new(catalogs: Vec<Catalog>) -> Self {
        Self { catalogs, failing: AtomicBool::new(false) }
    }

    /// The wanted cards. One that a catalog could not be asked for is the one known `before`, else it is missing from
    /// the result.
    pub async fn read(&self, wanted: &BTreeSet<CardRef>, before: &Cards, concurrency: usize) -> Cards {
        let read: Vec<(CardRef, Result<Option<String>, RegistryError>)> =
            stream::iter(wanted.iter().cloned().collect::<Vec<_>>())
                .map(|card| async move {
                    let text = self.card(&card).await;
                    (card, text)
                })
                .buffer_unordered(concurrency)
                .collect()
                .await;
        let mut cards = Cards::new();
        let mut failure = None;
        for (card, text) in read {
            match text {
                Ok(text) => drop(cards.insert(card, text.map(Arc::from))),
                Err(error) => {
                    failure = Some(error.to_string());
                    cards.extend(before.get(&card).map(|known| (card, known.clone())));
                }
            }
        }
        self.say(failure);
        cards
    }

    async fn card(&self, card: &CardRef) -> Result<Option<String>, RegistryError> {
        let mut failure = None;
        for catalog in &self.catalogs {
            match catalog.client.model_card(&card.source, &card.model_name()).await {
                Ok(Some(model)) => return Ok(model.readme.filter(|text| !text.trim().is_empty())),
                Ok(None) => {}
                // Where no catalog was promised, anything but a passing failure means that there is none.
                Err(error) if catalog.supposed && !error.is_transient() => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Logs when catalogs begin and cease to fail, not each time.
    fn say(&self, failure: Option<String>) {
        let failed = failure.is_some();
        if self.failing.swap(failed, Ordering::Relaxed) == failed {
            return;
        }
        match failure {
            Some(error) => tracing::warn!("model cards cannot be read, known ones stay: {error}"),
            None => tracing::info!("model cards can be read again"),
        }
    }
}
