//! The index: what is known of entries besides their files, a line each, so that commits show well what changed.

use std::collections::BTreeMap;

use bridge_api::messages::Origin;
use bridge_api::{Digest, EntryKey, ReconcilerType};
use serde::{Deserialize, Serialize};

use super::super::{ImportedLocation, StoredEntry};

/// What is known of an entry.
///
/// Its files are the truth: what is said here of their content counts only as long as they are the ones it was said of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    key: EntryKey,
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    reconciler_type: String,
    /// Milliseconds since 1970, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) last_update: String,
    /// Under which key location serves the model card.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) model_card_key: String,
    /// What the entry is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Origin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Location {
    id: String,
    target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Digest>,
}

impl From<ImportedLocation> for Location {
    fn from(ImportedLocation { id, target, told }: ImportedLocation) -> Self {
        Self { id, target, told }
    }
}

impl From<Location> for ImportedLocation {
    fn from(Location { id, target, told }: Location) -> Self {
        Self { id, target, told }
    }
}

/// Which files have which digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    document: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    digest: Digest,
}

impl Record {
    /// What is to be known of an entry whose files have these blob ids.
    pub(super) fn of(key: EntryKey, entry: &StoredEntry, document: &str, card: Option<&str>) -> Self {
        Self {
            key,
            reconciler_type: entry.reconciler_type.to_string(),
            last_update: entry.last_update.clone(),
            model_card_key: entry.model_card_key.clone(),
            origin: entry.origin.clone(),
            location: entry.location.clone().map(Location::from),
            content: Content { document: document.to_owned(), card: card.map(str::to_owned), digest: entry.digest() },
        }
    }

    /// What there is to know of files that someone else put there: nothing.
    pub(super) fn unknown(key: EntryKey) -> Self {
        Self {
            key,
            reconciler_type: String::new(),
            last_update: String::new(),
            model_card_key: String::new(),
            origin: None,
            location: None,
            content: Content { document: String::new(), card: None, digest: String::new().into() },
        }
    }

    /// Whose it is.
    pub(super) fn key(&self) -> &EntryKey {
        &self.key
    }

    /// Which part of the normalizer the entry came from.
    pub(super) fn reconciler_type(&self) -> ReconcilerType {
        self.reconciler_type.parse().unwrap_or(ReconcilerType::Kubeflow)
    }

    /// Backstage's location of the entry.
    pub(super) fn location(&self) -> Option<ImportedLocation> {
        self.location.clone().map(ImportedLocation::from)
    }

    /// The same with another location.
    pub(super) fn located(self, location: Option<ImportedLocation>) -> Self {
        Self { location: location.map(Location::from), ..self }
    }

    /// Whether this was said of a document with this id.
    pub(super) fn is_about(&self, document: &str) -> bool {
        self.content.document == document
    }

    /// The digest of the entry, if it is known of these very files.
    pub(super) fn digest_of(&self, document: &str, card: Option<&str>) -> Option<Digest> {
        let is_of_these = self.content.document == document && self.content.card.as_deref() == card;
        is_of_these.then(|| self.content.digest.clone())
    }
}

/// The records of one shard.
pub(super) type Records = BTreeMap<EntryKey, Record>;

/// Reads a shard. A line that is no record tells nothing of its entry, whose files are there all the same.
pub(super) fn read(bytes: &[u8]) -> Records {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let records = lines.filter_map(|line| match serde_json::from_slice::<Record>(line) {
        Ok(record) => Some((record.key.clone(), record)),
        Err(error) => {
            tracing::warn!(%error, "a line of the index is no record; it is passed over");
            None
        }
    });
    records.collect()
}

/// Writes a shard.
pub(super) fn write<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    for record in records {
        serde_json::to_writer(&mut bytes, record)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use bridge_api::PostBody;

    use super::*;

    fn record(name: &str) -> Record {
        let post = PostBody { body: b"x".to_vec(), ..PostBody::default() };
        let location = Some(ImportedLocation { id: "1".to_owned(), target: "http://bridge/a".to_owned(), told: None });
        let entry = StoredEntry { location, ..StoredEntry::new(ReconcilerType::Kserve, post) };
        Record::of(name.parse().unwrap(), &entry, "aa", Some("bb"))
    }

    #[test]
    fn fuzz() {
        let seed = write(&[record("a_1"), record("b_1")]).unwrap();
        testkit::fuzz::fuzz_seeds("github-index", &[&seed], |input| {
            let records = read(input);
            assert_eq!(read(&write(records.values()).unwrap()), records);
        });
    }

    #[test]
    fn what_is_written_is_read() {
        let records = [record("a_1"), record("b_1")];
        let read = read(&write(&records).unwrap());
        assert_eq!(read.into_values().collect::<Vec<_>>(), records);
    }

    #[test]
    fn a_line_that_was_spoilt_hides_no_other() {
        let mut bytes = write(&[record("a_1"), record("b_1")]).unwrap();
        bytes.splice(0..0, *b"<<<<<<< ours\n\n{\"key\":\"..\"}\n");
        assert_eq!(read(&bytes).len(), 2);
    }

    #[test]
    fn a_digest_counts_for_the_files_it_was_taken_from_alone() {
        let record = record("a_1");
        assert!(record.digest_of("aa", Some("bb")).is_some());
        for (document, card) in [("ab", Some("bb")), ("aa", None), ("aa", Some("cc"))] {
            assert_eq!(record.digest_of(document, card), None);
        }
    }
}
