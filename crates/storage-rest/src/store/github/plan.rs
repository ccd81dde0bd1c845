//! What a group of edits comes to, given what is stored. Nothing is asked or written here.

use std::collections::BTreeMap;

use bridge_api::{Digest, EntryKey};

use super::super::{Filling, Identity, ImportedLocation, IndexEntry, Outcome, StoreError, StoredEntry};
use super::draft::{Commit, Draft};
use super::files::{Files, Found};
use super::layout;
use super::records::Record;

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) enum Edit {
    Upsert(EntryKey, Box<StoredEntry>),
    Remove(Vec<EntryKey>),
    Locate(EntryKey, Option<ImportedLocation>),
    Fill(Filling),
}

impl Edit {
    /// For messages.
    pub(super) fn describe(edits: &[Self]) -> String {
        match edits {
            [Self::Upsert(key, _)] => format!("entry {key}"),
            [Self::Remove(keys)] => format!("the removal of {} entries", keys.len()),
            [Self::Locate(key, _)] => format!("the location of {key}"),
            [Self::Fill(_)] => "whether it is being filled".to_owned(),
            several => format!("{} edits", several.len()),
        }
    }

    /// The entry whose stored content matters for it.
    pub(super) fn upserted(&self) -> Option<&EntryKey> {
        match self {
            Self::Upsert(key, _) => Some(key),
            _ => None,
        }
    }
}

/// The results of the edits, and the commit that they take.
pub(super) fn plan(
    stored: &Files,
    digests: &BTreeMap<EntryKey, Digest>,
    edits: &[Edit],
    tried: &mut [Option<Outcome>],
    store: &str,
) -> (Vec<Result<Outcome, StoreError>>, Option<Commit>) {
    let mut plan = Plan { draft: Draft::of(stored), digests, store };
    let plan_one = |(edit, tried): (&Edit, &mut Option<Outcome>)| {
        let outcome = plan.take(edit)?;
        if outcome == Outcome::Unchanged {
            return Ok(tried.unwrap_or(outcome));
        }
        *tried = Some(outcome);
        Ok(outcome)
    };
    let results: Vec<_> = edits.iter().zip(tried).map(plan_one).collect();
    match plan.draft.finish() {
        Ok(commit) => (results, commit),
        Err(error) => {
            let error = StoreError::Unavailable { store: store.to_owned(), reason: error.to_string() };
            (edits.iter().map(|_| Err(error.clone())).collect(), None)
        }
    }
}

struct Plan<'a> {
    draft: Draft<'a>,
    digests: &'a BTreeMap<EntryKey, Digest>,
    store: &'a str,
}

impl Plan<'_> {
    fn take(&mut self, edit: &Edit) -> Result<Outcome, StoreError> {
        match edit {
            Edit::Upsert(key, entry) => self.upsert(key, entry),
            Edit::Remove(keys) => {
                for key in keys {
                    self.draft.remove(key);
                }
                Ok(Outcome::Unchanged)
            }
            Edit::Locate(key, location) => {
                if let Some(found) = self.draft.files().find(key)
                    && found.record.and_then(Record::location) != *location
                {
                    self.draft.locate(key, location.clone());
                }
                Ok(Outcome::Unchanged)
            }
            Edit::Fill(filling) => {
                if self.draft.files().filling != (*filling == Filling::UnderWay) {
                    self.draft.fill(*filling);
                }
                Ok(Outcome::Unchanged)
            }
        }
    }

    fn upsert(&mut self, key: &EntryKey, entry: &StoredEntry) -> Result<Outcome, StoreError> {
        let Some(found) = self.draft.files().find(key) else {
            self.put(key, &StoredEntry { location: None, ..entry.clone() })?;
            return Ok(Outcome::Created);
        };
        let location = found.record.and_then(Record::location);
        // Of what can't be read nothing is known, so it is replaced.
        let digest = found.digest().or_else(|| self.digests.get(key).cloned());
        let stored = digest.map(|digest| Identity {
            digest,
            reconciler_type: reconciler_type(&found),
            origin: found.record.and_then(|record| record.origin.clone()),
        });
        let entry = match &stored {
            Some(stored) => entry.clone().over(stored),
            None => entry.clone(),
        };
        if stored.as_ref() == Some(&entry.identity()) {
            return Ok(Outcome::Unchanged);
        }
        self.put(key, &StoredEntry { location, ..entry })?;
        Ok(Outcome::Updated)
    }

    fn put(&mut self, key: &EntryKey, entry: &StoredEntry) -> Result<(), StoreError> {
        let format = layout::format_of(&entry.body);
        if let Some(path) = self.draft.files().obstacle(key, format) {
            let what = if path.is_empty() { "STORAGE_GITHUB_PATH".to_owned() } else { format!("`{path}`") };
            let reason = format!("{what} is something else there, which would be lost: move it away");
            return Err(StoreError::Corrupt { store: self.store.to_owned(), key: key.clone(), reason });
        }
        self.draft.put(key, entry);
        Ok(())
    }
}

fn reconciler_type(found: &Found<'_>) -> bridge_api::ReconcilerType {
    found.record.map_or(bridge_api::ReconcilerType::Kubeflow, Record::reconciler_type)
}

/// An entry with the content of its files.
pub(super) fn stored(found: &Found<'_>, body: Vec<u8>, model_card: String) -> StoredEntry {
    StoredEntry {
        body,
        reconciler_type: reconciler_type(found),
        last_update: found.record.map(|record| record.last_update.clone()).unwrap_or_default(),
        model_card_key: found.card_key().to_owned(),
        model_card,
        origin: found.record.and_then(|record| record.origin.clone()),
        location: found.record.and_then(Record::location),
    }
}

/// An entry without it.
pub(super) fn index_entry(found: &Found<'_>, digest: Digest) -> IndexEntry {
    IndexEntry {
        key: found.key.clone(),
        digest,
        reconciler_type: reconciler_type(found),
        origin: found.record.and_then(|record| record.origin.clone()),
        body_len: usize::try_from(found.document.size).unwrap_or(usize::MAX),
        location: found.record.and_then(Record::location),
    }
}
