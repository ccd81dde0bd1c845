//! Reads entries from storage: many with each request from a storage of ours, one by one from a Go storage and wherever
//! reading many did not work.
//!
//! Each batch is read and made ready to be served by a task of its own, so that this keeps all cores busy.

use bridge_api::{ClientError, Digest, EntryKey, MAX_FETCHED_KEYS, StorageBody, StorageClient};
use futures::StreamExt;
use model_catalog::render::Format;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use crate::snapshot::{Entry, Unservable};

const CONCURRENT_BATCHES: usize = 2;
const CONCURRENT_FETCHES: usize = 16;
/// After so many failures the rest would most likely fail, too.
const MAX_FAILED_FETCHES: usize = 20;

/// What a storage understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// It gives many entries at once.
    Ours,
    /// It gives one at a time.
    Go,
}

/// Where entries come from and what they are to be.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) storage: StorageClient,
    pub(super) format: Format,
}

/// An entry that can be served or, with its digest, why one cannot.
pub(super) type Checked = Result<Entry, (Unservable, Digest)>;

/// What came of reading. A key that is in neither part is no longer in storage, or was not tried after many failures.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) found: Vec<(EntryKey, Checked)>,
    pub(super) failed: Vec<(EntryKey, ClientError)>,
}

impl Source {
    /// Reads all of `wanted`.
    pub(super) async fn fetch(&self, peer: Peer, wanted: Vec<EntryKey>) -> Result<Fetched, JoinError> {
        let mut fetched = Fetched { found: Vec::with_capacity(wanted.len()), failed: Vec::new() };
        if peer == Peer::Go {
            self.fetch_singly(wanted, &mut fetched).await;
            return Ok(fetched);
        }
        let batches: Vec<Vec<EntryKey>> = wanted.chunks(MAX_FETCHED_KEYS).map(<[EntryKey]>::to_vec).collect();
        let mut answers = futures::stream::iter(batches)
            .map(|batch| {
                let source = self.clone();
                AbortOnDropHandle::new(tokio::spawn(async move { source.fetch_batch(batch).await }))
            })
            .buffer_unordered(CONCURRENT_BATCHES);
        while let Some(batch) = answers.next().await {
            let batch = batch?;
            fetched.found.extend(batch.found);
            fetched.failed.extend(batch.failed);
            if fetched.failed.len() >= MAX_FAILED_FETCHES {
                break;
            }
        }
        Ok(fetched)
    }

    async fn fetch_batch(&self, mut keys: Vec<EntryKey>) -> Fetched {
        let mut fetched = Fetched::default();
        while !keys.is_empty() {
            match self.storage.fetch_many(&keys).await {
                Ok(answer) if answer.rest.len() < keys.len() => {
                    fetched.found.extend(answer.entries.into_iter().map(|(key, body)| (key, self.checked(body))));
                    keys = answer.rest;
                }
                Ok(_) => {
                    tracing::debug!("storage gives none of {} entries at once", keys.len());
                    self.fetch_singly(std::mem::take(&mut keys), &mut fetched).await;
                }
                Err(error) => {
                    tracing::debug!("{} entries are fetched one by one: {error}", keys.len());
                    self.fetch_singly(std::mem::take(&mut keys), &mut fetched).await;
                }
            }
        }
        fetched
    }

    async fn fetch_singly(&self, wanted: Vec<EntryKey>, fetched: &mut Fetched) {
        let mut answers = futures::stream::iter(wanted)
            .map(|key| async move { (self.storage.fetch(&key).await, key) })
            .buffer_unordered(CONCURRENT_FETCHES);
        while let Some((answer, key)) = answers.next().await {
            match answer {
                Ok(Some(body)) => fetched.found.push((key, self.checked(body))),
                // Removed since the list was made: the next one will say so.
                Ok(None) => tracing::debug!(%key, "storage no longer holds an entry that it listed"),
                Err(error) => {
                    fetched.failed.push((key, error));
                    if fetched.failed.len() >= MAX_FAILED_FETCHES {
                        return;
                    }
                }
            }
        }
    }

    fn checked(&self, stored: StorageBody) -> Checked {
        let StorageBody { body, model_card_key, model_card, .. } = stored;
        Entry::checked(self.format, body, &model_card_key, model_card)
    }
}
