//! A commit in the making: the state that it starts from, the one that it leads to, and the files in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_api::EntryKey;
use bytes::Bytes;

use super::super::{Filling, ImportedLocation, StoredEntry};
use super::files::{FileRef, Files, ShardFile};
use super::git::blob_id;
use super::layout::{self, Place, Shard};
use super::message::Summary;
use super::records::{self, Record};

/// What the directory of ours says of itself.
pub(super) const READ_ME: &str = "\
# Kept by the Model Catalog Bridge

Beside this directory each model has its files: `<model>/<version>/catalog-info.yaml` (or `model-catalog.json`), and
`model-card.md` where it has a card. They may be read by anyone and anything.

The bridge writes them from the model registries and clusters that it reads: what is changed here by hand is written over
as soon as the bridge notices. `index/` holds what it knows of each entry besides; `filling` is there while it fills an
empty storage for the first time.
";

/// What is written where; `None` deletes.
pub(super) type Changes = BTreeMap<String, Option<Bytes>>;

/// A commit that is not made yet.
pub(super) struct Draft<'a> {
    base: &'a Files,
    files: Files,
    changes: Changes,
    shards: BTreeSet<Shard>,
    summary: Summary,
}

/// A commit to be made.
#[derive(Debug)]
pub(super) struct Commit {
    /// Paths below the prefix.
    pub(super) changes: Changes,
    /// What there is when it is made.
    pub(super) files: Files,
    /// What it says.
    pub(super) message: String,
}

impl<'a> Draft<'a> {
    pub(super) fn of(base: &'a Files) -> Self {
        Self {
            base,
            files: base.clone(),
            changes: Changes::new(),
            shards: BTreeSet::new(),
            summary: Summary::default(),
        }
    }

    /// What there will be.
    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn put(&mut self, key: &EntryKey, entry: &StoredEntry) {
        let format = layout::format_of(&entry.body);
        self.write(&Place::Document(key.clone(), format), &entry.body);
        self.erase(&Place::Document(key.clone(), layout::other(format)));
        let card = Place::Card(key.clone());
        if entry.model_card.is_empty() {
            self.erase(&card);
        } else {
            self.write(&card, entry.model_card.as_bytes());
        }
        let ids = self.files.ids(key, format);
        let record = ids.map(|(document, card)| Record::of(key.clone(), entry, document, card));
        self.set_record(key, record);
        self.summary.note(key);
    }

    pub(super) fn remove(&mut self, key: &EntryKey) {
        if self.files.find(key).is_none() {
            return;
        }
        for format in layout::FORMATS {
            self.erase(&Place::Document(key.clone(), format));
        }
        self.erase(&Place::Card(key.clone()));
        self.set_record(key, None);
        self.summary.note(key);
    }

    pub(super) fn locate(&mut self, key: &EntryKey, location: Option<ImportedLocation>) {
        let record = self.files.record(key).cloned().unwrap_or_else(|| Record::unknown(key.clone()));
        self.set_record(key, Some(record.located(location)));
        self.summary.note_location(key);
    }

    pub(super) fn fill(&mut self, filling: Filling) {
        let under_way = filling == Filling::UnderWay;
        self.files.filling = under_way;
        let path = Place::Filling.path();
        match (self.base.filling, under_way) {
            (false, true) => self.changes.insert(path, Some(Bytes::from_static(b"The first fill is under way.\n"))),
            (true, false) => self.changes.insert(path, None),
            _ => self.changes.remove(&path),
        };
        self.summary.filling = Some(filling);
    }

    fn set_record(&mut self, key: &EntryKey, record: Option<Record>) {
        self.files.set_record(key, record);
        self.shards.insert(Shard::of(key));
    }

    fn write(&mut self, place: &Place, bytes: &[u8]) {
        let file = FileRef { sha: blob_id(bytes).into(), size: bytes.len() as u64 };
        if self.files.put(place, file) {
            self.changes.insert(place.path(), Some(Bytes::copy_from_slice(bytes)));
        }
    }

    fn erase(&mut self, place: &Place) {
        if !self.files.take(place) {
            return;
        }
        // GitHub takes no deletion of what is not there.
        if self.base.has(place) {
            self.changes.insert(place.path(), None);
        } else {
            self.changes.remove(&place.path());
        }
    }

    /// The commit, or `None` when nothing would change.
    pub(super) fn finish(mut self) -> Result<Option<Commit>, serde_json::Error> {
        for shard in std::mem::take(&mut self.shards) {
            self.write_shard(shard)?;
        }
        if self.changes.is_empty() {
            return Ok(None);
        }
        if !self.files.read_me {
            self.changes.insert(Place::ReadMe.path(), Some(Bytes::from_static(READ_ME.as_bytes())));
            self.files.read_me = true;
        }
        let message = self.summary.message(self.base, &self.files);
        Ok(Some(Commit { changes: self.changes, files: self.files, message }))
    }

    fn write_shard(&mut self, shard: Shard) -> Result<(), serde_json::Error> {
        let records = self.files.shards.get(&shard).map(|file| Arc::clone(&file.records)).unwrap_or_default();
        // What is known of entries that someone has deleted is of no use any more.
        let is_there = |record: &&Record| self.files.find(record.key()).is_some();
        let bytes = records::write(records.values().filter(is_there))?;
        let path = Place::Index(shard).path();
        let before = self.base.shards.get(&shard).map(|file| Arc::clone(&file.sha));
        if bytes.is_empty() {
            self.files.shards.remove(&shard);
            if before.is_some() {
                self.changes.insert(path, None);
            }
            return Ok(());
        }
        let sha: Arc<str> = blob_id(&bytes).into();
        if before.as_ref() != Some(&sha) {
            self.changes.insert(path, Some(bytes.into()));
        }
        self.files.shards.insert(shard, ShardFile { sha, records });
        Ok(())
    }
}
