//! What is in the repository below the prefix, as far as it is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_api::{Digest, EntryKey};
use model_catalog::render::Format;

use super::layout::{self, Place, Shard};
use super::records::{Record, Records};
use super::routes::TreeItem;

/// A file: the id of its content, and its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRef {
    pub(super) sha: Arc<str>,
    pub(super) size: u64,
}

/// The files of one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EntryFiles {
    yaml: Option<FileRef>,
    json: Option<FileRef>,
    pub(super) card: Option<FileRef>,
}

impl EntryFiles {
    pub(super) fn of_format(&self, format: Format) -> Option<&FileRef> {
        match format {
            Format::CatalogInfoYaml => self.yaml.as_ref(),
            Format::ModelCatalogJson => self.json.as_ref(),
        }
    }

    fn slot(&mut self, format: Format) -> &mut Option<FileRef> {
        match format {
            Format::CatalogInfoYaml => &mut self.yaml,
            Format::ModelCatalogJson => &mut self.json,
        }
    }

    /// The document. Where someone has put one of the other format beside ours, ours counts.
    fn document(&self, record: Option<&Record>) -> Option<&FileRef> {
        let both = [self.yaml.as_ref(), self.json.as_ref()];
        let recorded = |file: &&FileRef| record.is_some_and(|record| record.is_about(&file.sha));
        both.into_iter().flatten().find(recorded).or_else(|| both.into_iter().flatten().next())
    }

    fn card_sha(&self) -> Option<&str> {
        self.card.as_ref().map(|card| card.sha.as_ref())
    }
}

/// A part of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardFile {
    pub(super) sha: Arc<str>,
    pub(super) records: Arc<Records>,
}

/// An entry, as its files and its record say.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    pub(super) key: &'a EntryKey,
    pub(super) document: &'a FileRef,
    pub(super) card: Option<&'a FileRef>,
    pub(super) record: Option<&'a Record>,
}

impl Found<'_> {
    /// Its digest, where it can be told without reading its files.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.record?.digest_of(&self.document.sha, self.card.map(|card| card.sha.as_ref()))
    }

    pub(super) fn card_key(&self) -> &str {
        self.record.map_or("", |record| &record.model_card_key)
    }
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    entries: BTreeMap<EntryKey, EntryFiles>,
    pub(super) shards: BTreeMap<Shard, ShardFile>,
    pub(super) filling: bool,
    pub(super) read_me: bool,
    /// What is no directory, though it is where one of ours would be.
    blocked: BTreeSet<String>,
}

impl Files {
    /// What a list of paths below the prefix comes to, and the parts of the index that are still to be read.
    pub(super) fn of(items: impl IntoIterator<Item = (String, TreeItem)>) -> (Self, BTreeMap<Shard, Arc<str>>) {
        let mut files = Self::default();
        let mut shards = BTreeMap::new();
        for (path, item) in items {
            if !item.is_file() {
                files.note_obstacle(path, &item);
                continue;
            }
            let sha: Arc<str> = item.sha.into();
            let file = FileRef { sha: Arc::clone(&sha), size: item.size };
            match Place::at(&path) {
                Some(Place::Document(key, format)) => *files.entries.entry(key).or_default().slot(format) = Some(file),
                Some(Place::Card(key)) => files.entries.entry(key).or_default().card = Some(file),
                Some(Place::Index(shard)) => {
                    shards.insert(shard, sha);
                }
                Some(Place::Filling) => files.filling = true,
                Some(Place::ReadMe) => files.read_me = true,
                None => {
                    files.blocked.insert(path);
                }
            }
        }
        // Deeper down nothing is in anybody's way.
        files.blocked.retain(|path| path.matches('/').count() < 2 || Place::at(path).is_some());
        (files, shards)
    }

    /// A repository that has a file where the prefix should be a directory.
    pub(super) fn blocked() -> Self {
        Self { blocked: BTreeSet::from([String::new()]), ..Self::default() }
    }

    fn note_obstacle(&mut self, path: String, item: &TreeItem) {
        // A directory is in the way where a file belongs, a link or a submodule anywhere.
        if !item.is_directory() || Place::at(&path).is_some() {
            self.blocked.insert(path);
        }
    }

    /// What is in the way of an entry's files.
    pub(super) fn obstacle(&self, key: &EntryKey, format: Format) -> Option<String> {
        let [first, second] = layout::directories(key);
        let paths = [
            String::new(),
            first,
            second,
            Place::Document(key.clone(), format).path(),
            Place::Card(key.clone()).path(),
        ];
        paths.into_iter().find(|path| self.blocked.contains(path))
    }

    pub(super) fn record(&self, key: &EntryKey) -> Option<&Record> {
        self.shards.get(&Shard::of(key))?.records.get(key)
    }

    /// An entry; `None` when there is no document.
    pub(super) fn find(&self, key: &EntryKey) -> Option<Found<'_>> {
        let (key, files) = self.entries.get_key_value(key)?;
        self.found(key, files)
    }

    /// All entries.
    pub(super) fn all(&self) -> impl Iterator<Item = Found<'_>> {
        self.entries.iter().filter_map(|(key, files)| self.found(key, files))
    }

    fn found<'a>(&'a self, key: &'a EntryKey, files: &'a EntryFiles) -> Option<Found<'a>> {
        let record = self.record(key);
        Some(Found { key, document: files.document(record)?, card: files.card.as_ref(), record })
    }

    /// Whether there is a file at a place.
    pub(super) fn has(&self, place: &Place) -> bool {
        match place {
            Place::Document(key, format) => {
                self.entries.get(key).is_some_and(|files| files.of_format(*format).is_some())
            }
            Place::Card(key) => self.entries.get(key).is_some_and(|files| files.card.is_some()),
            Place::Index(shard) => self.shards.contains_key(shard),
            Place::Filling => self.filling,
            Place::ReadMe => self.read_me,
        }
    }

    /// Puts a document or a card there; whether that changes anything.
    pub(super) fn put(&mut self, place: &Place, file: FileRef) -> bool {
        let slot = match place {
            Place::Document(key, format) => self.entries.entry(key.clone()).or_default().slot(*format),
            Place::Card(key) => &mut self.entries.entry(key.clone()).or_default().card,
            Place::Index(_) | Place::Filling | Place::ReadMe => return false,
        };
        let changes = slot.as_ref().map(|file| &file.sha) != Some(&file.sha);
        *slot = Some(file);
        changes
    }

    /// Takes a document or a card away; whether it was there.
    pub(super) fn take(&mut self, place: &Place) -> bool {
        let (Place::Document(key, _) | Place::Card(key)) = place else { return false };
        let Some(files) = self.entries.get_mut(key) else { return false };
        let taken = match place {
            Place::Document(_, format) => files.slot(*format).take(),
            _ => files.card.take(),
        };
        if *files == EntryFiles::default() {
            self.entries.remove(key);
        }
        taken.is_some()
    }

    /// Changes what is known of an entry.
    pub(super) fn set_record(&mut self, key: &EntryKey, record: Option<Record>) {
        let unwritten = || ShardFile { sha: Arc::from(""), records: Arc::default() };
        let shard = self.shards.entry(Shard::of(key)).or_insert_with(unwritten);
        let records = Arc::make_mut(&mut shard.records);
        match record {
            Some(record) => records.insert(key.clone(), record),
            None => records.remove(key),
        };
    }

    /// The blob ids that a record of an entry goes with.
    pub(super) fn ids(&self, key: &EntryKey, format: Format) -> Option<(&str, Option<&str>)> {
        let files = self.entries.get(key)?;
        Some((files.of_format(format)?.sha.as_ref(), files.card_sha()))
    }
}
