//! Where entries are kept: one trait, several back ends, one conformance suite (`tests/conformance`) that all pass.
//!
//! A store is the truth of the pipeline. What it answered as written is there after any crash, and what it lists is
//! what location and Backstage are made to hold.

pub mod backend;
pub mod config_map;
pub mod github;
mod group;
pub mod rehearsal;
pub mod sql;

use async_trait::async_trait;
use bridge_api::messages::Origin;
use bridge_api::{Digest, EntryKey, PostBody, ReconcilerType, StorageBody, content_digest};
use thiserror::Error;

/// Where Backstage reads an entry, once it was told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedLocation {
    /// The id that Backstage gave it.
    pub id: String,
    /// The URL that Backstage reads.
    pub target: String,
    /// The content that it was last told to read there; `None` where nobody knows.
    pub told: Option<Digest>,
}

/// An entry with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// The catalog document, byte by byte as it came.
    pub body: Vec<u8>,
    /// Which part of the normalizer it came from.
    pub reconciler_type: ReconcilerType,
    /// Milliseconds since 1970, or empty.
    pub last_update: String,
    /// Under which key location serves the model card; empty when there is none.
    pub model_card_key: String,
    /// The model card, in Markdown.
    pub model_card: String,
    /// What it is made from, as far as the normalizer said so.
    pub origin: Option<Origin>,
    /// Backstage's location of it; an upsert keeps the one that is stored, whatever it brings.
    pub location: Option<ImportedLocation>,
}

impl StoredEntry {
    /// An entry as it arrives.
    pub fn new(reconciler_type: ReconcilerType, post: PostBody) -> Self {
        Self {
            body: post.body,
            reconciler_type,
            last_update: post.last_update_time_since_epoch,
            model_card_key: post.model_card_key,
            model_card: post.model_card,
            origin: post.origin,
            location: None,
        }
    }

    /// Says whether content changed.
    pub fn digest(&self) -> Digest {
        content_digest(&self.body, &self.model_card_key, &self.model_card)
    }

    /// What is compared to tell whether writing it over what is stored would change anything that anyone reads. The
    /// time of the last update is not among it: a registry moves it for reasons that no entry shows.
    fn identity(&self) -> Identity {
        Identity { digest: self.digest(), reconciler_type: self.reconciler_type, origin: self.origin.clone() }
    }

    /// This entry, with what the sender of the stored one said and the sender of this one, a Go service, can't say.
    #[must_use]
    fn over(self, stored: &Identity) -> Self {
        Self { origin: self.origin.or_else(|| stored.origin.clone()), ..self }
    }

    /// What location is sent.
    pub fn into_post_body(self) -> PostBody {
        PostBody {
            body: self.body,
            last_update_time_since_epoch: self.last_update,
            model_card_key: self.model_card_key,
            model_card: self.model_card,
            // Location has no use for it.
            origin: None,
            changed_at: None,
        }
    }
}

impl From<StoredEntry> for StorageBody {
    fn from(entry: StoredEntry) -> Self {
        let location_id_valid = entry.location.is_some();
        let (location_id, location_target, location_digest) =
            entry.location.map(|location| (location.id, location.target, location.told)).unwrap_or_default();
        Self {
            body: entry.body,
            location_id,
            location_target,
            location_id_valid,
            location_digest,
            reconciler_type: entry.reconciler_type.to_string(),
            last_update_time_since_epoch: entry.last_update,
            model_card_key: entry.model_card_key,
            model_card: entry.model_card,
            origin: entry.origin,
        }
    }
}

impl From<StorageBody> for StoredEntry {
    fn from(stored: StorageBody) -> Self {
        let location = (stored.location_id_valid && !stored.location_id.is_empty()).then_some(ImportedLocation {
            id: stored.location_id,
            target: stored.location_target,
            told: stored.location_digest,
        });
        Self {
            body: stored.body,
            // Very old bridges kept no type, and had no other than this one.
            reconciler_type: stored.reconciler_type.parse().unwrap_or(ReconcilerType::Kubeflow),
            last_update: stored.last_update_time_since_epoch,
            model_card_key: stored.model_card_key,
            model_card: stored.model_card,
            origin: stored.origin,
            location,
        }
    }
}

/// Says whether two entries are the same to all who read them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    digest: Digest,
    reconciler_type: ReconcilerType,
    origin: Option<Origin>,
}

/// An entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Its key.
    pub key: EntryKey,
    /// The digest of its content.
    pub digest: Digest,
    /// Which part of the normalizer it came from.
    pub reconciler_type: ReconcilerType,
    /// What it is made from, as far as the normalizer said so.
    pub origin: Option<Origin>,
    /// How long its document is. The Go bridge stores empty ones, which nobody can be served.
    pub body_len: usize,
    /// Backstage's location of it.
    pub location: Option<ImportedLocation>,
}

impl IndexEntry {
    pub(crate) fn of(key: EntryKey, entry: &StoredEntry) -> Self {
        Self {
            key,
            digest: entry.digest(),
            reconciler_type: entry.reconciler_type,
            origin: entry.origin.clone(),
            body_len: entry.body.len(),
            location: entry.location.clone(),
        }
    }
}

/// What an upsert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The key is new.
    Created,
    /// The key has other content than before.
    Updated,
    /// The key has that content already; nothing was written.
    Unchanged,
}

impl Outcome {
    /// Its name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Whether a store is being filled in for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// It began with nothing and was told no key set yet: what it lacks may just not have come yet.
    UnderWay,
    /// It holds the whole.
    Over,
}

/// A back end that keeps entries.
///
/// All methods may be called concurrently, and by several processes on the same storage. What was written is durable
/// when the method returns.
#[async_trait]
pub trait Store: Send + Sync {
    /// What it is, for logs, such as "ConfigMap storage bac-import-model in namespace rhdh".
    fn describe(&self) -> String;

    /// Whether it can be reached now; cheap.
    async fn ping(&self) -> Result<(), StoreError>;

    /// All entries, sorted by key. Values that are no entries are left out (and alone).
    async fn index(&self) -> Result<Vec<IndexEntry>, StoreError>;

    /// One entry; `None` when there is none.
    async fn fetch(&self, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError>;

    /// Several entries; those that are not there are left out. A back end that can read them together does.
    async fn fetch_many(&self, keys: &[EntryKey]) -> Result<Vec<(EntryKey, StoredEntry)>, StoreError> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.extend(self.fetch(key).await?.map(|entry| (key.clone(), entry)));
        }
        Ok(found)
    }

    /// Keeps an entry. Backstage's location of it stays what it was.
    async fn upsert(&self, key: &EntryKey, entry: StoredEntry) -> Result<Outcome, StoreError>;

    /// Forgets entries; keys that are not there are no error.
    async fn remove(&self, keys: &[EntryKey]) -> Result<(), StoreError>;

    /// Whether what the store holds is being filled in for the first time, and so is not the whole.
    async fn filling(&self) -> Result<Filling, StoreError>;

    /// Remembers whether it is being filled in, over restarts.
    async fn set_filling(&self, filling: Filling) -> Result<(), StoreError>;

    /// Remembers where Backstage reads an entry. One that is gone meanwhile is no error, and stays gone.
    async fn set_location(&self, key: &EntryKey, location: Option<ImportedLocation>) -> Result<(), StoreError>;

    /// Lets go of files and connections; nothing is asked of it any more.
    async fn close(&self) {}
}

/// A store did not do what it was asked.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// It cannot be reached, or is not well; later it may be.
    #[error("{store} can't be used at the moment: {reason}")]
    Unavailable {
        /// Which one.
        store: String,
        /// What it said.
        reason: String,
    },
    /// Others kept writing in between.
    #[error("{store} was changed by others in {attempts} attempts to write {what}")]
    Conflict {
        /// Which one.
        store: String,
        /// What was to be written.
        what: String,
        /// How often it was tried.
        attempts: usize,
    },
    /// It has no room for the entry.
    #[error("entry {key} ({size} bytes) does not fit into {store}, which holds {limit} bytes in all")]
    TooLarge {
        /// Which one.
        store: String,
        /// The entry.
        key: EntryKey,
        /// The size of the entry as it would be stored.
        size: usize,
        /// What the store can hold.
        limit: usize,
    },
    /// What is stored under the key is no entry.
    #[error("what {store} holds under the key {key} is no entry: {reason}")]
    Corrupt {
        /// Which one.
        store: String,
        /// The key.
        key: EntryKey,
        /// Why.
        reason: String,
    },
    /// The store does not let the bridge do it.
    #[error("{store} refused: the bridge may not {verb} {resource}: {reason}")]
    Permission {
        /// Which one.
        store: String,
        /// What was tried.
        verb: &'static str,
        /// On what.
        resource: String,
        /// What it said.
        reason: String,
    },
    /// The bridge may do it in principle, but a quota, a policy or a rule of the store is against it.
    #[error("{store} refused to {verb} {resource}: {reason}")]
    Refused {
        /// Which one.
        store: String,
        /// What was tried.
        verb: &'static str,
        /// On what.
        resource: String,
        /// What it said.
        reason: String,
    },
    /// It was opened with settings that can't work.
    #[error("{store} can't be opened: {reason}")]
    Settings {
        /// Which one.
        store: String,
        /// What is wrong, and with which setting.
        reason: String,
    },
}

impl StoreError {
    /// Whoever wrote for several was cancelled, so nobody knows what came of it.
    fn given_up(store: String) -> Self {
        Self::Unavailable { store, reason: "the write was given up".to_owned() }
    }

    /// Whether the same request may succeed later without anyone doing anything about it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Conflict { .. })
    }
}
